"""Summaries of metrics in the database. Every call that logs passes here, so by the driver's own statements."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from modelyard.server.kernel.db import Tx, driver
from modelyard.server.runs.summaries import Summary
from modelyard.server.runs.tables import series

Key = tuple[str, str]  # run id, name of the metric

_COLUMNS = (
    "id", "run_id", "name", "kind", "description", "count", "values_count", "folded", "whole", "nonfinite", "last",
    "last_step", "last_ms", "min", "max", "first_at", "last_at",
)  # fmt: skip
_KEPT = [name for name in _COLUMNS[3:] if name != "folded"]
_SELECT = "SELECT " + ", ".join(f's."{name}"' for name in _COLUMNS) + " FROM "  # noqa: S608  # constants
# One statement for any number of keys. CROSS JOIN: SQLite then goes from the keys to the index, never the other way.
_FIND_SQLITE = _SELECT + (
    "json_each(?) k CROSS JOIN metric_series s ON s.run_id = json_extract(k.value, '$[0]') "
    "AND s.system = ? AND s.name = json_extract(k.value, '$[1]')"
)
_FIND_POSTGRES = _SELECT + (
    "unnest(%s::text[], %s::text[]) AS k(run_id, name) JOIN metric_series s ON s.run_id = k.run_id "
    "AND s.system = %s AND s.name = k.name"
)


def find(tx: Tx, system: bool, keys: Sequence[Key]) -> dict[Key, Summary]:
    """The metrics of these names that are there already. No name holds a NUL."""
    with driver(tx) as cursor:
        if tx.dialect.name == "sqlite":
            cursor.execute(_FIND_SQLITE, (msgspec.json.encode(keys).decode(), system))
        else:
            runs, names = [key[0] for key in keys], [key[1] for key in keys]
            cursor.execute(_FIND_POSTGRES, (runs, names, system))
        return {(row[1], row[2]): _summary(row) for row in cursor.fetchall()}


def add(tx: Tx, system: bool, keys: Sequence[Key]) -> dict[Key, Summary]:
    """New, empty metrics, numbered in the order of `keys`."""
    rows = [
        {
            "run_id": run_id, "system": system, "name": name, "kind": "m", "description": "", "count": 0,
            "values_count": 0, "folded": 0, "whole": True, "nonfinite": False,
        }
        for run_id, name in keys
    ]  # fmt: skip
    if not rows:
        return {}
    tx.execute(sa.insert(series), rows)
    return find(tx, system, keys)


def write(tx: Tx, changed: Iterable[Summary]) -> None:
    mark = "?" if tx.dialect.name == "sqlite" else "%s"
    given = ", ".join(f'"{name}" = {mark}' for name in _KEPT)
    rows = [
        (
            s.kind, s.description, s.count, s.values_count, s.whole, s.nonfinite, s.last, s.last_step,
            s.last_ms, s.min, s.max, s.first_at, s.last_at, s.id,
        )
        for s in changed
    ]  # fmt: skip
    with driver(tx) as cursor:
        cursor.executemany(f"UPDATE metric_series SET {given} WHERE id = {mark}", rows)  # noqa: S608  # constants


def count(tx: Tx, run_id: str) -> int:
    """How many metrics the run has, the machine's among them."""
    return tx.execute(
        sa.select(sa.func.count()).select_from(series).where(series.c.run_id == run_id)
    ).scalar_one()


def of_run(tx: Tx, run_id: str, system: bool, name: str | None = None) -> list[Summary]:
    """The run's metrics by the order in which they first came; with `system`, those of the machine too."""
    query = _query().where(series.c.run_id == run_id).order_by(series.c.id)
    if not system:
        query = query.where(series.c.system.is_(False))
    if name is not None:
        query = query.where(series.c.name == name)
    return [_summary(row) for row in tx.execute(query)]


def one(tx: Tx, run_id: str, name: str, system: bool) -> Summary | None:
    """The user's own metric of this name before the machine's, unless `system` asks for that."""
    query = _query().where(series.c.run_id == run_id, series.c.name == name)
    if system:
        query = query.where(series.c.system.is_(True))
    row = tx.execute(query.order_by(series.c.system)).first()
    return None if row is None else _summary(row)


def _query() -> sa.Select[Any]:
    return sa.select(*(series.c[name] for name in _COLUMNS))


def _summary(row: Sequence[Any]) -> Summary:
    found = Summary(*row)
    found.whole, found.nonfinite = bool(found.whole), bool(found.nonfinite)
    return found
