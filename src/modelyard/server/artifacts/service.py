"""What the yard does with blobs and the trees made of them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from functools import partial
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from modelyard.server.artifacts import archive, paths, receive, responses, store
from modelyard.server.artifacts.garbage import Garbage
from modelyard.server.artifacts.receive import Taker
from modelyard.server.kernel.blobs import CHUNK, BlobStore
from modelyard.server.kernel.clock import Clock
from modelyard.server.kernel.db import Database, Tx
from modelyard.server.kernel.errors import Invalid, NotFound
from modelyard.wire.artifacts import BlobsStored, FileEntry, SnapshotInfo
from modelyard.wire.trees import manifest

_HASH = re.compile(r"[0-9a-f]{64}")
_NAMED = 5  # how many missing files an error names


class ArtifactService:
    """Takes blobs in, makes trees of them, and gives files out."""

    def __init__(self, db: Database, clock: Clock, blobs: BlobStore) -> None:
        self._db = db
        self._clock = clock
        self._blobs = blobs
        self.garbage = Garbage(db, clock, blobs)

    async def receive(self, workspace_id: str, stream: AsyncIterator[bytes]) -> BlobsStored:
        """Take in a body of blob frames; durable when this returns. Raises Invalid, TooLarge, DiskFull."""
        sizes = await self._take(workspace_id, stream, receive.Frames)
        return BlobsStored(len(sizes), sum(sizes.values()))

    async def receive_one(self, workspace_id: str, stream: AsyncIterator[bytes]) -> tuple[str, int]:
        """Take in a body that is one blob, of any size; answers its hash and size, durable. Raises TooLarge, DiskFull."""
        sizes = await self._take(workspace_id, stream, receive.Whole)
        return next(iter(sizes.items()))

    async def _take(
        self, workspace_id: str, stream: AsyncIterator[bytes], take: Callable[[Path], Taker]
    ) -> dict[str, int]:
        bring = partial(self.garbage.bring, workspace_id)
        return await receive.receive(self._blobs, stream, take, bring)

    def missing(self, workspace_id: str, hashes: Collection[str]) -> list[str]:
        """Those that the workspace does not hold, each once, in the order given. Raises Invalid."""
        for hash_ in hashes:
            _check_hash(hash_)
        with self._db.read() as tx:
            held = store.sizes(tx, workspace_id, hashes)
        return [h for h in dict.fromkeys(hashes) if h not in held]

    def frames(self, workspace_id: str, hashes: Collection[str]) -> Iterator[bytes]:
        """These blobs as frames, in pieces of a megabyte or so. Raises NotFound or Invalid before the first piece."""
        lacking = self.missing(workspace_id, hashes)
        if lacking:
            raise NotFound("no_such_blob", f"The yard does not hold blob {lacking[0]}.")
        with self._db.read() as tx:
            sizes = store.sizes(tx, workspace_id, hashes)

        def pieces() -> Iterator[bytes]:
            waiting: list[bytes] = []
            size = 0
            for hash_ in dict.fromkeys(hashes):
                waiting.append(f"{hash_} {sizes[hash_]}\n".encode())
                for piece in self._blobs.read(hash_):
                    waiting.append(piece)
                    size += len(piece)
                    if size >= CHUNK:
                        yield b"".join(waiting)
                        waiting, size = [], 0
            if waiting:
                yield b"".join(waiting)

        return pieces()

    def check_held(self, tx: Tx, entries: Sequence[FileEntry], workspace_id: str | None = None) -> None:
        """Every entry's blob is here (in that workspace, when one is named) with that size. Raises Invalid naming
        those that are not."""
        for entry in entries:
            _check_hash(entry.hash)
        self.garbage.keep(tx, (e.hash for e in entries))
        held = store.sizes(tx, workspace_id, [e.hash for e in entries])
        lacking = [e for e in entries if e.hash not in held]
        if lacking:
            named = ", ".join(repr(e.path) for e in lacking[:_NAMED]) + (
                ", …" if len(lacking) > _NAMED else ""
            )
            raise Invalid(
                "blobs_missing",
                f"The bytes of {len(lacking)} files are not here yet ({named}). Upload their blobs first.",
                missing=[e.hash for e in lacking],
            )
        for entry in entries:
            if held[entry.hash] != entry.size:
                raise Invalid(
                    "wrong_size",
                    f"File {entry.path!r} is said to have {entry.size} bytes; it has {held[entry.hash]}.",
                )

    def make_tree(self, tx: Tx, entries: Sequence[FileEntry]) -> str:
        """The id of the tree of these files, whose blobs were checked. Raises Invalid for paths that can't be."""
        paths.check_tree(e.path for e in entries)
        text = manifest(entries)
        tree_id = hashlib.sha256(text).hexdigest()
        store.add_tree(tx, tree_id, text, len(entries), sum(e.size for e in entries))
        return tree_id

    def tree(self, tree_id: str) -> list[FileEntry]:
        """The tree's files, sorted by path. Raises NotFound."""
        with self._db.read() as tx:
            entries = store.tree(tx, tree_id)
        if entries is None:
            raise NotFound("no_such_tree", f"There is no tree {tree_id[:80]!r}.")
        return entries

    def create_snapshot(self, workspace_id: str, entries: Sequence[FileEntry]) -> SnapshotInfo:
        """The snapshot of these files; the same files give the same snapshot. Raises Invalid."""
        now = self._clock.now()

        def write(tx: Tx) -> SnapshotInfo:
            tree_id = self.make_tree(tx, entries)
            self.check_held(tx, entries, workspace_id)
            store.add_snapshot(tx, workspace_id, tree_id, now)
            return SnapshotInfo(tree_id, len(entries), sum(e.size for e in entries), now)

        return self._db.write(write)

    def snapshot(self, workspace_id: str, snapshot_id: str) -> SnapshotInfo:
        """What the workspace knows of a snapshot, without its files. Raises NotFound."""
        with self._db.read() as tx:
            info = store.snapshot(tx, workspace_id, snapshot_id)
        if info is None:
            raise NotFound("no_such_snapshot", f"This workspace has no snapshot {snapshot_id[:80]!r}.")
        return info

    def snapshot_file(self, workspace_id: str, snapshot_id: str, path: str) -> FileEntry:
        """One file of a snapshot. Raises Invalid (path), NotFound."""
        self.snapshot(workspace_id, snapshot_id)
        return find(self.tree(snapshot_id), path, f"Snapshot {snapshot_id}")

    def blob(self, workspace_id: str, hash_: str) -> FileEntry:
        """A blob that the workspace holds, as a file named by its hash. Raises Invalid, NotFound."""
        _check_hash(hash_)
        with self._db.read() as tx:
            held = store.sizes(tx, workspace_id, [hash_])
        if hash_ not in held:
            raise NotFound("no_such_blob", f"This workspace holds no blob {hash_}.")
        return FileEntry(hash_, hash_, held[hash_])

    def read(self, hash_: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """A blob's bytes in pieces. Raises NotFound."""
        return self._blobs.read(hash_, start, length)

    def zip(self, tree_id: str) -> Iterator[bytes]:
        """A tree's files as a zip, in pieces. Raises NotFound before the first."""
        return archive.stream(self.tree(tree_id), self._blobs.read)

    def file_response(self, entry: FileEntry, request: Request, filename: str) -> Response:
        """The entry's bytes as the answer to a GET: whole, a range, or 304."""
        return responses.file_response(self._blobs, entry, request, filename)

    def close(self) -> None:
        """Let go of the blob store."""
        self._blobs.close()

    def forget_workspace(self, tx: Tx, workspace_id: str) -> None:
        store.forget_workspace(tx, workspace_id)


def find(entries: Sequence[FileEntry], path: str, owner: str) -> FileEntry:
    """The file at `path`. Raises Invalid for a path that can't be, NotFound; `owner` begins its sentence."""
    paths.check(path)
    for entry in entries:
        if entry.path == path:
            return entry
    raise NotFound("no_such_file", f"{owner} has no file {path!r}.")


def _check_hash(hash_: str) -> None:
    if not _HASH.fullmatch(hash_):
        raise Invalid("bad_hash", f"{hash_[:80]!r} is not a SHA-256 in 64 lower-case hexadecimal digits.")
