from __future__ import annotations

import io
import zipfile
from http.client import HTTPConnection
from urllib.parse import quote

import pytest
from small_yard import SmallYard, sha256

from modelyard import errors
from modelyard.wire.artifacts import BlobQuery, BlobsMissing, FileEntry, SnapshotCreate, SnapshotInfo
from modelyard.wire.trees import tree_id
from modelyard.wire.workspaces import WorkspaceCreate


def _get(yard: SmallYard, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = HTTPConnection("127.0.0.1", int(yard.url.rpartition(":")[2]))
    sent = {"Authorization": "Bearer owner-token", **{k.replace("_", "-"): v for k, v in headers.items()}}
    connection.request("GET", path, headers=sent)
    response = connection.getresponse()
    answer = response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()
    connection.close()
    return answer


def _snapshot(yard: SmallYard, files: dict[str, bytes]) -> SnapshotInfo:
    held = yard.keep(*files.values())
    entries = [FileEntry(p, h.hash, h.size) for p, h in zip(files, held, strict=True)]
    return yard.client().request("POST", yard.path("/snapshots"), SnapshotCreate(entries), kind=SnapshotInfo)


def test_what_is_missing_is_told_once_each(lower_yard: SmallYard) -> None:
    lower_yard.keep(b"here")
    asked = [sha256(b"1"), sha256(b"here"), sha256(b"2"), sha256(b"1")]
    answer = lower_yard.client().request(
        "POST", lower_yard.path("/blobs/missing"), BlobQuery(asked), kind=BlobsMissing
    )
    assert answer.missing == [sha256(b"1"), sha256(b"2")]


@pytest.mark.parametrize("hash_", ["", "x", "A" * 64, "a" * 63, "../" + "a" * 61])
def test_what_is_no_hash_is_refused(lower_yard: SmallYard, hash_: str) -> None:
    with pytest.raises(errors.RequestRefused, match="not a SHA-256"):
        lower_yard.client().request("POST", lower_yard.path("/blobs/missing"), BlobQuery([hash_]))


def test_another_workspace_s_blob_is_not_here(lower_yard: SmallYard) -> None:
    lower_yard.workspaces.create(WorkspaceCreate("other"))
    (entry,) = lower_yard.keep(b"secret", workspace="other")
    client = lower_yard.client()
    assert lower_yard.artifacts.missing(lower_yard.workspace_id, [entry.hash]) == [entry.hash]
    with pytest.raises(errors.NotFound):
        client.raw("GET", lower_yard.path(f"/blobs/{entry.hash}"))
    with pytest.raises(errors.RequestRefused, match="not here yet"):
        client.request("POST", lower_yard.path("/snapshots"), SnapshotCreate([entry]))
    made = client.request(
        "POST", lower_yard.path("/snapshots", "other"), SnapshotCreate([entry]), kind=SnapshotInfo
    )
    with pytest.raises(errors.NotFound, match="no snapshot"):
        client.request("GET", lower_yard.path(f"/snapshots/{made.id}"))


def test_a_snapshot_s_id_follows_from_its_files_alone(lower_yard: SmallYard) -> None:
    files = {"b.txt": b"2", "a/x.py": b"1"}
    first, again = _snapshot(lower_yard, files), _snapshot(lower_yard, dict(reversed(files.items())))
    assert first.id == again.id
    shown = lower_yard.client().request("GET", lower_yard.path(f"/snapshots/{first.id}"), kind=SnapshotInfo)
    assert [e.path for e in shown.entries] == ["a/x.py", "b.txt"]
    assert (shown.file_count, shown.size_bytes, tree_id(shown.entries)) == (2, 2, first.id)


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a\\b", "a\0b", "C:/x", "%2e%2e/x", ""])
def test_a_hostile_path_makes_no_snapshot(lower_yard: SmallYard, path: str) -> None:
    with pytest.raises(errors.RequestRefused) as caught:
        _snapshot(lower_yard, {path: b"1"})
    assert caught.value.code == "bad_path"


def test_names_that_differ_in_case_are_two_files(lower_yard: SmallYard) -> None:
    assert _snapshot(lower_yard, {"a": b"1", "A": b"2"}).file_count == 2


def test_a_wrong_size_or_a_missing_blob_makes_no_snapshot(lower_yard: SmallYard) -> None:
    (entry,) = lower_yard.keep(b"abc")
    for bad, word in (
        (FileEntry("a", entry.hash, 4), "it has 3"),
        (FileEntry("gone.txt", sha256(b"gone"), 4), "gone.txt"),
    ):
        with pytest.raises(errors.RequestRefused, match=word):
            lower_yard.client().request("POST", lower_yard.path("/snapshots"), SnapshotCreate([bad]))


@pytest.mark.parametrize(
    "path",
    [
        "../../etc/passwd",
        "%2e%2e/x",
        "%252e%252e%252fetc",
        "..%5cx",
        "%00",
        "C:%5Cx",
        "%2fetc%2fpasswd",
        "a%2f..%2fx",
    ],
)
def test_a_hostile_path_reads_nothing(lower_yard: SmallYard, path: str) -> None:
    made = _snapshot(lower_yard, {"a": b"1"})
    status, _, body = _get(lower_yard, lower_yard.path(f"/snapshots/{made.id}/files/{path}"))
    assert status in (404, 422)
    assert b"root:" not in body


RANGES = [
    ("bytes=0-3", 206, b"0123", "bytes 0-3/10"),
    ("bytes=4-", 206, b"456789", "bytes 4-9/10"),
    ("bytes=-3", 206, b"789", "bytes 7-9/10"),
    ("bytes=-99", 206, b"0123456789", "bytes 0-9/10"),
    ("bytes=9-99", 206, b"9", "bytes 9-9/10"),
    ("bytes=10-", 416, b"", "bytes */10"),
    ("bytes=-0", 416, b"", "bytes */10"),
    ("bytes=5-2", 200, b"0123456789", None),
    ("bytes=0-1,3-4", 200, b"0123456789", None),
    ("bytes=-", 200, b"0123456789", None),
    ("lines=0-1", 200, b"0123456789", None),
    ("bytes=a-b", 200, b"0123456789", None),
]


@pytest.mark.parametrize(("range_", "status", "body", "content_range"), RANGES)
def test_a_range_of_a_file(
    lower_yard: SmallYard, range_: str, status: int, body: bytes, content_range: str | None
) -> None:
    (entry,) = lower_yard.keep(b"0123456789")
    found = _get(lower_yard, lower_yard.path(f"/blobs/{entry.hash}"), Range=range_)
    assert (found[0], found[2], found[1].get("content-range")) == (status, body, content_range)


def test_a_large_file_comes_in_pieces_and_ranges(lower_yard: SmallYard) -> None:
    content = bytes(range(256)) * 20_000
    (entry,) = lower_yard.keep(content)
    path = lower_yard.path(f"/blobs/{entry.hash}")
    status, headers, body = _get(lower_yard, path)
    assert (status, headers["content-length"], body) == (200, str(len(content)), content)
    assert _get(lower_yard, path, Range="bytes=1000-3000000")[2] == content[1000:3_000_001]


def test_an_etag_saves_the_download_and_guards_a_range(lower_yard: SmallYard) -> None:
    (entry,) = lower_yard.keep(b"0123456789")
    path = lower_yard.path(f"/blobs/{entry.hash}")
    assert _get(lower_yard, path)[1]["etag"] == f'"{entry.hash}"'
    assert _get(lower_yard, path, If_None_Match=f'"{entry.hash}"')[0] == 304
    assert _get(lower_yard, path, Range="bytes=0-1", If_Range='"older"')[0] == 200
    assert _get(lower_yard, path, Range="bytes=0-1", If_Range=f'"{entry.hash}"')[0] == 206


@pytest.mark.parametrize("name", ["page.html", "drawing.svg", "x.js", "x.xhtml", "note.ipynb", "x.pdf"])
def test_what_a_browser_might_run_is_sent_as_bytes(lower_yard: SmallYard, name: str) -> None:
    made = _snapshot(lower_yard, {name: b"<script>alert(1)</script>"})
    _, headers, _ = _get(lower_yard, lower_yard.path(f"/snapshots/{made.id}/files/{name}"))
    assert headers["content-type"] == "application/octet-stream"
    assert headers["content-disposition"].startswith(f'attachment; filename="{name}"')
    assert headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in headers["content-security-policy"]


def test_a_file_name_can_t_break_out_of_its_header(lower_yard: SmallYard) -> None:
    name = 'a"; x="文.txt'
    made = _snapshot(lower_yard, {name: b"1"})
    _, headers, _ = _get(lower_yard, lower_yard.path(f"/snapshots/{made.id}/files/{quote(name)}"))
    assert headers["content-disposition"] == (
        "attachment; filename=\"a__ x___.txt\"; filename*=UTF-8''a%22%3B%20x%3D%22%E6%96%87.txt"
    )


def test_a_snapshot_as_a_zip_holds_the_same_bytes(lower_yard: SmallYard) -> None:
    files = {"train.py": b"print(1)\n", "data/big.bin": bytes(3_000_000), "empty": b"", "é/文.txt": b"x"}
    made = _snapshot(lower_yard, files)
    path = lower_yard.path(f"/snapshots/{made.id}/zip")
    status, headers, body = _get(lower_yard, path)
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        assert archive.testzip() is None
        assert {n: archive.read(n) for n in archive.namelist()} == files
    assert (status, headers["content-type"]) == (200, "application/zip")
    assert _get(lower_yard, path)[2] == body


def test_a_missing_snapshot_or_file_is_named(lower_yard: SmallYard) -> None:
    made = _snapshot(lower_yard, {"a": b"1"})
    client = lower_yard.client()
    with pytest.raises(errors.NotFound, match="no snapshot 'nope'"):
        client.request("GET", lower_yard.path("/snapshots/nope"))
    with pytest.raises(errors.NotFound, match="has no file 'b'"):
        client.raw("GET", lower_yard.path(f"/snapshots/{made.id}/files/b"))
