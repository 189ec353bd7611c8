"""The files of runs: outputs, final logs, whatever a script uploads, and the models it logged by MLflow 3.

A logged model keeps its files itself; here they are shown below the model's name, as earlier MLflows put them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from modelyard.server.artifacts import named_files, paths
from modelyard.server.artifacts.service import ArtifactService
from modelyard.server.kernel import events
from modelyard.server.kernel.clock import Clock
from modelyard.server.kernel.db import Database, Tx
from modelyard.server.kernel.errors import NotFound
from modelyard.server.runs import files_store, logged_models_store, rules, store
from modelyard.server.runs.creation import no_such_run
from modelyard.server.runs.files_store import files
from modelyard.wire.artifacts import FileEntry, FileInfo, FilesAdd

_PIECE = 1 << 20
_NAMED = 5  # how many neighbours an error names


class RunFiles:
    def __init__(self, db: Database, clock: Clock, artifacts: ArtifactService) -> None:
        self._db = db
        self._clock = clock
        self._artifacts = artifacts

    def check_snapshot(self, workspace_id: str, snapshot_id: str) -> None:
        """Raises NotFound."""
        rules.check_text("The snapshot", snapshot_id, rules.MAX_KEY)
        self._artifacts.snapshot(workspace_id, snapshot_id)

    def add(self, workspace_id: str, run_id: str, body: FilesAdd, actor: str = "") -> list[FileInfo]:
        """Attach blobs that the workspace holds. The same file again is fine; another under a path that is taken is
        refused (Conflict `file_exists`) unless `overwrite`. All of them are added or none."""

        def write(tx: Tx) -> list[FileInfo]:
            row = store.by_id(tx, workspace_id, run_id) if rules.is_run_id(run_id) else None
            if row is None:
                raise no_such_run(run_id)
            return self.put(tx, row, body, actor)

        return self._db.write(write)

    def put(
        self, tx: Tx, row: store.Row, body: FilesAdd, actor: str = "", at: float | None = None
    ) -> list[FileInfo]:
        """The same inside a transaction; `at`: when the files were added, where that is not now."""
        paths.check_tree(entry.path for entry in body.entries)
        self._artifacts.check_held(tx, body.entries, row.workspace_id)
        new = files.new(tx, row.id, body.entries, body.overwrite, f"Run {row.id!r}")
        now = self._clock.now()
        at = now if at is None else at
        files.put(tx, row.id, new, at)
        files_store.drop_logs(tx, row.id, [e.path for e in body.entries])
        events.touch(tx, row.id, *(log_topic(row.id, e.path) for e in body.entries[:1000]))
        if new:
            events.publish(
                tx, at=now, workspace_id=row.workspace_id, kind="run.files", subject=row.id, actor=actor,
                count=len(new), first=new[0].path,
            )  # fmt: skip
        return [FileInfo(e.path, e.size, at, e.hash) for e in body.entries]

    def every(self, workspace_id: str, run_id: str) -> list[FileInfo]:
        """Files, the logs that still grow, and the files of logged models, by path."""
        own = self.below(workspace_id, run_id, "")
        with self._db.read() as tx:
            logged = _of_logged_models(tx, run_id, "")
        taken = {file.path for file in own}
        return sorted([*own, *(f for f in map(_info, logged) if f.path not in taken)], key=lambda f: f.path)

    def below(self, workspace_id: str, run_id: str, directory: str) -> list[FileInfo]:
        """The run's own files and logs below a directory; all for an empty one."""
        start = f"{directory}/" if directory else ""
        with self._db.read() as tx:
            self._check(tx, workspace_id, run_id)
            found = [
                FileInfo(r.path, r.size, r.created_at, r.hash) for r in files.below(tx, run_id, directory)
            ]
            logs = [r for r in files_store.logs(tx, run_id) if r.name.startswith(start)]
        return sorted(
            [*found, *(FileInfo(r.name, r.size, r.created_at, live=True) for r in logs)], key=lambda f: f.path
        )

    def remove(self, workspace_id: str, run_id: str, path: str, actor: str = "") -> None:
        """Delete the file at `path`, or all files below that directory. What is not there is fine."""

        def write(tx: Tx) -> None:
            self._check(tx, workspace_id, run_id)
            gone = [row.path for row in files.at(tx, run_id, path)]
            files.remove(tx, run_id, gone)
            if gone:
                events.publish(
                    tx, at=self._clock.now(), workspace_id=workspace_id, kind="run.files_removed", subject=run_id,
                    actor=actor, count=len(gone), first=gone[0],
                )  # fmt: skip

        self._db.write(write)

    def response(self, workspace_id: str, run_id: str, path: str, request: Request) -> Response:
        """A file or a range of it; of a log that still grows, what is there by now. Raises NotFound, Invalid."""
        entry = self.find(workspace_id, run_id, path)
        if entry is not None:
            return self._artifacts.file_response(entry, request, path)
        with self._db.read() as tx:
            live = files_store.log(tx, run_id, path)
            if live is None:
                raise self._no_such_file(tx, run_id, path)
        headers = {"content-length": str(live.size), "x-content-type-options": "nosniff"}
        pieces = self._log_pieces(run_id, path, live.size)
        return StreamingResponse(pieces, headers=headers, media_type="text/plain; charset=utf-8")

    def find(self, workspace_id: str, run_id: str, path: str) -> FileEntry | None:
        paths.check(path)
        with self._db.read() as tx:
            self._check(tx, workspace_id, run_id)
            row = files.by_paths(tx, run_id, [path]).get(path)
            if row is None:
                return next((e for e, _ in _of_logged_models(tx, run_id, path) if e.path == path), None)
        return next(named_files.entries([row]))

    def under(self, workspace_id: str, run_id: str, path: str) -> list[FileEntry]:
        """The file at `path`, or all files below that directory, with their whole paths. Raises NotFound, Invalid."""
        path = path.rstrip("/").removeprefix("./")
        if path not in ("", "."):
            paths.check(path)
        else:
            path = ""
        with self._db.read() as tx:
            self._check(tx, workspace_id, run_id)
            found = {e.path: e for e, _ in _of_logged_models(tx, run_id, path)}
            found.update((e.path, e) for e in named_files.entries(files.at(tx, run_id, path)))
            if not found:
                raise self._no_such_file(tx, run_id, path)
        return [found[each] for each in sorted(found)]

    def read(self, entry: FileEntry, start: int, length: int) -> bytes:
        return b"".join(self._artifacts.read(entry.hash, start, length))

    def _log_pieces(self, run_id: str, path: str, size: int) -> Iterator[bytes]:
        offset = 0
        while offset < size:
            with self._db.read() as tx:
                piece = files_store.read_log(tx, run_id, path, offset, min(_PIECE, size - offset))
            if not piece:
                return  # it became a file meanwhile
            offset += len(piece)
            yield piece

    def _check(self, tx: Tx, workspace_id: str, run_id: str) -> None:
        if not rules.is_run_id(run_id) or not store.exists(tx, workspace_id, run_id):
            raise no_such_run(run_id)

    def _no_such_file(self, tx: Tx, run_id: str, path: str) -> NotFound:
        if files_store.log(tx, run_id, path) is not None:
            return NotFound(
                "file_is_growing",
                f"{path!r} of run {run_id!r} is a log that still grows; it becomes a file at the end.",
            )
        near = ""
        directory = path.rpartition("/")[0]
        while True:
            rows = files.below(tx, run_id, directory)
            if rows or not directory:
                break
            directory = directory.rpartition("/")[0]
        if rows:
            named = ", ".join(repr(row.path) for row in rows[:_NAMED]) + (", …" if len(rows) > _NAMED else "")
            near = f" There is: {named}."
        return NotFound("no_such_file", f"Run {run_id!r} has no file {path!r}.{near or ' It has no files.'}")


def _of_logged_models(tx: Tx, run_id: str, path: str) -> list[tuple[FileEntry, float]]:
    """The file at `path`, or all below it, of the models that the run logged; each with when it was added."""
    wanted, _, rest = path.partition("/")
    found = []
    for name, model_id in logged_models_store.of_run(tx, run_id).items():
        if wanted in ("", name):
            rows = logged_models_store.files.at(tx, model_id, rest)
            entries = named_files.entries(rows)
            found += [
                (dataclasses.replace(entry, path=f"{name}/{entry.path}"), float(row.created_at))
                for entry, row in zip(entries, rows, strict=True)
            ]
    return found


def _info(found: tuple[FileEntry, float]) -> FileInfo:
    entry, created_at = found
    return FileInfo(entry.path, entry.size, created_at, entry.hash)


def log_topic(run_id: str, path: str) -> str:
    return f"log:{run_id}:{path}"
