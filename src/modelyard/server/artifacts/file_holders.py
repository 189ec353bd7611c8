"""What is done with the files of things that hold files and little else: attach, list, find, take away."""

from __future__ import annotations

from collections.abc import Callable

from modelyard.server.artifacts import named_files, paths
from modelyard.server.artifacts.named_files import NamedFiles
from modelyard.server.artifacts.service import ArtifactService
from modelyard.server.kernel.clock import Clock
from modelyard.server.kernel.db import Database, Tx
from modelyard.wire.artifacts import FileEntry, FileInfo, FilesAdd


class FileHolders:
    """Things of one kind, each with its files. Every call raises what `find` does for a thing that is not there."""

    def __init__(
        self, db: Database, clock: Clock, artifacts: ArtifactService, files: NamedFiles,
        find: Callable[[Tx, str, str], object], called: str,
    ) -> None:  # fmt: skip
        """`find` takes the workspace's and the thing's id; `called`: the kind, at the beginning of a sentence."""
        self._db = db
        self._clock = clock
        self._artifacts = artifacts
        self._files = files
        self._find = find
        self._called = called
        files.hold(artifacts.garbage.holders)

    def add_files(self, workspace_id: str, owner: str, body: FilesAdd) -> list[FileInfo]:
        """Attach blobs that the workspace holds, all or none. Raises Conflict, Invalid."""

        def write(tx: Tx) -> list[FileInfo]:
            self._find(tx, workspace_id, owner)
            paths.check_tree(entry.path for entry in body.entries)
            self._artifacts.check_held(tx, body.entries, workspace_id)
            new = self._files.new(tx, owner, body.entries, body.overwrite, f"{self._called} {owner!r}")
            now = self._clock.now()
            self._files.put(tx, owner, new, now)
            return [FileInfo(e.path, e.size, now, e.hash) for e in body.entries]

        return self._db.write(write)

    def files_below(self, workspace_id: str, owner: str, directory: str) -> list[FileInfo]:
        """The files below a directory, all for an empty one."""
        with self._db.read() as tx:
            self._find(tx, workspace_id, owner)
            rows = self._files.below(tx, owner, directory)
        return [FileInfo(row.path, row.size, row.created_at, row.hash) for row in rows]

    def files_at(self, workspace_id: str, owner: str, path: str) -> list[FileEntry]:
        """The file at `path`, or all files below that directory; none where there is nothing."""
        with self._db.read() as tx:
            self._find(tx, workspace_id, owner)
            return list(named_files.entries(self._files.at(tx, owner, path)))

    def remove_files(self, workspace_id: str, owner: str, path: str) -> None:
        """The file at `path`, or all files below that directory. What is not there is fine."""

        def write(tx: Tx) -> None:
            self._find(tx, workspace_id, owner)
            self._files.remove(tx, owner, [row.path for row in self._files.at(tx, owner, path)])

        self._db.write(write)
