"""Traces in the database: SQL in, dataclasses out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import sqlalchemy as sa

from modelyard.server.artifacts.named_files import NamedFiles
from modelyard.server.kernel.db import Tx
from modelyard.server.mlflow import tables
from modelyard.server.mlflow.tables import traces

files = NamedFiles(tables.trace_files, "trace_id")


@dataclass(frozen=True)
class Trace:
    id: str
    experiment_id: str
    started_ms: int
    duration_ms: int | None = None
    state: str = "IN_PROGRESS"
    client_request_id: str = ""
    request_preview: str = ""
    response_preview: str = ""
    trace_metadata: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    assessments: list[Any] = field(default_factory=list)
    run_ids: list[str] = field(default_factory=list)


_NAMES = [one.name for one in fields(Trace)]


def add(tx: Tx, workspace_id: str, trace: Trace) -> None:
    tx.execute(sa.insert(traces).values(workspace_id=workspace_id, **trace.__dict__))


def change(tx: Tx, trace: Trace) -> None:
    given = {k: v for k, v in trace.__dict__.items() if k != "id"}
    tx.execute(sa.update(traces).where(traces.c.id == trace.id).values(**given))


def by_id(tx: Tx, workspace_id: str, trace_id: str) -> Trace | None:
    row = tx.execute(
        sa.select(traces).where(traces.c.id == trace_id, traces.c.workspace_id == workspace_id)
    ).first()
    return None if row is None else _trace(row)


def exists(tx: Tx, trace_id: str) -> bool:
    """In whichever workspace."""
    return tx.execute(sa.select(traces.c.id).where(traces.c.id == trace_id)).first() is not None


def of_experiments(tx: Tx, workspace_id: str, experiment_ids: Sequence[str]) -> list[Trace]:
    """The newest first."""
    query = sa.select(traces).where(
        traces.c.workspace_id == workspace_id, traces.c.experiment_id.in_(experiment_ids)
    )
    return [_trace(row) for row in tx.execute(query.order_by(traces.c.started_ms.desc(), traces.c.id))]


def remove(tx: Tx, trace_ids: Sequence[str]) -> None:
    tx.execute(sa.delete(traces).where(traces.c.id.in_(trace_ids)))


def _trace(row: sa.Row[Any]) -> Trace:
    return Trace(**{name: getattr(row, name) for name in _NAMES})
