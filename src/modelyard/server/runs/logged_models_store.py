"""Logged models in the database: SQL in, dataclasses out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from modelyard.server.artifacts.named_files import NamedFiles
from modelyard.server.kernel.db import Tx, insert
from modelyard.server.runs import tables
from modelyard.server.runs.tables import logged_model_metrics, logged_models

Row = sa.Row[Any]

files = NamedFiles(tables.logged_model_files, "model_id")

_MANY = 500


@dataclass(frozen=True)
class ModelMetric:
    """A number that a run logged about a model."""

    model_id: str
    name: str
    value: float
    time_ms: int
    step: int
    run_id: str
    dataset_name: str = ""
    dataset_digest: str = ""


@dataclass(frozen=True)
class LoggedModel:
    """`status`: UNSPECIFIED, PENDING, READY or FAILED. Times are Unix seconds."""

    id: str
    experiment_id: str
    name: str
    type: str
    status: str
    source_run_id: str
    created_at: float
    updated_at: float
    deleted_at: float | None = None
    tags: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    metrics: Sequence[ModelMetric] = ()


def add(tx: Tx, workspace_id: str, model: LoggedModel) -> None:
    columns = {k: v for k, v in model.__dict__.items() if k != "metrics"}
    tx.execute(sa.insert(logged_models).values(workspace_id=workspace_id, **columns))


def by_id(tx: Tx, workspace_id: str, model_id: str) -> LoggedModel | None:
    """Also one that was deleted."""
    query = sa.select(logged_models).where(
        logged_models.c.id == model_id, logged_models.c.workspace_id == workspace_id
    )
    return next(iter(_models(tx, tx.execute(query).all())), None)


def of_experiments(tx: Tx, workspace_id: str, experiment_ids: Sequence[str]) -> list[LoggedModel]:
    """Those that were not deleted, the newest first."""
    query = sa.select(logged_models).where(
        logged_models.c.workspace_id == workspace_id,
        logged_models.c.experiment_id.in_(experiment_ids),
        logged_models.c.deleted_at.is_(None),
    )
    return _models(
        tx, tx.execute(query.order_by(logged_models.c.created_at.desc(), logged_models.c.id)).all()
    )


def of_run(tx: Tx, run_id: str) -> dict[str, str]:
    """Name -> id of those that a run made; of several with one name the last."""
    m = logged_models.c
    query = sa.select(m.name, m.id).where(m.source_run_id == run_id, m.deleted_at.is_(None))
    return {row.name: row.id for row in tx.execute(query.order_by(m.created_at, m.id))}


def change(tx: Tx, model_id: str, **given: Any) -> None:
    tx.execute(sa.update(logged_models).where(logged_models.c.id == model_id).values(**given))


def add_metrics(tx: Tx, given: Iterable[ModelMetric]) -> None:
    """What is there already stays; metrics of models that are not there are passed over."""
    metrics = list(given)
    ids = sorted({m.model_id for m in metrics})
    known = set(tx.execute(sa.select(logged_models.c.id).where(logged_models.c.id.in_(ids))).scalars())
    rows = [
        {**m.__dict__, "value": None if math.isnan(m.value) else m.value} for m in metrics if m.model_id in known
    ]  # fmt: skip
    for row in rows:
        tx.execute(insert(tx, logged_model_metrics).values(**row).on_conflict_do_nothing())


def _models(tx: Tx, rows: Sequence[Row]) -> list[LoggedModel]:
    metrics: dict[str, list[ModelMetric]] = {row.id: [] for row in rows}
    ids = list(metrics)
    for start in range(0, len(ids), _MANY):
        m = logged_model_metrics.c
        query = sa.select(logged_model_metrics).where(m.model_id.in_(ids[start : start + _MANY]))
        for row in tx.execute(query.order_by(m.time_ms, m.step, m.name, m.run_id)):
            value = math.nan if row.value is None else row.value
            one = ModelMetric(
                row.model_id,
                row.name,
                value,
                row.time_ms,
                row.step,
                row.run_id,
                row.dataset_name,
                row.dataset_digest,
            )
            metrics[row.model_id].append(one)
    return [
        LoggedModel(
            row.id, row.experiment_id, row.name, row.type, row.status, row.source_run_id, row.created_at,
            row.updated_at, row.deleted_at, row.tags, row.params, metrics[row.id],
        )
        for row in rows
    ]  # fmt: skip
