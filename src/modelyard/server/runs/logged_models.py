"""Models that runs logged, before (or without) being registered: MLflow 3's logged models, and their files."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence

from modelyard.server.artifacts import named_files, paths
from modelyard.server.artifacts.service import ArtifactService
from modelyard.server.kernel import events
from modelyard.server.kernel.clock import Clock
from modelyard.server.kernel.db import Database, Tx
from modelyard.server.kernel.errors import NotFound
from modelyard.server.runs import logged_models_store, rules
from modelyard.server.runs.logged_models_store import LoggedModel, files
from modelyard.wire.artifacts import FileEntry, FileInfo, FilesAdd


class LoggedModels:
    def __init__(self, db: Database, clock: Clock, artifacts: ArtifactService) -> None:
        self._db = db
        self._clock = clock
        self._artifacts = artifacts
        files.hold(artifacts.garbage.holders)

    def create(
        self, workspace_id: str, experiment_id: str, name: str, type_: str, source_run_id: str,
        tags: Mapping[str, str], params: Mapping[str, str], actor: str,
    ) -> LoggedModel:  # fmt: skip
        """A new one, PENDING until its files are there. The experiment is there. Raises Invalid."""
        _check(tags, params)
        now = self._clock.now()
        model = LoggedModel(
            f"m-{uuid.uuid4().hex}", experiment_id, name, type_, "PENDING", source_run_id, now, now,
            tags=dict(tags), params=dict(params),
        )  # fmt: skip

        def write(tx: Tx) -> None:
            logged_models_store.add(tx, workspace_id, model)
            self._publish(tx, workspace_id, "logged_model.created", model.id, actor)

        self._db.write(write)
        return model

    def get(self, workspace_id: str, model_id: str, deleted: bool = False) -> LoggedModel:
        """`deleted`: also one that was deleted. Raises NotFound."""
        with self._db.read() as tx:
            return _find(tx, workspace_id, model_id, deleted)

    def of_experiments(self, workspace_id: str, experiment_ids: Sequence[str]) -> list[LoggedModel]:
        """The newest first."""
        with self._db.read() as tx:
            return logged_models_store.of_experiments(tx, workspace_id, experiment_ids)

    def set_status(self, workspace_id: str, model_id: str, status: str) -> LoggedModel:
        """`status`: UNSPECIFIED, PENDING, READY or FAILED. Raises NotFound."""

        def write(tx: Tx) -> LoggedModel:
            _find(tx, workspace_id, model_id)
            logged_models_store.change(tx, model_id, status=status, updated_at=self._clock.now())
            return _find(tx, workspace_id, model_id)

        return self._db.write(write)

    def change(
        self, workspace_id: str, model_id: str, set_tags: Mapping[str, str], remove_tags: Sequence[str] = (),
        add_params: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        """Raises NotFound, Invalid."""
        _check(set_tags, add_params or {})

        def write(tx: Tx) -> None:
            model = _find(tx, workspace_id, model_id)
            tags = {k: v for k, v in {**model.tags, **set_tags}.items() if k not in remove_tags}
            params = {**model.params, **(add_params or {})}
            _check(tags, params)
            logged_models_store.change(tx, model_id, tags=tags, params=params)

        self._db.write(write)

    def delete(self, workspace_id: str, model_id: str, actor: str) -> None:
        """It is no longer found; its files stay as long as its experiment. Raises NotFound."""

        def write(tx: Tx) -> None:
            _find(tx, workspace_id, model_id, deleted=True)
            now = self._clock.now()
            logged_models_store.change(tx, model_id, deleted_at=now, updated_at=now)
            self._publish(tx, workspace_id, "logged_model.deleted", model_id, actor)

        self._db.write(write)

    def add_files(self, workspace_id: str, model_id: str, body: FilesAdd) -> list[FileInfo]:
        """Attach blobs that the workspace holds, as `RunFiles.add` does. Raises NotFound, Conflict, Invalid."""

        def write(tx: Tx) -> list[FileInfo]:
            _find(tx, workspace_id, model_id)
            paths.check_tree(entry.path for entry in body.entries)
            self._artifacts.check_held(tx, body.entries, workspace_id)
            new = files.new(tx, model_id, body.entries, body.overwrite, f"Logged model {model_id!r}")
            now = self._clock.now()
            files.put(tx, model_id, new, now)
            return [FileInfo(e.path, e.size, now, e.hash) for e in body.entries]

        return self._db.write(write)

    def files_below(self, workspace_id: str, model_id: str, directory: str) -> list[FileInfo]:
        """The files below a directory, all for an empty one. Raises NotFound for the model."""
        with self._db.read() as tx:
            _find(tx, workspace_id, model_id)
            rows = files.below(tx, model_id, directory)
        return [FileInfo(row.path, row.size, row.created_at, row.hash) for row in rows]

    def files_at(self, workspace_id: str, model_id: str, path: str) -> list[FileEntry]:
        """The file at `path`, or all files below that directory; none where there is nothing. Raises NotFound for the model."""
        with self._db.read() as tx:
            _find(tx, workspace_id, model_id)
            return list(named_files.entries(files.at(tx, model_id, path)))

    def remove_files(self, workspace_id: str, model_id: str, path: str) -> None:
        """The file at `path`, or all files below that directory. What is not there is fine."""

        def write(tx: Tx) -> None:
            _find(tx, workspace_id, model_id)
            files.remove(tx, model_id, [row.path for row in files.at(tx, model_id, path)])

        self._db.write(write)

    def _publish(self, tx: Tx, workspace_id: str, kind: str, model_id: str, actor: str) -> None:
        events.publish(
            tx, at=self._clock.now(), workspace_id=workspace_id, kind=kind, subject=model_id, actor=actor
        )


def _find(tx: Tx, workspace_id: str, model_id: str, deleted: bool = False) -> LoggedModel:
    found = logged_models_store.by_id(tx, workspace_id, model_id) if "\0" not in model_id else None
    if found is None or (found.deleted_at is not None and not deleted):
        raise NotFound("no_such_logged_model", f"Logged model with ID '{model_id[:200]}' not found.")
    return found


def _check(tags: Mapping[str, str], params: Mapping[str, str]) -> None:
    rules.check_tags(tags)
    rules.check_params(params)
