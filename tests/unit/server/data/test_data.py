from __future__ import annotations

import pytest
from small_yard import SmallYard

from modelyard.server.kernel.errors import Invalid, NotFound
from modelyard.wire.artifacts import FileEntry
from modelyard.wire.data import DatastoreFilesAdd

NAME = "workspaceblobstore"


def paths(yard: SmallYard, path: str = "") -> list[str]:
    return [f.path for f in yard.data.files(yard.workspace_id, NAME, path)]


def test_files_are_listed_below_a_directory(lower_yard: SmallYard) -> None:
    (entry,) = lower_yard.keep(b"x")
    names = ["a/b", "a/c/d", "a.b", "ab/c", "a0"]
    body = DatastoreFilesAdd([FileEntry(name, entry.hash, entry.size) for name in names])
    assert lower_yard.data.add(lower_yard.workspace_id, NAME, body).added == 5
    assert paths(lower_yard, "a") == ["a/b", "a/c/d"]
    assert paths(lower_yard, "a.b") == ["a.b"]
    assert paths(lower_yard) == sorted(names)


def test_all_files_of_a_request_are_written_or_none(lower_yard: SmallYard) -> None:
    (entry,) = lower_yard.keep(b"x")
    unknown = FileEntry("b", "0" * 64, 1)
    with pytest.raises(Invalid, match="Upload their blobs first"):
        lower_yard.data.add(
            lower_yard.workspace_id, NAME, DatastoreFilesAdd([FileEntry("a", entry.hash, 1), unknown])
        )
    assert paths(lower_yard) == []


def test_a_file_or_a_directory_is_deleted(lower_yard: SmallYard) -> None:
    (entry,) = lower_yard.keep(b"x")
    names = ["keep", "gone/a", "gone/b/c", "gone2"]
    body = DatastoreFilesAdd([FileEntry(name, entry.hash, entry.size) for name in names])
    lower_yard.data.add(lower_yard.workspace_id, NAME, body)
    lower_yard.data.remove(lower_yard.workspace_id, NAME, "gone")
    assert paths(lower_yard) == ["gone2", "keep"]
    lower_yard.data.remove(lower_yard.workspace_id, NAME, "gone2")
    with pytest.raises(NotFound, match="no file 'gone2'"):
        lower_yard.data.remove(lower_yard.workspace_id, NAME, "gone2")


@pytest.mark.parametrize("path", ["../x", "/x", "a//b", "a\0b"])
def test_a_path_that_leads_elsewhere_is_refused(lower_yard: SmallYard, path: str) -> None:
    (entry,) = lower_yard.keep(b"x")
    with pytest.raises(Invalid):
        lower_yard.data.add(
            lower_yard.workspace_id, NAME, DatastoreFilesAdd([FileEntry(path, entry.hash, entry.size)])
        )
    with pytest.raises(Invalid):
        lower_yard.data.files(lower_yard.workspace_id, NAME, path)
