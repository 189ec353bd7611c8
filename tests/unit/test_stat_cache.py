from __future__ import annotations

import os
from pathlib import Path

import pytest

from modelyard import stat_cache
from modelyard.stat_cache import Hashes, sha256_file

_OLD_NS = 1_600_000_000_000_000_000


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELYARD_HOME", str(tmp_path / "home"))


def _stat(file: Path) -> tuple[str, int, int, int]:
    status = file.stat()
    return str(file), status.st_size, status.st_mtime_ns, status.st_ino


def _old(file: Path, text: str, at_ns: int = _OLD_NS) -> Path:
    file.write_text(text)
    os.utime(file, ns=(at_ns, at_ns))
    return file


def _forbid_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(file: str) -> str:
        raise AssertionError(f"{file} was read again")

    monkeypatch.setattr(stat_cache, "sha256_file", refuse)


def test_an_unchanged_file_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = _old(tmp_path / "a", "1")
    first = list(Hashes([_stat(file)], "/d"))
    _forbid_reading(monkeypatch)
    again = Hashes([_stat(file)], "/d")
    assert again.unknown_bytes == 0
    assert list(again) == first


@pytest.mark.parametrize("change", ["size", "time", "file"])
def test_a_changed_file_is_read_again(tmp_path: Path, change: str) -> None:
    file = _old(tmp_path / "a", "1")
    list(Hashes([_stat(file)], "/d"))
    if change == "size":
        _old(file, "22")
    elif change == "time":
        _old(file, "2", _OLD_NS + 1)
    else:
        other = _old(tmp_path / "b", "2")
        os.replace(other, file)
    assert list(Hashes([_stat(file)], "/d")) == [sha256_file(str(file))]


def test_a_file_written_just_now_is_not_trusted(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("1")
    now = _stat(file)
    list(Hashes([now], "/d"))
    file.write_text("2")
    os.utime(file, ns=(now[2], now[2]))  # the same tick of a coarse clock
    assert list(Hashes([_stat(file)], "/d")) == [sha256_file(str(file))]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"x": 1}', "null", "\x00"])
def test_a_damaged_cache_costs_time_only(tmp_path: Path, text: str) -> None:
    file = _old(tmp_path / "a", "1")
    list(Hashes([_stat(file)], "/d"))
    for cache in (tmp_path / "home" / "cache" / "stat").iterdir():
        cache.write_text(text)
    assert list(Hashes([_stat(file)], "/d")) == [sha256_file(str(file))]


def test_a_cache_that_can_t_be_written_costs_time_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in-the-way").write_text("")
    monkeypatch.setenv("MODELYARD_HOME", str(tmp_path / "in-the-way"))
    file = _old(tmp_path / "a", "1")
    assert list(Hashes([_stat(file)], "/d")) == [sha256_file(str(file))]


def test_many_bytes_are_hashed_by_threads_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stat_cache, "_THREADED_BYTES", 1)
    files = [_old(tmp_path / f"{i}", str(i) * (i + 1)) for i in range(50)]
    assert list(Hashes([_stat(f) for f in files], "/d")) == [sha256_file(str(f)) for f in files]


def test_no_files_have_no_hashes() -> None:
    assert list(Hashes([], "/d")) == []
