"""Runs and experiments that are deleted for good, under the receipt that counts them.

First everything is marked, in one transaction: from then on nothing comes back. Then it is removed some at a time, so that
other writers get their turn; whoever is killed in between goes on where it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from modelyard.server.kernel.db import Tx
from modelyard.server.runs import experiments_store, lifecycle, metrics_store, store
from modelyard.server.runs.tables import experiments, files, logged_model_files, logged_models, runs

_MANY = 500
_FINAL = [s.value for s in lifecycle.FINAL]


_FILE = (logged_model_files.c.path, logged_model_files.c.hash, logged_model_files.c.size)


@dataclass(frozen=True)
class Trashed:
    """What a person has put into the trash."""

    id: str
    name: str
    deleted_at: float
    runs: int


@dataclass(frozen=True)
class Going:
    """A run that goes, with what it holds: (path, hash, size) of each file, those of the models that it logged too, and
    its snapshot."""

    id: str
    experiment: str
    snapshot_id: str | None
    is_child: bool = False
    files: list[tuple[str, str, int]] = field(default_factory=list)


@dataclass(frozen=True)
class GoingModel:
    """A logged model that goes, with its files."""

    id: str
    name: str
    files: list[tuple[str, str, int]] = field(default_factory=list)


def trashed_runs(tx: Tx, workspace_id: str) -> list[Trashed]:
    together = runs.alias()
    count = (
        sa.select(sa.func.count())
        .where(together.c.deleted_with == runs.c.id)
        .correlate(runs)
        .scalar_subquery()
    )
    query = sa.select(runs.c.id, runs.c.display_name, runs.c.deleted_at, count)
    mine = query.where(
        runs.c.deleted_with.is_not(None),
        runs.c.workspace_id == workspace_id,
        runs.c.deleted_with == runs.c.id,
    )
    return [Trashed(*row) for row in tx.execute(mine)]


def trashed_experiments(tx: Tx, workspace_id: str) -> list[Trashed]:
    query = sa.select(
        experiments.c.id, experiments.c.name, experiments.c.deleted_at, experiments.c.run_count
    ).where(experiments.c.workspace_id == workspace_id, experiments.c.deleted_with == experiments.c.id)
    return [Trashed(*row) for row in tx.execute(query)]


def condemn_run(tx: Tx, row: store.Row, receipt: str) -> None:
    """With all runs below it, however they came into the trash."""
    ids = [row.id, *store.descendant_ids(tx, row.id)]
    for start in range(0, len(ids), _MANY):
        some = ids[start : start + _MANY]
        tx.execute(sa.update(runs).where(runs.c.id.in_(some)).values(deleted_with=receipt))


def condemn_experiment(tx: Tx, row: experiments_store.Row, receipt: str) -> None:
    """With all its runs."""
    tx.execute(sa.update(runs).where(runs.c.experiment_id == row.id).values(deleted_with=receipt))
    experiments_store.change(tx, row.id, deleted_with=receipt)


def ids_to_go(tx: Tx, row: store.Row | None, experiment_id: str = "") -> list[str]:
    """The runs that go with a run, or with an experiment."""
    if row is not None:
        return [row.id, *store.descendant_ids(tx, row.id)]
    return list(tx.execute(sa.select(runs.c.id).where(runs.c.experiment_id == experiment_id)).scalars())


def contents(tx: Tx, run_ids: Sequence[str]) -> list[Going]:
    found: dict[str, Going] = {}
    for start in range(0, len(run_ids), _MANY):
        some = list(run_ids[start : start + _MANY])
        query = sa.select(runs.c.id, experiments.c.name, runs.c.snapshot_id, runs.c.parent_id)
        of = query.join(experiments, experiments.c.id == runs.c.experiment_id).where(runs.c.id.in_(some))
        for run_id, experiment, snapshot_id, parent_id in tx.execute(of):
            found[run_id] = Going(run_id, experiment, snapshot_id, parent_id is not None)
        listed = sa.select(files.c.run_id, files.c.path, files.c.hash, files.c.size)
        for run_id, *file in tx.execute(listed.where(files.c.run_id.in_(some))):
            found[run_id].files.append(tuple(file))
        logged = sa.select(logged_models.c.source_run_id, logged_models.c.id, *_FILE).join(
            logged_model_files, logged_model_files.c.model_id == logged_models.c.id
        )
        for run_id, model_id, path, *file in tx.execute(
            logged.where(logged_models.c.source_run_id.in_(some))
        ):
            found[run_id].files.append((f"models/{model_id}/{path}", *file))
    return list(found.values())


def listed(files: Iterable[tuple[str, str, int]]) -> list[dict[str, Any]]:
    """As a receipt has them."""
    return [{"path": path, "hash": hash_, "size": size} for path, hash_, size in files]


def remove_some(tx: Tx, receipt: str, limit: int) -> list[Going]:
    """Remove up to `limit` of the runs that go under this receipt; none: there are no more."""
    query = sa.select(runs.c.id).where(runs.c.deleted_with == receipt).limit(limit)
    ids = list(tx.execute(query).scalars())
    gone = contents(tx, ids)
    tx.execute(sa.delete(logged_models).where(logged_models.c.source_run_id.in_(ids)))
    metrics_store.forget_runs(tx, ids)
    store.remove(tx, ids)
    return gone


def remove_logged_models(tx: Tx, workspace_id: str, before: float) -> list[GoingModel]:
    """Remove logged models that were deleted before that time, some hundreds at a time."""
    gone = sa.select(logged_models.c.id, logged_models.c.name).where(
        logged_models.c.workspace_id == workspace_id, logged_models.c.deleted_at < before
    )
    found = {row.id: GoingModel(row.id, row.name) for row in tx.execute(gone.limit(_MANY))}
    ids = list(found)
    query = sa.select(logged_model_files.c.model_id, *_FILE).where(logged_model_files.c.model_id.in_(ids))
    for model_id, *file in tx.execute(query):
        found[model_id].files.append(tuple(file))
    tx.execute(sa.delete(logged_models).where(logged_models.c.id.in_(ids)))
    return list(found.values())


def has_logged_models(tx: Tx, workspace_id: str, before: float) -> bool:
    """Whether some were deleted before that time."""
    gone = (logged_models.c.workspace_id == workspace_id, logged_models.c.deleted_at < before)
    return tx.execute(sa.select(logged_models.c.id).where(*gone).limit(1)).first() is not None


def remove_experiments(tx: Tx, receipt: str) -> list[Any]:
    """(id, name) of those that went; their runs have gone before."""
    going = [tuple(r) for r in tx.execute(_experiments_under(receipt))]
    experiments_store.remove(tx, [row[0] for row in going])
    return going


def _experiments_under(receipt: str) -> sa.Select[Any]:
    return sa.select(experiments.c.id, experiments.c.name).where(experiments.c.deleted_with == receipt)


def unfinished(tx: Tx, run_ids: Iterable[str]) -> list[str]:
    """Those that are not over."""
    ids = list(run_ids)
    found: list[str] = []
    for start in range(0, len(ids), _MANY):
        query = sa.select(runs.c.id).where(runs.c.id.in_(ids[start : start + _MANY]))
        found += tx.execute(query.where(runs.c.status.not_in(_FINAL))).scalars()
    return found
