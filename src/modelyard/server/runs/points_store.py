"""Points read and taken away: the rows and blocks of one series."""

from __future__ import annotations

from modelyard.server.kernel.db import Tx, driver
from modelyard.server.runs.blocks import Block

PointRow = tuple[int, int | None, int, float | None]  # seq, step, time_ms, value; None is NaN


_ALL = 2**63 - 1
_ROWS = "SELECT seq, step, time_ms, value FROM metric_points WHERE series_id = ? AND seq >= ? AND seq < ? ORDER BY seq"
# A block holds `start` if it begins before it and reaches beyond; no block is longer than its neighbours' distance, so
# the newest that begins at or before `start` is the first.
_BLOCKS = (
    'SELECT seq, "count", codec, steps, times_ms, "values" FROM metric_blocks WHERE series_id = ? AND seq < ? '
    "AND seq >= coalesce((SELECT max(seq) FROM metric_blocks WHERE series_id = ? AND seq <= ?), 0) ORDER BY seq"
)
_EXTENTS = 'SELECT seq, "count" FROM metric_blocks WHERE series_id = ? AND seq >= ? AND seq < ? ORDER BY seq'
_DROP_ROWS = "DELETE FROM metric_points WHERE series_id = ? AND seq >= ? AND seq < ?"
_DROP_BLOCKS = "DELETE FROM metric_blocks WHERE series_id = ? AND seq >= ? AND seq < ?"


def rows(tx: Tx, series_id: int, start: int, stop: int | None, limit: int = _ALL) -> list[PointRow]:
    """In order, at most `limit`."""
    with driver(tx) as cursor:
        cursor.execute(
            _said(tx, _ROWS + " LIMIT ?"), (series_id, start, _ALL if stop is None else stop, limit)
        )
        return cursor.fetchall()  # type: ignore[no-any-return]  # the drivers are untyped


def blocks(tx: Tx, series_id: int, start: int, stop: int | None) -> list[Block]:
    """Those that hold points from `start` to before `stop`, in order; the first may end before `start`."""
    with driver(tx) as cursor:
        cursor.execute(_said(tx, _BLOCKS), (series_id, _ALL if stop is None else stop, series_id, start))
        return [Block(*row) for row in cursor.fetchall()]


def extents(tx: Tx, series_id: int, start: int, stop: int) -> list[tuple[int, int]]:
    """Where the blocks that begin there begin and end."""
    with driver(tx) as cursor:
        cursor.execute(_said(tx, _EXTENTS), (series_id, start, stop))
        return [(seq, seq + count) for seq, count in cursor.fetchall()]


def drop(tx: Tx, series_id: int, start: int, stop: int) -> None:
    """The rows numbered from `start` to before `stop`, and the blocks that begin there."""
    with driver(tx) as cursor:
        for statement in (_DROP_ROWS, _DROP_BLOCKS):
            cursor.execute(_said(tx, statement), (series_id, start, stop))


def _said(tx: Tx, statement: str) -> str:
    return statement if tx.dialect.name == "sqlite" else statement.replace("?", "%s")
