"""The yard's home: private, one yard at a time, secrets made once."""

from __future__ import annotations

import json
import os
import stat
import threading
from pathlib import Path

import pytest

from modelyard.server.kernel.errors import Invalid
from modelyard.server.serve import home as homes


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_home_is_for_its_owner_alone(tmp_path: Path) -> None:
    home = tmp_path / "a" / "b"
    homes.prepare(home)
    assert [mode(home / n) for n in (".", "logs", "node", "node/logs")] == [0o700] * 4


def test_an_empty_directory_that_others_can_read_is_closed(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o755)
    homes.prepare(home)
    assert mode(home) == 0o700


def test_a_directory_that_holds_other_things_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    tmp_path.chmod(0o755)
    homes.prepare(tmp_path)
    assert mode(tmp_path) == 0o755
    assert mode(tmp_path / "node") == 0o700


def test_a_home_that_can_not_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Invalid, match=r"file/home can't be used: Not a directory.*--home"):
        homes.prepare(tmp_path / "file" / "home")


def test_a_token_is_made_once_and_private(tmp_path: Path) -> None:
    file = tmp_path / "owner.token"
    first = homes.token(file, "owner")
    assert first.startswith("my_owner_")
    assert len(first) > 40
    assert mode(file) == 0o600
    assert homes.token(file, "owner") == first
    assert [p.name for p in tmp_path.iterdir()] == ["owner.token"]


def test_many_starts_at_once_agree_on_the_token(tmp_path: Path) -> None:
    found: list[str] = []
    barrier = threading.Barrier(8)

    def start() -> None:
        barrier.wait()
        found.append(homes.token(tmp_path / "node.token", "node"))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1


def test_a_token_that_others_can_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "owner.token"
    file.write_text("secret\n")
    file.chmod(0o644)
    with pytest.raises(Invalid, match="chmod 600"):
        homes.token(file, "owner")


def test_an_empty_token_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "owner.token"
    file.touch(mode=0o600)
    with pytest.raises(Invalid, match="empty"):
        homes.token(file, "owner")


def test_a_home_has_one_yard_at_a_time(tmp_path: Path) -> None:
    held = homes.lock(tmp_path)
    assert held is not None
    assert homes.lock(tmp_path) is None
    os.close(held)
    again = homes.lock(tmp_path)
    assert again is not None
    os.close(again)


def test_the_record_names_a_living_process(tmp_path: Path) -> None:
    homes.write_record(tmp_path, "http://127.0.0.1:1")
    record = homes.read_record(tmp_path)
    assert record is not None
    assert (record.url, record.pid, record.is_alive) == ("http://127.0.0.1:1", os.getpid(), True)


def test_a_record_of_a_recycled_pid_is_not_alive(tmp_path: Path) -> None:
    record = homes.write_record(tmp_path, "http://127.0.0.1:1")
    value = {"url": record.url, "pid": record.pid, "start": "another:1"}
    (tmp_path / "yard.json").write_text(json.dumps(value))
    found = homes.read_record(tmp_path)
    assert found is not None
    assert not found.is_alive


@pytest.mark.parametrize("text", ["", "{", "[]", '{"url": "x"}', '{"url": 1, "pid": "x", "start": ""}'])
def test_a_damaged_record_counts_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "yard.json").write_text(text)
    assert homes.read_record(tmp_path) is None


def test_only_its_own_record_is_removed(tmp_path: Path) -> None:
    (tmp_path / "yard.json").write_text(json.dumps({"url": "x", "pid": 1, "start": "y"}))
    homes.remove_record(tmp_path)
    assert (tmp_path / "yard.json").exists()
    homes.write_record(tmp_path, "x")
    homes.remove_record(tmp_path)
    assert not (tmp_path / "yard.json").exists()
