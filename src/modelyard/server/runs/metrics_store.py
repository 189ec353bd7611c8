"""Metrics in the database. Points go in by the driver's own bulk statements; there may be millions."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any, NamedTuple

import sqlalchemy as sa

from modelyard.server.kernel.db import Tx, insert
from modelyard.server.runs.tables import blocks, points, series, streams, values

Row = sa.Row[Any]

PointRow = tuple[int, int, int | None, int, float | None]  # series, seq, step, time_ms, value
ValueRow = tuple[int, int, str, int | None, int, str]  # series, seq, kind, step, time_ms, JSON
_MANY = 500

_POINT = "INSERT INTO metric_points (series_id, seq, step, time_ms, value) VALUES "
_VALUE = "INSERT INTO metric_values (series_id, seq, kind, step, time_ms, value) VALUES "


class Point(NamedTuple):
    """`value` None is NaN."""

    seq: int
    step: int | None
    time_ms: int
    value: float | None


@dataclass
class Summary:
    """One metric of one run as it is kept; changed in place while records come in."""

    id: int
    name: str
    kind: str = "m"
    description: str = ""
    count: int = 0
    values_count: int = 0
    whole: bool = True
    nonfinite: bool = False
    last: float | None = None
    min: float | None = None
    max: float | None = None
    first_at: float | None = None
    last_at: float | None = None


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


def count_names(tx: Tx, run_id: str) -> int:
    return tx.execute(
        sa.select(sa.func.count()).select_from(series).where(series.c.run_id == run_id)
    ).scalar_one()


def summaries(tx: Tx, run_id: str, system: bool, names: Sequence[str]) -> dict[str, Summary]:
    """The metrics of these names that are there already."""
    found: dict[str, Summary] = {}
    for start in range(0, len(names), _MANY):
        some = list(names[start : start + _MANY])
        query = sa.select(series).where(
            series.c.run_id == run_id, series.c.system.is_(system), series.c.name.in_(some)
        )
        for row in tx.execute(query):
            found[row.name] = _summary(row)
    return found


def add_summaries(tx: Tx, run_id: str, system: bool, names: Sequence[str]) -> dict[str, Summary]:
    """New, empty metrics."""
    rows = [
        {
            "run_id": run_id, "system": system, "name": name, "kind": "m", "description": "", "count": 0,
            "values_count": 0, "whole": True, "nonfinite": False,
        }
        for name in names
    ]  # fmt: skip
    if rows:
        tx.execute(sa.insert(series), rows)
    return summaries(tx, run_id, system, names)


def write_summaries(tx: Tx, changed: Iterable[Summary]) -> None:
    rows = [
        {
            "of": s.id, "kind": s.kind, "description": s.description, "count": s.count,
            "values_count": s.values_count, "whole": s.whole, "nonfinite": s.nonfinite, "last": s.last,
            "min": s.min, "max": s.max, "first_at": s.first_at, "last_at": s.last_at,
        }
        for s in changed
    ]  # fmt: skip
    if rows:
        given: dict[str, Any] = {name: sa.bindparam(name) for name in rows[0] if name != "of"}
        tx.execute(sa.update(series).where(series.c.id == sa.bindparam("of")).values(**given), rows)


def add_points(tx: Tx, rows: Iterable[PointRow]) -> None:
    """On SQLite by its own executemany (a quarter of the cost of SQLAlchemy's), on PostgreSQL by COPY."""
    driver: Any = tx.connection.driver_connection
    if tx.dialect.name == "sqlite":
        driver.executemany(_POINT + "(?, ?, ?, ?, ?)", rows)
        return
    copying = "COPY metric_points (series_id, seq, step, time_ms, value) FROM STDIN"
    with driver.cursor() as cursor, cursor.copy(copying) as copy:
        for row in rows:
            copy.write_row(row)


def add_values(tx: Tx, rows: Sequence[ValueRow]) -> None:
    driver: Any = tx.connection.driver_connection
    mark = "?" if tx.dialect.name == "sqlite" else "%s"
    cursor = driver.cursor()
    try:
        cursor.executemany(f"{_VALUE}({', '.join([mark] * 6)})", rows)
    finally:
        cursor.close()


def of_run(tx: Tx, run_id: str, system: bool, name: str | None = None) -> list[Summary]:
    """The run's metrics by the order in which they first came; with `system`, those of the machine too."""
    query = sa.select(series).where(series.c.run_id == run_id).order_by(series.c.id)
    if not system:
        query = query.where(series.c.system.is_(False))
    if name is not None:
        query = query.where(series.c.name == name)
    return [_summary(row) for row in tx.execute(query)]


def one(tx: Tx, run_id: str, name: str, system: bool) -> Summary | None:
    """The user's own metric of this name before the machine's, unless `system` asks for that."""
    query = sa.select(series).where(series.c.run_id == run_id, series.c.name == name)
    if system:
        query = query.where(series.c.system.is_(True))
    row = tx.execute(query.order_by(series.c.system)).first()
    return None if row is None else _summary(row)


def add_block(
    tx: Tx,
    series_id: int,
    seq: int,
    steps: Sequence[int] | None,
    times_ms: Sequence[int],
    numbers: Sequence[float],
) -> None:
    """Points of one series that follow each other, as one row."""
    tx.execute(
        sa.insert(blocks).values(
            series_id=series_id,
            seq=seq,
            count=len(numbers),
            steps=None if steps is None else _packed("q", steps),
            times_ms=_packed("q", times_ms),
            values=_packed("d", numbers),
        )
    )


def read_points(tx: Tx, series_id: int, start: int, stop: int) -> list[Point]:
    """The points numbered from `start` to before `stop`, in order."""
    query = sa.select(points.c.seq, points.c.step, points.c.time_ms, points.c.value)
    query = query.where(points.c.series_id == series_id, points.c.seq >= start, points.c.seq < stop)
    found = [Point(*row) for row in tx.execute(query.order_by(points.c.seq))]
    packed = sa.select(blocks).where(
        blocks.c.series_id == series_id, blocks.c.seq < stop, blocks.c.seq + blocks.c["count"] > start
    )
    few = len(found)
    for row in tx.execute(packed.order_by(blocks.c.seq)):
        first, count = row.seq, row._mapping["count"]
        part = slice(max(0, start - first), min(count, stop - first))
        steps = _unpacked("q", row.steps)[part] if row.steps is not None else repeat(None)
        seqs = range(first + part.start, first + part.stop)
        found += map(
            Point,
            seqs,
            steps,
            _unpacked("q", row.times_ms)[part],
            _unpacked("d", row._mapping["values"])[part],
        )
    if few and few < len(found):
        found.sort()
    return found


def _packed(kind: str, numbers: Sequence[float]) -> bytes:
    made = array(kind, numbers)
    if sys.byteorder == "big":
        made.byteswap()
    return made.tobytes()


def _unpacked(kind: str, content: bytes) -> array[Any]:
    made = array(kind, content)
    if sys.byteorder == "big":
        made.byteswap()
    return made


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


def _summary(row: Row) -> Summary:
    return Summary(
        row.id, row.name, row.kind, row.description, row._mapping["count"], row.values_count, row.whole, row.nonfinite,
        row.last, row.min, row.max, row.first_at, row.last_at,
    )  # fmt: skip
