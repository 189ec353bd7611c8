"""Models that runs logged, before (or without) being registered: MLflow 3's logged models, and their files."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence

from modelyard.server.artifacts.file_holders import FileHolders
from modelyard.server.artifacts.service import ArtifactService
from modelyard.server.kernel import events
from modelyard.server.kernel.clock import Clock
from modelyard.server.kernel.db import Database, Tx
from modelyard.server.kernel.errors import NotFound
from modelyard.server.runs import logged_models_store, rules
from modelyard.server.runs.logged_models_store import LoggedModel, files


class LoggedModels(FileHolders):
    def __init__(self, db: Database, clock: Clock, artifacts: ArtifactService) -> None:
        super().__init__(db, clock, artifacts, files, _find, "Logged model")

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
