"""Numbers the changes of runs, so that what was seen before need not be read again."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from modelyard.server.kernel.db import Tx
from modelyard.server.runs.tables import changes

_MANY = 500


def _next() -> sa.ScalarSelect[int]:
    """Writers take turns, so nobody else can take the same number before this transaction ends."""
    return sa.select(sa.func.coalesce(sa.func.max(changes.c.changed), 0) + 1).scalar_subquery()


def begin(tx: Tx, workspace_id: str, run_ids: Sequence[str]) -> None:
    """Runs that are new."""
    first = tx.execute(sa.select(_next())).scalar_one()
    rows = [
        {"run_id": run_id, "workspace_id": workspace_id, "changed": first + position}
        for position, run_id in enumerate(run_ids)
    ]
    tx.execute(sa.insert(changes), rows)


def mark_all(tx: Tx, run_ids: sa.Select[tuple[str]]) -> None:
    """The same for many, which a query names."""
    tx.execute(sa.update(changes).where(changes.c.run_id.in_(run_ids)).values(changed=_next()))


def mark(tx: Tx, run_ids: Sequence[str]) -> None:
    """Something that people search runs by has changed: a column, a label, the summary of a metric; or the run is gone."""
    for start in range(0, len(run_ids), _MANY):
        some = list(run_ids[start : start + _MANY])
        tx.execute(sa.update(changes).where(changes.c.run_id.in_(some)).values(changed=_next()))
