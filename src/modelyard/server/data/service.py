"""What a workspace does with its datastores: so far the one that every workspace begins with."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from modelyard.server.artifacts import named_files, paths
from modelyard.server.artifacts.service import ArtifactService
from modelyard.server.data import store
from modelyard.server.kernel import events
from modelyard.server.kernel.clock import Clock
from modelyard.server.kernel.db import Database, Tx
from modelyard.server.kernel.errors import NotFound
from modelyard.server.kernel.ids import new_id
from modelyard.wire.artifacts import FileInfo
from modelyard.wire.data import DatastoreFilesAdd, DatastoreFilesAdded, DatastoreInfo

# v1's names for what a new workspace has.
DEFAULT_NAME = "workspaceblobstore"
_DEFAULT_TYPE = "AzureBlob"


class DataService:
    """Files of a datastore are blobs of the yard, named by path, so the same bytes are kept once."""

    def __init__(self, db: Database, clock: Clock, artifacts: ArtifactService) -> None:
        self._db = db
        self._clock = clock
        self._artifacts = artifacts
        store.files.hold(artifacts.garbage.holders)

    def begin_workspace(self, tx: Tx, workspace_id: str) -> None:
        """Give a new workspace its default datastore, unless it came in with its own."""
        if store.every(tx, workspace_id):
            return
        info = DatastoreInfo(DEFAULT_NAME, _DEFAULT_TYPE, True, self._clock.now())
        store.add(tx, new_id(), workspace_id, info)

    def every(self, workspace_id: str) -> list[DatastoreInfo]:
        """By name."""
        with self._db.read() as tx:
            return [info for _, info in store.every(tx, workspace_id)]

    def get(self, workspace_id: str, name: str) -> DatastoreInfo:
        """Raises NotFound."""
        with self._db.read() as tx:
            return _find(tx, workspace_id, name)[1]

    def files(self, workspace_id: str, name: str, path: str) -> list[FileInfo]:
        """The file at `path`, or all files below that directory; all of them for an empty one. Raises NotFound."""
        if path:
            paths.check(path)
        with self._db.read() as tx:
            rows = store.files.at(tx, _find(tx, workspace_id, name)[0], path)
        if path and not rows:
            raise _no_such_file(name, path)
        return [FileInfo(row.path, row.size, row.created_at, row.hash) for row in rows]

    def file_response(self, workspace_id: str, name: str, path: str, request: Request) -> Response:
        """A file or a range of it. Raises NotFound, Invalid."""
        paths.check(path)
        with self._db.read() as tx:
            found = store.files.by_paths(tx, _find(tx, workspace_id, name)[0], [path]).values()
        for entry in named_files.entries(found):
            return self._artifacts.file_response(entry, request, path)
        raise _no_such_file(name, path)

    def add(
        self, workspace_id: str, name: str, body: DatastoreFilesAdd, actor: str = ""
    ) -> DatastoreFilesAdded:
        """Write files, all or none. Raises Conflict where a file is in the way of a directory or the other way round."""
        paths.check_tree(entry.path for entry in body.entries)

        def write(tx: Tx) -> DatastoreFilesAdded:
            datastore_id, _ = _find(tx, workspace_id, name)
            self._artifacts.check_held(tx, body.entries, workspace_id)
            there = (
                {}
                if body.overwrite
                else store.files.by_paths(tx, datastore_id, [e.path for e in body.entries])
            )
            wanted = [entry for entry in body.entries if entry.path not in there]
            new = store.files.new(tx, datastore_id, wanted, True, f"Datastore {name!r}")
            now = self._clock.now()
            store.files.put(tx, datastore_id, new, now)
            if new:
                events.publish(
                    tx, at=now, workspace_id=workspace_id, kind="datastore.files", subject=datastore_id, actor=actor,
                    name=name, count=len(new), first=new[0].path,
                )  # fmt: skip
            return DatastoreFilesAdded(len(wanted), sorted(there))

        return self._db.write(write)

    def remove(self, workspace_id: str, name: str, path: str, actor: str = "") -> None:
        """Take away the file at `path`, or all files below that directory. Raises NotFound, Invalid."""
        paths.check(path)

        def write(tx: Tx) -> None:
            datastore_id, _ = _find(tx, workspace_id, name)
            gone = [row.path for row in store.files.at(tx, datastore_id, path)]
            if not gone:
                raise _no_such_file(name, path)
            store.files.remove(tx, datastore_id, gone)
            events.publish(
                tx, at=self._clock.now(), workspace_id=workspace_id, kind="datastore.files_deleted",
                subject=datastore_id, actor=actor, name=name, count=len(gone), path=path,
            )  # fmt: skip

        self._db.write(write)

    def forget_workspace(self, tx: Tx, workspace_id: str) -> None:
        store.forget_workspace(tx, workspace_id)


def _find(tx: Tx, workspace_id: str, name: str) -> tuple[str, DatastoreInfo]:
    known = store.every(tx, workspace_id)
    for datastore_id, info in known:
        if info.name == name:
            return datastore_id, info
    names = ", ".join(repr(info.name) for _, info in known)
    raise NotFound(
        "no_such_datastore", f"There is no datastore {name[:80]!r} in this workspace. It has: {names}."
    )


def _no_such_file(name: str, path: str) -> NotFound:
    return NotFound(
        "no_such_file",
        f"Datastore {name!r} has no file {path!r}, and no files below a directory of that name.",
    )
