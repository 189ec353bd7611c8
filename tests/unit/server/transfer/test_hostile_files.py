"""A damaged or hostile file is refused in words, and nothing of it shows."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from servers import start_in_process
from workspace_files import bring, changed, changed_table, opened

from modelyard import errors

RUNS = "tables/runs-0000.parquet"
POINTS = "tables/metric_points-0000.parquet"
Members = dict[str, bytes]


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    server = start_in_process(tmp_path_factory.mktemp("other"))
    yield server
    server.stop()


def _refused(other: Any, file: Path, words: str) -> None:
    for preview in (True, False):
        with pytest.raises(errors.AzureMLException, match=words):
            bring(other, file, "hostile", preview=preview)
    names = [w["name"] for w in opened(other)._client.request("GET", "/api/v1/workspaces")["items"]]
    assert names == ["default"]
    left = list((other.home / "staging").iterdir())
    assert left == []


def test_what_is_no_zip_or_cut_short_is_refused(other: Any, exported: Path, tmp_path: Path) -> None:
    file = tmp_path / "file.zip"
    content = exported.read_bytes()
    for bad in (b"", b"hello", content[: len(content) // 2], content[:-30]):
        file.write_bytes(bad)
        _refused(other, file, "no whole zip file")


def _flip(members: Members, name: str) -> None:
    content = bytearray(members[name])
    content[len(content) // 2] ^= 1
    members[name] = bytes(content)


def _blob(members: Members) -> str:
    return next(name for name in members if name.startswith("blobs/"))


def _manifest(members: Members, **fields: Any) -> None:
    members["manifest.json"] = json.dumps({**json.loads(members["manifest.json"]), **fields}).encode()


UNSIGNED: dict[str, tuple[Callable[[Members], object], str]] = {
    "a flipped bit in a table": (lambda m: _flip(m, RUNS), "was changed or damaged"),
    "a flipped bit in a blob": (lambda m: _flip(m, _blob(m)), "has other bytes|is not what its name says"),
    "a missing table": (lambda m: m.pop(RUNS), "is missing"),
    "a missing blob": (lambda m: m.pop(_blob(m)), "blobs are not those it lists"),
    "a blob too many": (lambda m: m.update({f"blobs/{'0' * 64}": b""}), "blobs are not those it lists"),
    "a member that does not belong": (lambda m: m.update({"evil.sh": b""}), "does not belong"),
    "a path that leads out": (lambda m: m.update({"../evil": b""}), "'..' part"),
    "an absolute path": (lambda m: m.update({"/etc/passwd": b""}), "is absolute"),
    "no manifest": (lambda m: m.pop("manifest.json"), "has no 'manifest.json'"),
    "a manifest of something else": (
        lambda m: m.update({"manifest.json": b"[]"}),
        "no export of a workspace",
    ),
    "a manifest that is no JSON": (lambda m: m.update({"manifest.json": b"{"}), "can't be read"),
    "a newer format": (lambda m: _manifest(m, version=99), "format version 99"),
    "a workspace with a bad name": (
        lambda m: _manifest(m, workspace={**json.loads(m["manifest.json"])["workspace"], "name": "../x"}),
        "can't be used",
    ),
}


@pytest.mark.parametrize("what", UNSIGNED)
def test_what_does_not_fit_together_is_refused(other: Any, exported: Path, tmp_path: Path, what: str) -> None:
    change, words = UNSIGNED[what]
    _refused(other, changed(exported, tmp_path / "file.zip", change, sign=False), words)


SIGNED = {
    "no Parquet": (RUNS, "", "no Parquet file"),
    "a column too few": (RUNS, "SELECT * EXCLUDE (tags) FROM t", "'tags' of .* is missing"),
    "a column of another type": (RUNS, "SELECT * REPLACE ('1' AS number) FROM t", "'number' of .* is VARCHAR"),
    "rows too few": (RUNS, "SELECT * FROM t LIMIT 1", "has 1 rows, not the 3"),
    "a run id that leads out": (RUNS, "SELECT * REPLACE ('../x' AS id) FROM t", "can't be kept"),
    "a run that is there twice": (RUNS, "SELECT * REPLACE ('same' AS id) FROM t", "twice|out of order|is not there"),
    "an unknown status": (RUNS, "SELECT * REPLACE ('Perhaps' AS status) FROM t", "can't be kept"),
    "tags that are no JSON": (RUNS, "SELECT * REPLACE ('{' AS tags) FROM t", "no JSON"),
    "tags that are no texts": (RUNS, """SELECT * REPLACE ('{"a": 1}' AS tags) FROM t""", "can't be kept"),
    "an experiment that is not there": (RUNS, "SELECT * REPLACE ('x' AS experiment_id) FROM t", "experiment 'x'"),
    "a NUL": (RUNS, "SELECT * REPLACE (chr(0) AS description) FROM t", "NUL character"),
    "points of another metric": (POINTS, "SELECT * REPLACE (metric + 7 AS metric) FROM t", "not in order"),
    "a file whose bytes are not there": (
        "tables/run_files-0000.parquet", "SELECT * REPLACE (repeat('0', 64) AS hash) FROM t", "are not in it",
    ),
    "a file that leads out": (
        "tables/run_files-0000.parquet", "SELECT * REPLACE ('../../x' AS path) FROM t", "'..' part",
    ),
    "a model whose files are not there": (
        "tables/models-0000.parquet", "SELECT * REPLACE ('x' AS tree_id) FROM t", "files of model net:1",
    ),
    "a tree of other files": (
        "tables/tree_files-0000.parquet", "SELECT * REPLACE ('other' AS path) FROM t", "not those it is named by",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", SIGNED)
def test_rows_that_can_not_be_kept_are_refused(other: Any, exported: Path, tmp_path: Path, what: str) -> None:
    name, sql, words = SIGNED[what]

    def change(members: Members) -> None:
        members[name] = changed_table(members[name], tmp_path, sql) if sql else b"PAR1"

    _refused(other, changed(exported, tmp_path / "file.zip", change), words)


def test_a_member_that_is_there_twice_is_refused(other: Any, exported: Path, tmp_path: Path) -> None:
    file = tmp_path / "file.zip"
    file.write_bytes(exported.read_bytes())
    with zipfile.ZipFile(file, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(RUNS, b"again")
    _refused(other, file, "in it twice")


def test_a_bomb_is_refused_before_it_is_unpacked(other: Any, exported: Path, tmp_path: Path) -> None:
    file = tmp_path / "file.zip"
    file.write_bytes(exported.read_bytes())
    with (
        zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive,
        archive.open(f"blobs/{'1' * 64}", "w") as member,
    ):
        for _ in range(200):
            member.write(bytes(1 << 20))
    _refused(other, file, "would unpack to")


def test_a_link_is_refused(other: Any, exported: Path, tmp_path: Path) -> None:
    file = tmp_path / "file.zip"
    file.write_bytes(exported.read_bytes())
    info = zipfile.ZipInfo(f"blobs/{'1' * 64}")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(info, "/etc/passwd")
    _refused(other, file, "is a link")
