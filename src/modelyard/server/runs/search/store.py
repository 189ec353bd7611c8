"""What the picture of a workspace's runs is made of, read from the database in pieces."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from modelyard.server.kernel.db import Tx
from modelyard.server.runs.search.expression import Label, Metric, Statistic
from modelyard.server.runs.tables import changes, experiments, labels, runs, series

Row = sa.Row[*tuple[Any, ...]]
Piece = Sequence[Sequence[Any]]  # ids of runs, and a value for each

_PIECE = 5_000  # rows a time, so that other threads get their turn
_MANY = 500
_HASHED = "sha256:"  # how run_labels keeps a long value

BASE = (
    runs.c.id, runs.c.experiment_id, runs.c.status, runs.c.type, runs.c.user, runs.c.target, runs.c.node,
    runs.c.parent_id, runs.c.number, runs.c.exit_code, runs.c.created_at, runs.c.started_at, runs.c.ended_at,
    runs.c.archived_at, runs.c.deleted_at,
)  # fmt: skip
_TEXTS: dict[str, sa.ColumnElement[Any]] = {
    "artifact_uri": "mlflow-artifacts:/" + runs.c.experiment_id + "/" + runs.c.id + "/artifacts",
    "run_name": runs.c.display_name,
    "run_id": runs.c.id,
    "description": runs.c.description,
    "experiment": experiments.c.name,
}
_STATISTICS = {
    Statistic.LAST: series.c.last,
    Statistic.MIN: series.c.min,
    Statistic.MAX: series.c.max,
}


def base(tx: Tx, workspace_id: str) -> Iterator[Sequence[Row]]:
    """(row, changed, *BASE) of every run there is or was, by row; of one that is gone all of BASE is None."""
    query = (
        sa.select(changes.c.row, changes.c.changed, *BASE)
        .join(runs, runs.c.id == changes.c.run_id, isouter=True)
        .where(changes.c.workspace_id == workspace_id)
        .order_by(changes.c.row)
    )
    return _pieces(tx, query)


def base_of(tx: Tx, run_ids: Sequence[str]) -> dict[str, Row]:
    """BASE of the runs that are there, by id."""
    return {
        row.id: row
        for some in _some(run_ids)
        for row in tx.execute(sa.select(*BASE).where(runs.c.id.in_(some)))
    }


def changed_since(tx: Tx, workspace_id: str, version: int) -> list[Row]:
    """(row, run_id, changed) of the runs that changed after `version`, by row."""
    query = sa.select(changes.c.row, changes.c.run_id, changes.c.changed).where(
        changes.c.changed > version, changes.c.workspace_id == workspace_id
    )
    # By the index that finds them: asked for the order of rows, SQLite would go through all of these.
    return sorted(tx.execute(query.order_by(changes.c.changed)).all(), key=lambda found: found.row)


def numbers(tx: Tx, workspace_id: str, run_ids: Sequence[str]) -> list[int]:
    """The numbers of these runs, of those that there are or were."""
    return [
        row[0]
        for some in _some(run_ids)
        for row in tx.execute(
            sa.select(changes.c.row).where(changes.c.run_id.in_(some), changes.c.workspace_id == workspace_id)
        )
    ]


# The next three tell of all runs of the yard, or of those with the ids `of`. Which of them are the workspace's own is
# known to whoever asks: told by a join with run_changes, they would take three times as long.


def texts(tx: Tx, attribute: str, of: Sequence[str] | None) -> Iterator[Piece]:
    """An attribute."""
    if attribute not in _TEXTS:  # of data sets, of which a run has many: MLflow's search sees to them
        return iter(())
    query = sa.select(runs.c.id, _TEXTS[attribute]).join(
        experiments, experiments.c.id == runs.c.experiment_id
    )
    return _unzipped(tx, query, runs.c.id, of)


def metric(tx: Tx, wanted: Metric, of: Sequence[str] | None) -> Iterator[Piece]:
    """A statistic of a metric, of runs that have it. NaN where it is that."""
    value = _STATISTICS.get(wanted.statistic, series.c["count"])
    query = sa.select(series.c.run_id, series.c.last_ms, value).where(
        series.c.name == wanted.key, series.c.system.is_(False)
    )
    for ids, times_ms, values in _unzipped(tx, query, series.c.run_id, of):
        # NaN is kept as NULL; so is the number of a series that has none, and then it has no time either.
        yield (
            ids,
            [math.nan if v is None and ms is not None else v for v, ms in zip(values, times_ms, strict=True)],
        )


def label(tx: Tx, wanted: Label, of: Sequence[str] | None) -> Iterator[Piece]:
    """A tag, property or parameter, of runs that have it."""
    query = sa.select(labels.c.run_id, labels.c.value).where(
        labels.c.kind == wanted.kind.value, labels.c.key == wanted.key
    )
    hashed: list[str] = []
    for ids, values in _unzipped(tx, query, labels.c.run_id, of):
        hashed += [run_id for run_id, value in zip(ids, values, strict=True) if value.startswith(_HASHED)]
        yield ids, values
    for some in _some(hashed):
        whole = sa.select(runs.c.id, runs.c[_COLUMN[wanted.kind.value]]).where(runs.c.id.in_(some))
        found = tx.execute(whole).all()
        yield [row[0] for row in found], [row[1].get(wanted.key) for row in found]


_COLUMN = {"tag": "tags", "property": "properties", "param": "params"}


def experiment_names(tx: Tx, workspace_id: str) -> dict[str, str]:
    query = sa.select(experiments.c.id, experiments.c.name).where(experiments.c.workspace_id == workspace_id)
    return {row[0]: row[1] for row in tx.execute(query)}


def summaries(tx: Tx, run_ids: Sequence[str], names: Sequence[str] | None) -> Iterator[Row]:
    """Of each of the runs' own metrics, or of those of these names: run_id, name, count, last, last_step, min, max, last_ms."""
    if names is not None and not names:
        return
    for some in _some(run_ids):
        query = sa.select(
            series.c.run_id, series.c.name, series.c["count"], series.c.last, series.c.last_step, series.c.min,
            series.c.max, series.c.last_ms,
        ).where(series.c.run_id.in_(some), series.c.system.is_(False))  # fmt: skip
        if names is not None:
            query = query.where(series.c.name.in_(names))
        yield from tx.execute(query.order_by(series.c.id)).all()


def _unzipped(
    tx: Tx, query: sa.Select[Any], run_id: sa.ColumnElement[str], of: Sequence[str] | None
) -> Iterator[Piece]:
    queries: Iterable[sa.Select[Any]] = (
        [query] if of is None else (query.where(run_id.in_(some)) for some in _some(of))
    )
    for one in queries:
        for piece in _pieces(tx, one):
            yield list(zip(*piece, strict=True))


def _pieces(tx: Tx, query: sa.Select[Any]) -> Iterator[Sequence[Row]]:
    return tx.execute(query, execution_options={"yield_per": _PIECE}).partitions()


def _some(given: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(given), _MANY):
        yield given[start : start + _MANY]
