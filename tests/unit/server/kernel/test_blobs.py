from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from modelyard.server.kernel.blobs import BlobStore, open_store
from modelyard.server.kernel.errors import Invalid, NotFound


@pytest.fixture(params=["file", "moto", "azurite"])
def store(request: pytest.FixtureRequest, tmp_path: Path, service: Callable[[str], str]) -> BlobStore:
    url = f"file://{tmp_path / 'blobs'}" if request.param == "file" else service(request.param)
    return open_store(url, tmp_path / "staging")


def put(store: BlobStore, *contents: bytes) -> list[str]:
    with store.staging() as directory:
        pairs = []
        for content in contents:
            hash_ = hashlib.sha256(content).hexdigest()
            file = directory / hash_
            file.write_bytes(content)
            pairs.append((hash_, file))
        store.put(pairs)
    return [hash_ for hash_, _ in pairs]


def test_what_is_put_is_read_whole_and_in_ranges(store: BlobStore) -> None:
    content = bytes(range(256)) * 9000
    (hash_,) = put(store, content)
    assert b"".join(store.read(hash_)) == content
    assert b"".join(store.read(hash_, 100, 50)) == content[100:150]
    assert b"".join(store.read(hash_, len(content) - 3)) == content[-3:]
    assert b"".join(store.read(hash_, 5, 0)) == b""


def test_many_at_once_and_the_empty_one(store: BlobStore) -> None:
    contents = [b"", *(f"blob {i}".encode() for i in range(20))]
    for hash_, content in zip(put(store, *contents), contents, strict=True):
        assert b"".join(store.read(hash_)) == content


def test_putting_the_same_bytes_again_changes_nothing(store: BlobStore) -> None:
    assert put(store, b"x") == put(store, b"x")


def test_a_blob_that_is_not_there_is_not_found_and_may_be_deleted(store: BlobStore) -> None:
    with pytest.raises(NotFound):
        list(store.read("ab" * 32))
    store.delete(["ab" * 32])


def test_a_deleted_blob_is_gone(store: BlobStore) -> None:
    (hash_,) = put(store, b"to go")
    store.delete([hash_])
    with pytest.raises(NotFound):
        list(store.read(hash_))


def test_an_unknown_scheme_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="s3://"):
        open_store("ftp://x/y", tmp_path)


def test_everything_kept_is_listed_by_its_age(store: BlobStore) -> None:
    hashes = put(store, b"one", b"three")
    assert set(zip(hashes, (3, 5), strict=True)) <= set(store.listed(2e10))
    assert list(store.listed(1.0)) == []
    store.delete([*hashes, "cd" * 32])
    assert not set(hashes) & {hash_ for hash_, _ in store.listed(2e10)}
    store.compact()
