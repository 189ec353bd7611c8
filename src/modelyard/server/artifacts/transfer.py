"""How blobs, trees and snapshots leave in a file and come in from one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import groupby

from modelyard.server.artifacts import paths, store
from modelyard.server.artifacts.receive import MAX_FRAMES, Frames
from modelyard.server.artifacts.service import ArtifactService
from modelyard.server.kernel.blobs import BlobStore
from modelyard.server.kernel.db import Database, Tx
from modelyard.server.kernel.errors import ProblemError, Unavailable
from modelyard.server.kernel.transfer import FileTable, In, Kind, Out, Scope, Target, bad_file, refuse
from modelyard.wire.artifacts import FileEntry
from modelyard.wire.trees import manifest

BLOBS = FileTable("blobs", {"hash": Kind.TEXT, "size": Kind.INTEGER})
TREES = FileTable(
    "tree_files",
    {"tree_id": Kind.TEXT, "path": Kind.TEXT, "hash": Kind.TEXT, "size": Kind.INTEGER, "executable": Kind.BOOLEAN},
)  # fmt: skip
SNAPSHOTS = FileTable("snapshots", {"tree_id": Kind.TEXT, "created_at": Kind.FLOAT})

_GROUP_BYTES = 256 << 20  # of blobs that become durable together
_MANY = 500
_EMPTY_TREE = hashlib.sha256(manifest([])).hexdigest()


class ArtifactTransfer:
    tables = (BLOBS, TREES, SNAPSHOTS)

    def __init__(self, db: Database, artifacts: ArtifactService, blobs: BlobStore) -> None:
        self._db = db
        self._garbage = artifacts.garbage
        self._blobs = blobs
        # To be called in the transaction that refers to files that came in.
        self.refer_to = artifacts.check_held

    def leave(self, tx: Tx, scope: Scope, out: Out) -> None:
        if scope.with_files:
            snapshots = store.snapshots_of(tx, scope.workspace_id)
            wanted = [s for s in snapshots if scope.is_whole or s[0] in out.trees]
            out.rows(SNAPSHOTS, wanted)
            out.trees.update(tree_id for tree_id, _ in wanted)
            for tree_id in sorted(out.trees):
                entries = store.tree(tx, tree_id) or []
                out.rows(TREES, [(tree_id, e.path, e.hash, e.size, e.executable) for e in entries])
                out.blobs.update((e.hash, e.size) for e in entries)
        out.rows(BLOBS, sorted(out.blobs.items()))

    def come_in(self, given: In, target: Target) -> None:
        """Trees and blobs have no names, so nothing of them can be in the way of anything."""
        if not target.is_rehearsal:
            self._take_blobs(given, target.workspace_id)
            self._garbage.reserve(given.blobs.keys())  # what refers to them comes in later
        given.trees.add(_EMPTY_TREE)
        for tree_id, entries in _trees(given):
            given.trees.add(tree_id)
            check_held(given, entries)
            if not target.is_rehearsal:
                self._db.write(lambda tx, i=tree_id, e=entries: _add_tree(tx, i, e))  # type: ignore[misc]
        rows = [SNAPSHOTS.mapping(row) for row in given.rows(SNAPSHOTS)]
        for row in rows:
            if row["tree_id"] not in given.trees or row["created_at"] is None:
                refuse(f"The files of snapshot {str(row['tree_id'])[:80]!r} are not in it.")
        if target.is_rehearsal:
            return
        for start in range(0, len(rows), _MANY):
            some = rows[start : start + _MANY]
            self._db.write(lambda tx, some=some: self._add_snapshots(tx, target, some))  # type: ignore[misc]

    def _add_snapshots(self, tx: Tx, target: Target, rows: list[Mapping[str, object]]) -> None:
        for row in rows:
            if row["tree_id"] == _EMPTY_TREE:
                store.add_tree(tx, _EMPTY_TREE, b"", 0, 0)
            # Asked for now: an old one that no run refers to yet would be garbage.
            created_at = float(row["created_at"])  # type: ignore[arg-type]
            store.add_snapshot(tx, target.workspace_id, str(row["tree_id"]), created_at, target.at)

    def _take_blobs(self, given: In, workspace_id: str) -> None:
        """Those that the workspace lacks, group by group; each is durable before a row tells of it."""
        for hashes in _groups(given.blobs):
            with self._db.read() as tx:
                held = store.sizes(tx, workspace_id, hashes)
            lacking = {h: given.blobs[h] for h in hashes if h not in held}
            if not lacking:
                continue
            self._garbage.bring(workspace_id, partial(self._put, given, lacking))

    def _put(self, given: In, lacking: Mapping[str, int]) -> dict[str, int]:
        with self._blobs.staging() as directory:
            frames = Frames(directory)
            try:
                for hash_, size in lacking.items():
                    frames.feed([f"{hash_} {size}\n".encode()])
                    frames.feed(given.blob(hash_))
                frames.finish(self._blobs)
            except ProblemError as error:
                raise bad_file(f"A blob is not what its name says. {error.detail}") from error
            finally:
                frames.close()
        return dict(frames.sizes)

    def refer_to_tree(self, tx: Tx, workspace_id: str, tree_id: str) -> None:
        """In the transaction that refers to a tree that came in: its files stay. Raises Unavailable when they are gone."""
        entries = [] if tree_id == _EMPTY_TREE else store.tree(tx, tree_id)
        if entries is None:
            raise Unavailable(
                "import_again",
                "Files of this import were removed meanwhile as unused. Import the file again.",
            )
        self.refer_to(tx, entries, workspace_id)


def check_held(given: In, entries: Iterable[FileEntry]) -> None:
    """Raises Invalid for a file whose bytes are not in the file that comes in."""
    for entry in entries:
        if given.blobs.get(entry.hash) != entry.size:
            refuse(f"The bytes of {entry.path[:200]!r} (blob {str(entry.hash)[:80]}) are not in it.")


def _trees(given: In) -> Iterator[tuple[str, list[FileEntry]]]:
    for tree_id, rows in groupby(given.rows(TREES), key=lambda row: row[0]):
        entries = [entry(TREES.mapping(row)) for row in rows]
        paths.check_tree(e.path for e in entries)
        if hashlib.sha256(manifest(entries)).hexdigest() != tree_id:
            refuse(f"The files of tree {str(tree_id)[:80]!r} are not those it is named by.")
        yield tree_id, entries


def entry(row: Mapping[str, object]) -> FileEntry:
    """The file that a row with path, hash, size and executable tells of. Raises Invalid."""
    path, hash_, size, executable = (row[c] for c in ("path", "hash", "size", "executable"))
    if not isinstance(path, str) or not isinstance(hash_, str) or not isinstance(size, int):
        raise bad_file("A file in it lacks its path, hash or size.")
    paths.check(path)
    return FileEntry(path, hash_, size, bool(executable))


def _add_tree(tx: Tx, tree_id: str, entries: list[FileEntry]) -> None:
    store.add_tree(tx, tree_id, manifest(entries), len(entries), sum(e.size for e in entries))


def _groups(blobs: Mapping[str, int]) -> Iterator[list[str]]:
    group: list[str] = []
    size = 0
    for hash_, bytes_ in blobs.items():
        group.append(hash_)
        size += bytes_
        if size >= _GROUP_BYTES or len(group) >= MAX_FRAMES // 10:
            yield group
            group, size = [], 0
    if group:
        yield group
