"""Small blobs together in one file, as they came in one request, with an index that finds them by hash.

Making a file is the dear part of keeping a small blob: 2,000 files of 100 kB took 1.2 s here, the same bytes in one
file 0.1 s. A pack is written once and never changed; what is left of one that has lost much is copied to another, and a
pack with nothing left in the index is removed.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import mmap
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

log = logging.getLogger(__name__)

_BUFFER_BYTES = 4 << 20
_ALIGNMENT = 4096  # of direct writes: no less on any disk in use
_WASTE = 0.3  # the share of a pack that nobody needs from which on the rest is copied
_MANY = 500
_BROKEN_OFF_S = 3600.0  # no copy takes longer
_DIRECT = getattr(os, "O_DIRECT", 0)  # Linux only

_SCHEMA = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    (
        "CREATE TABLE IF NOT EXISTS packed (hash BLOB PRIMARY KEY, pack TEXT NOT NULL, "
        "start INTEGER NOT NULL, size INTEGER NOT NULL) WITHOUT ROWID"
    ),
    "CREATE INDEX IF NOT EXISTS packed_pack ON packed (pack)",
)


class Packed(NamedTuple):
    """Where in a pack a blob lies."""

    hash: str
    offset: int
    size: int


class PackWriter:
    """Writes one pack, past the page cache when it is large: filling the cache takes longer than the disk does.

    A pack that fits the buffer is written at its end as any file is, and stays cached for whoever reads it next.
    """

    def __init__(self, file: Path) -> None:
        self._path = file
        self._file = -1
        self._is_direct = False
        self._buffer = mmap.mmap(-1, _BUFFER_BYTES)  # page-aligned, as direct writes want it
        self._view = memoryview(self._buffer)
        self._filled = 0
        self.size = 0

    def write(self, data: memoryview | bytes) -> None:
        """Raises OSError."""
        view = memoryview(data)
        at = 0
        while at < len(view):
            part = view[at : at + _BUFFER_BYTES - self._filled]
            self._view[self._filled : self._filled + len(part)] = part
            self._filled += len(part)
            at += len(part)
            if self._filled == _BUFFER_BYTES:
                if self._file < 0:
                    self._open(direct=True)
                self._flush(_BUFFER_BYTES)
        self.size += len(view)

    def close(self) -> None:
        """Write what is left; whoever keeps the file makes it durable. Raises OSError."""
        if self._file < 0:
            self._open(direct=False)
        end = -(-self._filled // _ALIGNMENT) * _ALIGNMENT if self._is_direct else self._filled
        self._flush(end)
        os.ftruncate(self._file, self.size)
        self.discard()

    def discard(self) -> None:
        """Let go of the file without writing more; may be called twice."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _open(self, direct: bool) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        if direct and _DIRECT:
            try:
                self._file = os.open(self._path, flags | _DIRECT, 0o600)
                self._is_direct = True
                return
            except OSError:
                pass  # tmpfs and some network file systems refuse direct writes; a full disk says so again below
        self._file = os.open(self._path, flags, 0o600)

    def _flush(self, end: int) -> None:
        written = 0
        while written < end:
            written += os.write(self._file, self._view[written:end])
        self._filled = 0


