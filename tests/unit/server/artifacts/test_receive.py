from __future__ import annotations

import asyncio
import itertools
import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_yard import SmallYard, frame, sha256

from modelyard import errors
from modelyard.server.artifacts import receive
from modelyard.server.artifacts.receive import PACKED_BYTES, Frames
from modelyard.server.kernel.blobs import FileBlobs
from modelyard.server.kernel.errors import Invalid, ProblemError

_bodies = st.lists(st.one_of(st.binary(max_size=200), st.sampled_from([b"", b"\n", b"x" * 5000])), max_size=6)


def _staged(pieces: list[bytes]) -> dict[str, bytes]:
    """What a store would hold of a body that comes in these pieces."""
    with tempfile.TemporaryDirectory() as directory:
        store = FileBlobs(Path(directory))
        with store.staging() as staging:
            frames = Frames(staging)
            try:
                frames.feed(pieces)
                frames.finish(store)
            finally:
                frames.close()
        try:
            return {hash_: b"".join(store.read(hash_)) for hash_ in frames.sizes}
        finally:
            store.close()


def _cut(body: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(c % (len(body) + 1) for c in cuts), len(body)]
    return [body[a:b] for a, b in itertools.pairwise(edges)]


@settings(max_examples=60)
@given(_bodies, st.lists(st.integers(0, 10_000), max_size=8))
def test_frames_read_the_same_however_the_body_is_cut(contents: list[bytes], cuts: list[int]) -> None:
    body = b"".join(frame(c) for c in contents)
    assert _staged(_cut(body, cuts)) == {sha256(c): c for c in contents}


@settings(max_examples=40)
@given(st.binary(min_size=1, max_size=300), st.integers(1, 10_000))
def test_a_body_that_ends_early_is_refused(content: bytes, missing: int) -> None:
    body = frame(b"whole") + frame(content)
    short = body[: len(body) - 1 - missing % (len(frame(content)) - 1)]
    with pytest.raises(Invalid, match=r"The body ended"):
        _staged([short])


@settings(max_examples=40)
@given(st.binary(max_size=300), st.binary(max_size=300))
def test_bytes_that_are_not_the_hash_are_refused(said: bytes, sent: bytes) -> None:
    if said != sent:
        with pytest.raises(Invalid) as caught:
            _staged([frame(b"whole"), frame(sent, hash_=sha256(said))])
        assert caught.value.code == "blob_hash_mismatch"
        assert caught.value.extra["found"] == sha256(sent)


@settings(max_examples=60)
@given(st.binary(min_size=1, max_size=400))
def test_arbitrary_bytes_are_refused_or_empty(body: bytes) -> None:
    with pytest.raises(ProblemError):
        _staged([body])


@pytest.mark.parametrize(
    "header",
    [
        b"zz 3\n",
        b"A" * 64 + b" 3\n",
        b"a" * 64 + b" -1\n",
        b"a" * 64 + b"  3\n",
        b"a" * 64 + b" 3 \n",
        b"a" * 500,
    ],
)
def test_a_malformed_header_is_named(header: bytes) -> None:
    with pytest.raises(Invalid, match="frame header"):
        _staged([header + b"abc"])


def test_limits_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ProblemError, match="over the limit"):
        _staged([f"{'a' * 64} {1 << 41}\n".encode()])
    monkeypatch.setattr(receive, "MAX_FRAMES", 2)
    with pytest.raises(ProblemError, match="send the rest in another"):
        _staged([frame(b"1"), frame(b"2"), frame(b"3")])


def test_small_and_large_blobs_come_in_one_body(lower_yard: SmallYard) -> None:
    contents = [os.urandom(n) for n in (0, 1, 4096, PACKED_BYTES, PACKED_BYTES + 1, 3 * PACKED_BYTES, 17)]
    entries = lower_yard.keep(*contents)
    for entry, content in zip(entries, contents, strict=True):
        assert b"".join(lower_yard.artifacts.read(entry.hash)) == content
        assert b"".join(lower_yard.artifacts.read(entry.hash, 5, 7)) == content[5:12]


def test_more_than_one_buffer_of_small_blobs_is_kept(lower_yard: SmallYard) -> None:
    contents = [os.urandom(700_001) for _ in range(9)]
    for entry, content in zip(lower_yard.keep(*contents), contents, strict=True):
        assert b"".join(lower_yard.artifacts.read(entry.hash)) == content


def test_nothing_of_a_bad_request_is_kept(lower_yard: SmallYard) -> None:
    body = frame(b"good") + frame(b"bad", hash_=sha256(b"other"))
    with pytest.raises(errors.RequestRefused) as caught:
        lower_yard.client().request("POST", lower_yard.path("/blobs"), content=body)
    assert caught.value.code == "blob_hash_mismatch"
    assert lower_yard.artifacts.missing(lower_yard.workspace_id, [sha256(b"good")]) == [sha256(b"good")]
    assert list((lower_yard.home / "blobs" / "staging").iterdir()) == []


def test_a_caller_who_goes_away_leaves_nothing(tmp_path: Path) -> None:
    store = FileBlobs(tmp_path)

    async def broken() -> AsyncIterator[bytes]:
        yield frame(b"x" * 6_000_000)[:5_000_000]
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        asyncio.run(receive.receive(store, broken(), Frames, lambda put: None))
    assert list((tmp_path / "staging").iterdir()) == []
    store.close()


@pytest.mark.parametrize("size", [0, 1, PACKED_BYTES, PACKED_BYTES + 1, 9 << 20])
def test_a_body_that_is_one_blob_is_kept_whatever_its_size(lower_yard: SmallYard, size: int) -> None:
    content = os.urandom(size)

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, size, 300_000):
            yield content[start : start + 300_000]

    found = asyncio.run(lower_yard.artifacts.receive_one(lower_yard.workspace_id, pieces()))
    assert found == (sha256(content), size)
    assert b"".join(lower_yard.artifacts.read(found[0])) == content
    assert lower_yard.artifacts.missing(lower_yard.workspace_id, [found[0]]) == []
    assert list((lower_yard.home / "blobs" / "staging").iterdir()) == []


def test_a_deleted_blob_is_gone_and_the_others_stay(tmp_path: Path) -> None:
    store = FileBlobs(tmp_path)
    with store.staging() as staging:
        frames = Frames(staging)
        frames.feed([frame(b"one"), frame(b"two")])
        frames.finish(store)
    store.delete([sha256(b"one")])
    with pytest.raises(ProblemError, match="does not hold"):
        store.read(sha256(b"one"))
    assert b"".join(store.read(sha256(b"two"))) == b"two"
    store.delete([sha256(b"two")])
    assert [f.name for f in (tmp_path / "packs").iterdir() if f.suffix == ".pack"] == []
    store.close()
