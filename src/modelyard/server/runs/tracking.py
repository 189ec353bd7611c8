"""Runs that their own client tells of, as MLflow's do: no run host, no signs of life, and never quite over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from modelyard.server.kernel import events
from modelyard.server.kernel.auth import Kind
from modelyard.server.kernel.clock import Clock
from modelyard.server.kernel.db import Database, Tx
from modelyard.server.kernel.errors import Conflict, Forbidden, NotFound
from modelyard.server.runs import (
    appending,
    experiments_store,
    inputs_store,
    lifecycle,
    logged_models_store,
    news,
    rules,
    store,
)
from modelyard.server.runs.appending import Sample
from modelyard.server.runs.creation import Place, is_within, no_such_run
from modelyard.server.runs.inputs_store import Dataset, DatasetUse, Inputs, ModelOutput
from modelyard.server.runs.logged_models_store import ModelMetric
from modelyard.wire.runs import RunInfo, RunStatus, RunUpdate

TYPE = "mlflow.run"

_S = RunStatus


@dataclass(frozen=True)
class Begin:
    """A run that has just begun, somewhere. `parent_id` may be of another experiment."""

    run_id: str
    experiment_id: str
    display_name: str
    description: str = ""
    parent_id: str | None = None
    started_at: float | None = None  # None: now
    user: str = ""
    tags: dict[str, str] = field(default_factory=dict)


class Tracking:
    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    async def begin(self, place: Place, body: Begin) -> RunInfo:
        """A new run, Running. What a run begins is a child of it. Raises Invalid, NotFound, Forbidden, Conflict."""
        rules.check_run_id(body.run_id)
        rules.check_tags(body.tags)
        rules.check_text("The name", body.display_name, 1000)
        rules.check_text("The description", body.description)
        rules.check_text("The user", body.user, 255)

        def write(tx: Tx) -> RunInfo:
            experiment = None
            if rules.is_experiment_name(body.experiment_id):
                experiment = experiments_store.by_id(tx, place.workspace_id, body.experiment_id)
            if experiment is None:
                raise NotFound(
                    "no_such_experiment", f"There is no experiment {body.experiment_id[:80]!r} here."
                )
            if experiment.archived_at is not None:
                raise Conflict(
                    "experiment_archived",
                    f"Experiment {experiment.name!r} is archived. Reactivate it to add runs to it.",
                )
            parent = self._parent(tx, place, body.parent_id)
            now = self._clock.now()
            number = experiments_store.next_numbers(tx, experiment.id, 1, now)
            store.add(
                tx, id=body.run_id, workspace_id=place.workspace_id, workspace=place.workspace,
                experiment_id=experiment.id, number=number, type=TYPE, request="", status=_S.RUNNING.value,
                display_name=body.display_name, description=body.description,
                parent_id=parent.id if parent is not None else None,
                root_id=parent.root_id if parent is not None else body.run_id, tags=body.tags, created_at=now,
                started_at=now if body.started_at is None else body.started_at, user=body.user,
            )  # fmt: skip
            events.publish(
                tx, at=now, workspace_id=place.workspace_id, kind="run.created", subject=body.run_id,
                actor=place.principal.name, status=_S.RUNNING.value, parent=body.parent_id or "",
            )  # fmt: skip
            return _read(tx, place.workspace_id, body.run_id)

        return await self._db.written(write)

    async def log(
        self, workspace_id: str, run_id: str, samples: Sequence[Sample], update: RunUpdate,
        of_models: Sequence[ModelMetric], actor: str,
    ) -> None:  # fmt: skip
        """Points, those of them that tell of a model, and tags and parameters beside them: all or nothing.

        Raises NotFound, Conflict, Invalid.
        """
        news.check_update(update)

        def write(tx: Tx) -> None:
            row = _find(tx, workspace_id, run_id)
            news.update(tx, row, update, self._clock.now(), actor)
            if samples:
                appending.write(tx, run_id, samples)
            if of_models:
                logged_models_store.add_metrics(tx, of_models)

        await self._db.written(write)

    def log_inputs(
        self, workspace_id: str, run_id: str, datasets: Sequence[Dataset], model_ids: Sequence[str]
    ) -> None:
        """Data sets and models that the run reads. Raises NotFound."""

        def write(tx: Tx) -> None:
            row = _find(tx, workspace_id, run_id)
            inputs_store.add_datasets(tx, run_id, datasets)
            inputs_store.add_models(tx, run_id, "input", [ModelOutput(m, 0) for m in model_ids])
            store.change(tx, row)

        self._db.write(write)

    def log_outputs(self, workspace_id: str, run_id: str, models: Sequence[ModelOutput]) -> None:
        """Models that the run made. Raises NotFound."""

        def write(tx: Tx) -> None:
            row = _find(tx, workspace_id, run_id)
            inputs_store.add_models(tx, run_id, "output", models)
            store.change(tx, row)

        self._db.write(write)

    def inputs_of(self, run_ids: Sequence[str]) -> dict[str, Inputs]:
        """Of those of the runs that read or made something."""
        with self._db.read() as tx:
            return inputs_store.of_runs(tx, run_ids)

    def dataset_uses(self, workspace_id: str, experiment_ids: Sequence[str]) -> list[DatasetUse]:
        with self._db.read() as tx:
            return list(inputs_store.uses(tx, workspace_id, experiment_ids))

    async def set_status(
        self, workspace_id: str, run_id: str, then: RunStatus | None, ended_at: float | None, actor: str
    ) -> RunInfo:
        """What its client says of an interactive run, at any time and in any order; a run host has the last word on its own.

        `then` is NotStarted, Running or final. Raises NotFound.
        """

        def write(tx: Tx) -> RunInfo:
            row = _find(tx, workspace_id, run_id)
            if row.spec is None:
                self._set_status(tx, row, then, ended_at, actor)
            return _read(tx, workspace_id, run_id)

        return await self._db.written(write)

    def _set_status(
        self, tx: Tx, row: store.Row, then: RunStatus | None, ended_at: float | None, actor: str
    ) -> None:
        now_is, now = RunStatus(row.status), self._clock.now()
        if then is None or then is now_is:
            if ended_at is not None:
                store.change(tx, row, ended_at=ended_at)
            return
        if now_is in lifecycle.FINAL or then not in lifecycle.FINAL:
            again = then if then in lifecycle.REOPENED else _S.RUNNING
            if again is not now_is:
                store.move(tx, row, again, now=now, actor=actor, reopening=True)
                row = _find(tx, row.workspace_id, row.id)
        if then in lifecycle.FINAL:
            store.move(tx, row, then, now=now, actor=actor, ended_at=ended_at or now)

    def _parent(self, tx: Tx, place: Place, parent_id: str | None) -> store.Row | None:
        caller = place.principal
        if caller.kind is Kind.RUN:
            parent_id = parent_id or caller.subject
            if not is_within(tx, place.workspace_id, caller.subject, parent_id):
                raise Forbidden("other_run", f"{caller.name} may create only child runs of itself.")
        if parent_id is None:
            return None
        return _find(tx, place.workspace_id, parent_id)


def _find(tx: Tx, workspace_id: str, run_id: str) -> store.Row:
    row = store.by_id(tx, workspace_id, run_id) if rules.is_run_id(run_id) else None
    if row is None:
        raise no_such_run(run_id)
    return row


def _read(tx: Tx, workspace_id: str, run_id: str) -> RunInfo:
    row = store.by_id(tx, workspace_id, run_id)
    assert row is not None
    return store.info(row)
