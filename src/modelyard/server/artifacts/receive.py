"""Takes blobs in as they stream by: frames of many, or a body that is one; hashes and stages them.

The body is read on the event loop and worked on in a thread, a batch at a time, so that hashing and writing one batch
overlaps with the arrival of the next and never holds up other requests.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import os
import re
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

from starlette.concurrency import run_in_threadpool

from modelyard.server.kernel.blobs import BlobStore
from modelyard.server.kernel.errors import Invalid, TooLarge
from modelyard.server.kernel.packs import Packed, PackWriter

BATCH_BYTES = 4 << 20
MAX_FRAMES = 100_000  # per request; more come in further requests
MAX_BLOB_BYTES = 1 << 40
PACKED_BYTES = 1 << 20  # up to this size blobs share a file

_PACK = "pack"

_HEADER = re.compile(rb"([0-9a-f]{64}) ([0-9]{1,15})")
_MAX_HEADER = 64 + 1 + 15 + 1


class Taker(Protocol):
    """What becomes of a body. Not for two threads at once."""

    sizes: dict[str, int]  # hash -> size of what is whole, in order of arrival

    def feed(self, pieces: Iterable[bytes]) -> None:
        """The next bytes of the body. Raises Invalid and TooLarge; OSError when they can't be written."""

    def finish(self, blobs: BlobStore) -> None:
        """Give everything to the store, durably. Raises Invalid."""

    def close(self) -> None:
        """Let go of open files, whatever was written."""


class Frames:
    """Parses a body of frames into staged files: small blobs into one pack, large ones each into its own.

    Not for two threads at once.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = os.fspath(directory)
        self.sizes: dict[str, int] = {}  # hash -> size of every whole frame, in order of arrival
        self._packed: dict[str, Packed] = {}
        self._pack: PackWriter | None = None
        self._count = 0
        self._head = b""  # the beginning of a header that the next piece completes
        self._hash = ""  # of the frame whose bytes are coming in; empty between frames
        self._left = 0
        self._size = 0
        self._digest: Any = None
        self._file = -1  # of a large blob; a small one goes to the pack

    def feed(self, pieces: Iterable[bytes]) -> None:
        """The next bytes of the body. Raises Invalid and TooLarge; OSError when they can't be written."""
        for piece in pieces:
            self._feed(piece)

    def _feed(self, data: bytes) -> None:
        if self._head:
            data, self._head = self._head + data, b""
        view = memoryview(data)
        at = 0
        while at < len(data):
            if self._hash:
                at += self._take(view[at : at + self._left])
                continue
            end = data.find(b"\n", at, at + _MAX_HEADER + 1)
            if end < 0:
                self._head = data[at:]
                if len(self._head) > _MAX_HEADER:
                    self._bad_header(self._head)
                return
            self._begin(data[at:end])
            at = end + 1
            if self._left == 0:
                self._end()

    def finish(self, blobs: BlobStore) -> None:
        """Give everything to the store, durably. Raises Invalid when the body ended inside a frame."""
        if self._hash or self._head:
            where = (
                f"in blob {self._hash}, {self._left} of {self._size} bytes short"
                if self._hash
                else "in a header"
            )
            raise Invalid("blob_frame_truncated", f"The body ended {where}. Send the request again.")
        if self._pack is not None:
            self._pack.close()
            blobs.put_pack(Path(self._directory, _PACK), list(self._packed.values()))
        large = [hash_ for hash_ in self.sizes if hash_ not in self._packed]
        if large:
            blobs.put([(hash_, Path(self._directory, hash_)) for hash_ in large])

    def close(self) -> None:
        """Let go of open files, whatever was written."""
        if self._pack is not None:
            self._pack.discard()
        self._close_file()

    def _close_file(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _begin(self, header: bytes) -> None:
        match = _HEADER.fullmatch(header)
        if match is None:
            self._bad_header(header)
            return
        size = int(match[2])
        if size > MAX_BLOB_BYTES:
            raise TooLarge("blob_too_large", f"A blob of {size} bytes is over the limit of {MAX_BLOB_BYTES}.")
        self._count += 1
        if self._count > MAX_FRAMES:
            raise TooLarge(
                "too_many_blobs",
                f"One request may bring {MAX_FRAMES} blobs; send the rest in another.",
                limit=MAX_FRAMES,
            )
        self._hash, self._size, self._left = match[1].decode("ascii"), size, size
        self._digest = hashlib.sha256()
        if size <= PACKED_BYTES:
            if self._pack is None:
                self._pack = PackWriter(Path(self._directory, _PACK))
            return
        # A hash that comes twice overwrites its first file; the bytes of both are checked.
        name = f"{self._directory}/{self._hash}"
        self._file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)

    def _take(self, piece: memoryview) -> int:
        self._digest.update(piece)
        if self._file < 0:
            assert self._pack is not None
            self._pack.write(piece)
        written = len(piece) if self._file < 0 else 0
        while written < len(piece):
            written += os.write(self._file, piece[written:])
        self._left -= len(piece)
        if self._left == 0:
            self._end()
        return len(piece)

    def _end(self) -> None:
        self._close_file()
        found = self._digest.hexdigest()
        if found != self._hash:
            raise Invalid(
                "blob_hash_mismatch",
                f"The bytes sent as blob {self._hash} have the hash {found}; nothing of this request was kept. "
                "Did the file change while it was sent?",
                expected=self._hash,
                found=found,
            )
        self.sizes[self._hash] = self._size
        if self._size <= PACKED_BYTES and self._pack is not None:
            self._packed[self._hash] = Packed(self._hash, self._pack.size - self._size, self._size)
        self._hash = ""

    def _bad_header(self, header: bytes) -> None:
        raise Invalid(
            "bad_blob_frame",
            f"Expected a frame header 'SHA256 SIZE' and a line feed after {self._count} frames, got {header[:80]!r}.",
        )


