"""Metrics in the database. Points go in by the driver's own bulk statements; there may be millions."""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import Any

import sqlalchemy as sa

from modelyard.server.kernel.db import Tx, driver, insert
from modelyard.server.runs.blocks import RAW
from modelyard.server.runs.tables import blocks, points, series, streams, values

Row = sa.Row[Any]

PointRow = tuple[int, int, int | None, int, float | None]  # series, seq, step, time_ms, value
ValueRow = tuple[int, int, str, int | None, int, str]  # series, seq, kind, step, time_ms, JSON
# series, seq of the first point, count, codec, steps, times, values
BlockRow = tuple[int, int, int, int, bytes | None, bytes, bytes]
_MANY = 500
_PACKED_FROM = 32  # points of one series in one write

_POINT = "INSERT INTO metric_points (series_id, seq, step, time_ms, value) VALUES "
_BLOCK = 'INSERT INTO metric_blocks (series_id, seq, "count", codec, steps, times_ms, "values") VALUES '
_VALUE = "INSERT INTO metric_values (series_id, seq, kind, step, time_ms, value) VALUES "


def stream_size(tx: Tx, run_id: str, kind: str, name: str) -> int:
    size = tx.execute(
        sa.select(streams.c.size).where(
            streams.c.run_id == run_id, streams.c.kind == kind, streams.c.name == name
        )
    ).scalar()
    return int(size or 0)


def set_stream_size(tx: Tx, run_id: str, kind: str, name: str, size: int, now: float) -> None:
    row = {"run_id": run_id, "kind": kind, "name": name, "size": size, "created_at": now}
    statement = insert(tx, streams).values(**row)
    tx.execute(
        statement.on_conflict_do_update(index_elements=["run_id", "kind", "name"], set_={"size": size})
    )


def add_points(tx: Tx, rows: Iterable[PointRow]) -> None:
    """On SQLite by its own executemany (a quarter of the cost of SQLAlchemy's), on PostgreSQL by COPY."""
    with driver(tx) as cursor:
        if tx.dialect.name == "sqlite":
            cursor.executemany(_POINT + "(?, ?, ?, ?, ?)", rows)
            return
        with cursor.copy("COPY metric_points (series_id, seq, step, time_ms, value) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)


def add_values(tx: Tx, rows: Sequence[ValueRow]) -> None:
    mark = "?" if tx.dialect.name == "sqlite" else "%s"
    with driver(tx) as cursor:
        cursor.executemany(f"{_VALUE}({', '.join([mark] * 6)})", rows)


def add_blocks(tx: Tx, rows: Sequence[BlockRow]) -> None:
    mark = "?" if tx.dialect.name == "sqlite" else "%s"
    with driver(tx) as cursor:
        cursor.executemany(f"{_BLOCK}({', '.join([mark] * 7)})", rows)


class NewPoints:
    """Points of many series on their way into the database: few of one series as rows, many as one packed block."""

    def __init__(self) -> None:
        self._rows: list[PointRow] = []
        self._blocks: list[BlockRow] = []

    def add(
        self,
        series_id: int,
        seq: int,
        steps: Sequence[int | None],
        times_ms: Sequence[int],
        numbers: Sequence[float],
    ) -> None:
        """Points numbered from `seq` on. NaN and infinities are fine."""
        # SQLite's own numbers have no negative zero.
        is_signed = 0.0 in numbers and any(n == 0 and math.copysign(1, n) < 0 for n in numbers)
        if len(numbers) >= _PACKED_FROM or is_signed:
            kinds = set(map(type, steps))
            if len(kinds) == 1:
                known: Any = None if kinds == {type(None)} else steps
                self._blocks.append(raw_block(series_id, seq, known, times_ms, numbers))
                return
        if is_signed:
            for at, step in enumerate(steps):
                self.add(series_id, seq + at, [step], times_ms[at : at + 1], numbers[at : at + 1])
            return
        kept: Iterable[float | None] = numbers
        if not all(map(math.isfinite, numbers)):
            kept = [None if math.isnan(n) else n for n in numbers]
        self._rows += zip(
            repeat(series_id), range(seq, seq + len(numbers)), steps, times_ms, kept, strict=False
        )

    def store(self, tx: Tx) -> None:
        if self._rows:
            add_points(tx, self._rows)
        if self._blocks:
            add_blocks(tx, self._blocks)


def raw_block(
    series_id: int,
    seq: int,
    steps: Sequence[int] | None,
    times_ms: Sequence[int],
    numbers: Sequence[float],
) -> BlockRow:
    """Points of one series that follow each other, as one row."""
    packed = None if steps is None else _packed("q", steps)
    return (series_id, seq, len(numbers), RAW, packed, _packed("q", times_ms), _packed("d", numbers))


def _packed(kind: str, numbers: Sequence[float]) -> bytes:
    made = array(kind, numbers)
    if sys.byteorder == "big":
        made.byteswap()
    return made.tobytes()


def read_values(tx: Tx, series_id: int, start: int, stop: int) -> list[Row]:
    query = sa.select(values).where(
        values.c.series_id == series_id, values.c.seq >= start, values.c.seq < stop
    )
    return list(tx.execute(query.order_by(values.c.seq)))


def forget_runs(tx: Tx, run_ids: Sequence[str]) -> None:
    """Points and values have no foreign key, so they go before their series do."""
    for start in range(0, len(run_ids), _MANY):
        of = sa.select(series.c.id).where(series.c.run_id.in_(run_ids[start : start + _MANY]))
        tx.execute(sa.delete(blocks).where(blocks.c.series_id.in_(of)))
        tx.execute(sa.delete(points).where(points.c.series_id.in_(of)))
        tx.execute(sa.delete(values).where(values.c.series_id.in_(of)))
