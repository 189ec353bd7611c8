"""Which runs have points that are worth folding, and where their series stand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import sqlalchemy as sa

from modelyard.server.kernel import events
from modelyard.server.kernel.db import Tx, insert
from modelyard.server.runs.tables import blocks, folding, runs, series

TOPIC = "folding"
FULL = 8192  # points of a full block
LEAST = 16  # points in a row, below which rows are as small


class Standing(NamedTuple):
    series_id: int
    folded: int
    stop: int  # how many records there are


def want(tx: Tx, run_ids: Sequence[str]) -> None:
    """Look at these runs soon."""
    rows = [{"run_id": run_id, "wanted": 1} for run_id in run_ids]
    if rows:
        statement = insert(tx, folding).values(rows)
        more = {"wanted": folding.c.wanted + 1}
        tx.execute(statement.on_conflict_do_update(index_elements=["run_id"], set_=more))
        events.touch(tx, TOPIC)


_OPEN = (
    sa.select(series.c.id)
    .where(series.c.run_id == sa.bindparam("of_run"), series.c["count"] - series.c.folded >= LEAST)
    .limit(1)
)


def want_ended(tx: Tx, run_id: str) -> None:
    """The run is over: look at it if it has a series with enough points."""
    if tx.execute(_OPEN, {"of_run": run_id}).first() is not None:
        want(tx, [run_id])


def due(tx: Tx, limit: int) -> list[str]:
    return [row[0] for row in tx.execute(sa.select(folding.c.run_id).limit(limit))]


def wanted(tx: Tx, run_id: str) -> int:
    """How often the run was asked for since it was done with."""
    return tx.execute(sa.select(folding.c.wanted).where(folding.c.run_id == run_id)).scalar() or 0


def done(tx: Tx, run_id: str, times: int) -> None:
    """Nothing is left to fold, unless somebody has asked again meanwhile."""
    tx.execute(sa.delete(folding).where(folding.c.run_id == run_id, folding.c.wanted == times))


def is_over(tx: Tx, run_id: str) -> bool:
    return tx.execute(sa.select(runs.c.ended_at).where(runs.c.id == run_id)).scalar() is not None


def standing(tx: Tx, run_id: str, least: int) -> list[Standing]:
    """The run's series with at least so many records from `folded` on, but those that one block holds already."""
    count = series.c["count"]
    held = sa.exists().where(
        blocks.c.series_id == series.c.id, blocks.c.seq == series.c.folded, blocks.c.codec > 0,
        blocks.c["count"] == count - series.c.folded,
    )  # fmt: skip
    query = sa.select(series.c.id, series.c.folded, count)
    query = query.where(series.c.run_id == run_id, count - series.c.folded >= least, ~held)
    return [Standing(*row) for row in tx.execute(query.order_by(series.c.id))]


def advance(tx: Tx, series_id: int, folded: int, then: int) -> bool:
    """Nothing before `then` is left to do. False where the series is gone, or was not at `folded`."""
    found = tx.execute(
        sa.update(series).where(series.c.id == series_id, series.c.folded == folded).values(folded=then)
    )
    return bool(found.rowcount == 1)