class Whole:
    """Takes a body that is one blob, whose hash is known at its end."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "whole"
        self.sizes: dict[str, int] = {}
        self._start = bytearray()  # all of it while it is small enough for a pack
        self._size = 0
        self._digest = hashlib.sha256()
        self._file: io.FileIO | None = None

    def feed(self, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            self._digest.update(piece)
            self._size += len(piece)
            if self._size > MAX_BLOB_BYTES:
                raise TooLarge("blob_too_large", f"A file is over the limit of {MAX_BLOB_BYTES} bytes.")
            if self._file is None and self._size <= PACKED_BYTES:
                self._start += piece
                continue
            if self._file is None:
                self._file = io.FileIO(self._path, "xb")
                _write_all(self._file, self._start)
                self._start = bytearray()
            _write_all(self._file, piece)

    def finish(self, blobs: BlobStore) -> None:
        hash_ = self._digest.hexdigest()
        if self._file is not None:
            self._file.close()
            blobs.put([(hash_, self._path)])
        else:
            pack = PackWriter(self._path)
            try:
                pack.write(bytes(self._start))
                pack.close()
            finally:
                pack.discard()
            blobs.put_pack(self._path, [Packed(hash_, 0, self._size)])
        self.sizes = {hash_: self._size}

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def _write_all(file: io.FileIO, piece: bytes | bytearray) -> None:
    view = memoryview(piece)
    while view:
        view = view[file.write(view) :]


async def receive(
    blobs: BlobStore,
    stream: AsyncIterator[bytes],
    take: Callable[[Path], Taker],
    bring: Callable[[Callable[[], dict[str, int]]], None],
) -> dict[str, int]:
    """Have `bring` keep every blob of the body; answers their sizes by hash.

    Nothing is kept unless the whole body was right. `bring` runs in a thread; it is given what to call to have the bytes
    put into the store durably, which answers their sizes.
    """
    staging = blobs.staging()
    taker = take(await run_in_threadpool(staging.__enter__))
    working: asyncio.Future[None] | None = None
    pieces: list[bytes] = []
    waiting = 0
    failure: BaseException | None = None
    try:
        async for piece in stream:
            pieces.append(piece)
            waiting += len(piece)
            if waiting >= BATCH_BYTES:
                if working is not None:
                    await working
                working = asyncio.ensure_future(run_in_threadpool(taker.feed, pieces))
                pieces, waiting = [], 0
        if working is not None:
            await working

        def put() -> dict[str, int]:
            taker.finish(blobs)
            return taker.sizes

        def keep() -> None:
            taker.feed(pieces)
            bring(put)

        await run_in_threadpool(keep)
    except (
        BaseException
    ) as error:  # kept for staging's own handling below, which turns a full disk into DiskFull
        failure = error
        if working is not None and not working.done():
            with contextlib.suppress(Exception):  # a first failure is being reported already
                await working
    taker.close()
    if failure is None:
        await run_in_threadpool(staging.__exit__, None, None, None)
        return taker.sizes
    await run_in_threadpool(staging.__exit__, type(failure), failure, failure.__traceback__)
    raise failure