class Packs:
    """The packs of one yard on local disk, and their index."""

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self._root = root
        self._lock = threading.Lock()
        self._index = sqlite3.connect(
            root / "index.db", timeout=30, isolation_level=None, check_same_thread=False
        )
        for statement in _SCHEMA:
            self._index.execute(statement)

    def add(self, file: Path, contents: Sequence[Packed]) -> None:
        """Take a written pack away from its place and keep it; durable when this returns. Raises OSError."""
        name = secrets.token_hex(16) + ".pack"
        _sync(file)
        rows = [(bytes.fromhex(p.hash), name, p.offset, p.size) for p in contents]
        with self._lock:
            self._index.execute("BEGIN IMMEDIATE")
            try:
                # Inside the transaction, so that `compact` never sees a pack whose blobs are about to be in the index.
                os.replace(file, self._root / name)
                _sync(self._root)
                # A blob that is packed already is taken from here on: the older copy may be the damaged one.
                self._index.executemany("INSERT OR REPLACE INTO packed VALUES (?, ?, ?, ?)", rows)
                self._index.execute("COMMIT")
            except BaseException:
                self._index.execute("ROLLBACK")
                raise

    def find(self, hash_: str) -> tuple[Path, int, int] | None:
        """The pack's file, and where in it the blob begins and how long it is."""
        with self._lock:
            row = self._index.execute(
                "SELECT pack, start, size FROM packed WHERE hash = ?", (bytes.fromhex(hash_),)
            ).fetchone()
        return None if row is None else (self._root / row[0], row[1], row[2])

    def close(self) -> None:
        with self._lock:
            self._index.close()

    def forget(self, hashes: Sequence[str]) -> None:
        """Not being there is fine. Packs that have nothing left are removed, the others are for `compact`."""
        keys = [(bytes.fromhex(h),) for h in hashes]
        packs: set[str] = set()
        with self._lock:
            self._index.execute("BEGIN IMMEDIATE")
            try:
                for key in keys:
                    gone = self._index.execute(
                        "DELETE FROM packed WHERE hash = ? RETURNING pack", key
                    ).fetchone()
                    packs.update(gone or ())
                empty = [p for p in packs if self._is_empty(p)]
                self._index.execute("COMMIT")
            except BaseException:
                self._index.execute("ROLLBACK")
                raise
        for pack in empty:
            (self._root / pack).unlink(missing_ok=True)

    def listed(self, before: float) -> Iterator[tuple[str, int]]:
        """Hash and size of each blob in a pack that was written before that time."""
        old: dict[str, bool] = {}
        after = b""
        while True:
            with self._lock:
                rows = self._index.execute(
                    "SELECT hash, size, pack FROM packed WHERE hash > ? ORDER BY hash LIMIT ?", (after, _MANY)
                ).fetchall()
            if not rows:
                return
            for hash_, size, pack in rows:
                if pack not in old:
                    old[pack] = _is_older(self._root / pack, before)
                if old[pack]:
                    yield hash_.hex(), size
            after = rows[-1][0]

    def compact(self) -> None:
        """Copy what is left of packs that have lost much, remove packs of which nothing is left.

        May be broken off anywhere: a pack goes only when the index has none of its blobs.
        """
        files = sorted(self._root.glob("*.pack"))
        with self._lock:
            live = dict(self._index.execute("SELECT pack, sum(size) FROM packed GROUP BY pack").fetchall())
        for file in files:
            size = file.stat().st_size
            left = live.get(file.name, 0)
            if not left or (size - left >= _WASTE * size and self._copy(file)):
                self._remove_empty(file)
        for part in self._root.glob("*.part"):
            if time.time() - part.stat().st_mtime > _BROKEN_OFF_S:
                part.unlink(missing_ok=True)

    def _remove_empty(self, pack: Path) -> None:
        with self._lock:
            self._index.execute("BEGIN IMMEDIATE")
            try:
                if self._is_empty(pack.name):
                    pack.unlink(missing_ok=True)
            finally:
                self._index.execute("ROLLBACK")

    def _copy(self, pack: Path) -> bool:
        """Put the blobs of one pack into another. False, and nothing done, where one of them is damaged."""
        with self._lock:
            rows = self._index.execute(
                "SELECT hash, start, size FROM packed WHERE pack = ? ORDER BY start", (pack.name,)
            ).fetchall()
        staged = self._root / f"{secrets.token_hex(16)}.part"
        writer = PackWriter(staged)
        contents = []
        try:
            with open(pack, "rb") as source:
                for hash_, start, size in rows:
                    source.seek(start)
                    data = source.read(size)
                    if hashlib.sha256(data).digest() != hash_:
                        log.error("pack %s is damaged: blob %s is not what it was", pack, hash_.hex())
                        return False
                    contents.append(Packed(hash_.hex(), writer.size, size))
                    writer.write(data)
            writer.close()
            self.add(staged, contents)
        finally:
            writer.discard()
            staged.unlink(missing_ok=True)
        return True

    def _is_empty(self, pack: str) -> bool:
        return self._index.execute("SELECT 1 FROM packed WHERE pack = ? LIMIT 1", (pack,)).fetchone() is None


def _is_older(file: Path, before: float) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return file.stat().st_mtime < before
    return False


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
