"""Numbers the changes of runs, so that what was seen before need not be read again."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from modelyard.server.kernel.db import Tx, driver
from modelyard.server.runs.tables import changes

# Writers take turns, so nobody else can take the same number before this transaction ends.
_NEXT = "(SELECT coalesce(max(changed), 0) + 1 FROM run_changes)"


def begin(tx: Tx, workspace_id: str, run_ids: Sequence[str]) -> None:
    """Runs that are new, or that have the id of one that was deleted for good."""
    sign = "?" if tx.dialect.name == "sqlite" else "%s"
    with driver(tx) as cursor:
        cursor.executemany(
            f"INSERT INTO run_changes (run_id, workspace_id, changed) VALUES ({sign}, {sign}, {_NEXT}) "  # noqa: S608  # constants
            "ON CONFLICT (run_id) DO UPDATE SET workspace_id = excluded.workspace_id, changed = excluded.changed",
            [(run_id, workspace_id) for run_id in run_ids],
        )


def mark(tx: Tx, run_ids: Sequence[str]) -> None:
    """Something that people search runs by has changed: a column, a label, the summary of a metric; or the run is gone.

    With every call that logs, so by the driver's own statement.
    """
    sign = "?" if tx.dialect.name == "sqlite" else "%s"
    with driver(tx) as cursor:
        cursor.executemany(
            f"UPDATE run_changes SET changed = {_NEXT} WHERE run_id = {sign}",  # noqa: S608  # constants
            [(run_id,) for run_id in run_ids],
        )


def mark_all(tx: Tx, run_ids: sa.Select[tuple[str]]) -> None:
    """As `mark`, for many runs that a query names."""
    tx.execute(
        sa.update(changes).where(changes.c.run_id.in_(run_ids)).values(changed=sa.literal_column(_NEXT))
    )
