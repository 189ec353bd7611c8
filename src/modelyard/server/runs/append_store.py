"""What a write of points needs to know of its runs, and the keys of calls that may be sent again."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import msgspec
import sqlalchemy as sa

from modelyard.server.kernel.db import Tx, driver
from modelyard.server.runs.tables import append_keys


class KnownRun(NamedTuple):
    workspace_id: str
    is_deleted: bool
    is_over: bool


_RUNS = "SELECT r.id, r.workspace_id, r.deleted_at, r.ended_at FROM "
_RUNS_SQLITE = _RUNS + "json_each(?) k CROSS JOIN runs r ON r.id = k.value"
_RUNS_POSTGRES = _RUNS + "runs r WHERE r.id = ANY(%s)"


def runs(tx: Tx, run_ids: Collection[str]) -> dict[str, KnownRun]:
    """Those of these runs that there are, in whatever workspace."""
    asked = [run_id for run_id in run_ids if "\0" not in run_id]
    with driver(tx) as cursor:
        if tx.dialect.name == "sqlite":
            cursor.execute(_RUNS_SQLITE, (msgspec.json.encode(asked).decode(),))
        else:
            cursor.execute(_RUNS_POSTGRES, (asked,))
        return {row[0]: KnownRun(row[1], row[2] is not None, row[3] is not None) for row in cursor.fetchall()}


def keys(tx: Tx, wanted: Collection[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """The hash of the body with which each of these (run, key) came, where it did."""
    sign = "?" if tx.dialect.name == "sqlite" else "%s"
    found: dict[tuple[str, str], str] = {}
    with driver(tx) as cursor:
        for run_id, key in wanted:
            cursor.execute(
                f"SELECT body FROM metric_append_keys WHERE run_id = {sign} AND key = {sign}",  # noqa: S608  # constants
                (run_id, key),
            )
            row = cursor.fetchone()
            if row is not None:
                found[run_id, key] = row[0]
    return found


def keep_keys(tx: Tx, rows: Collection[tuple[str, str, str, float]]) -> None:
    """(run, key, hash of the body, when)"""
    if rows:
        signs = ", ".join(["?" if tx.dialect.name == "sqlite" else "%s"] * 4)
        with driver(tx) as cursor:
            cursor.executemany(
                f"INSERT INTO metric_append_keys (run_id, key, body, at) VALUES ({signs})",  # noqa: S608  # constants
                rows,
            )


def forget_keys(tx: Tx, before: float) -> None:
    tx.execute(sa.delete(append_keys).where(append_keys.c.at < before))
