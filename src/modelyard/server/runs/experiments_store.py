"""Experiments in the database: SQL in, wire types out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from modelyard.server.kernel.db import Tx, insert
from modelyard.server.runs import views
from modelyard.server.runs.tables import experiments
from modelyard.wire.experiments import ExperimentInfo

Row = sa.Row[Any]


_THERE = experiments.c.deleted_at.is_(None)
_BY_ID = sa.select(experiments).where(
    experiments.c.workspace_id == sa.bindparam("workspace"), experiments.c.id == sa.bindparam("experiment")
)
_BY_ID_THERE = _BY_ID.where(_THERE)


def by_name(tx: Tx, workspace_id: str, name: str) -> Row | None:
    return tx.execute(
        sa.select(experiments).where(
            experiments.c.workspace_id == workspace_id, experiments.c.name == name, _THERE
        )
    ).first()


def by_id(tx: Tx, workspace_id: str, experiment_id: str, in_trash: bool = False) -> Row | None:
    """`in_trash`: also one that was deleted."""
    wanted = {"workspace": workspace_id, "experiment": experiment_id}
    return tx.execute(_BY_ID if in_trash else _BY_ID_THERE, wanted).first()


def add(tx: Tx, **given: Any) -> bool:
    """False when the name is taken; then nothing changes."""
    statement = insert(tx, experiments).values(**given).on_conflict_do_nothing()
    done = tx.execute(statement)
    return bool(done.rowcount == 1)


def every(tx: Tx, workspace_id: str, view: str) -> list[Row]:
    query = sa.select(experiments).where(experiments.c.workspace_id == workspace_id)
    return list(tx.execute(query.where(*views.conditions(experiments, view)).order_by(experiments.c.name)))


def is_taken(tx: Tx, experiment_id: str) -> bool:
    """Whether an experiment of any workspace has this id."""
    return (
        tx.execute(sa.select(experiments.c.id).where(experiments.c.id == experiment_id)).first() is not None
    )


def change(tx: Tx, experiment_id: str, **given: Any) -> None:
    tx.execute(sa.update(experiments).where(experiments.c.id == experiment_id).values(**given))


_TAKE_NUMBERS = (
    sa.update(experiments)
    .where(experiments.c.id == sa.bindparam("experiment"))
    .values(
        last_number=experiments.c.last_number + sa.bindparam("more"),
        run_count=experiments.c.run_count + sa.bindparam("more"),
        last_run_at=sa.bindparam("now"),
    )
    .returning(experiments.c.last_number)
)


def next_numbers(tx: Tx, experiment_id: str, count: int, now: float) -> int:
    """The first of `count` new run numbers."""
    last = tx.execute(_TAKE_NUMBERS, {"experiment": experiment_id, "more": count, "now": now}).scalar_one()
    return int(last) - count + 1


def remove(tx: Tx, experiment_ids: Sequence[str]) -> None:
    tx.execute(sa.delete(experiments).where(experiments.c.id.in_(experiment_ids)))


def forget_workspace(tx: Tx, workspace_id: str) -> None:
    tx.execute(sa.delete(experiments).where(experiments.c.workspace_id == workspace_id))


def info(row: Row) -> ExperimentInfo:
    return ExperimentInfo(
        id=row.id, name=row.name, tags=row.tags, description=row.description, created_at=row.created_at,
        archived_at=row.archived_at, run_count=row.run_count, last_run_at=row.last_run_at,
        deleted_at=row.deleted_at, updated_at=row.updated_at,
    )  # fmt: skip
