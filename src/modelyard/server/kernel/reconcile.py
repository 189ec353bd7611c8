"""Background work by leases: what is due, act on it with no transaction open, apply guarded by a fencing token.

The same on one process and on many: a process that lost its lease finds a higher fence at `apply` and gives up.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any, Protocol

import sqlalchemy as sa

from modelyard.server.kernel.clock import Clock
from modelyard.server.kernel.db import Database, Tx, insert, metadata

leases = sa.Table(
    "leases",
    metadata,
    sa.Column("reconciler", sa.String, primary_key=True),
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("fence", sa.Integer, nullable=False),
    sa.Column("expires_at", sa.Float, nullable=False),
)


class Reconciler(Protocol):
    """Brings one kind of thing from the state it is in to the state it should be in."""

    name: str

    def due(self, tx: Tx, now: float) -> Iterable[str]:
        """Keys of the things that need a look. Read-only."""

    def act(self, key: str) -> Any:
        """The slow part, outside any transaction: processes, files, network. Its result goes to `apply`."""

    def apply(self, tx: Tx, key: str, result: Any, now: float) -> None:
        """Write the outcome. Runs only while this process still holds the lease on `key`."""


class Round:
    """Runs one reconciler; give it to the supervisor."""

    def __init__(self, db: Database, clock: Clock, reconciler: Reconciler, lease_s: float = 60.0) -> None:
        self._db = db
        self._clock = clock
        self._reconciler = reconciler
        self._lease_s = lease_s

    def __call__(self) -> None:
        with self._db.read() as tx:
            keys = list(self._reconciler.due(tx, self._clock.now()))
        for key in keys:
            fence = self._db.write(partial(self._claim, key=key))
            if fence is None:
                continue  # another process is at it
            result = self._reconciler.act(key)
            self._db.write(partial(self._apply, key=key, fence=fence, result=result))

    def _claim(self, tx: Tx, key: str) -> int | None:
        now = self._clock.now()
        name = self._reconciler.name
        row = tx.execute(sa.select(leases).where(leases.c.reconciler == name, leases.c.key == key)).first()
        if row is None:
            added = tx.execute(
                insert(tx, leases)
                .values(reconciler=name, key=key, fence=1, expires_at=now + self._lease_s)
                .on_conflict_do_nothing()
            )
            return 1 if added.rowcount == 1 else None
        if row.expires_at > now:
            return None
        taken = tx.execute(
            sa.update(leases)
            .where(leases.c.reconciler == name, leases.c.key == key, leases.c.fence == row.fence)
            .values(fence=row.fence + 1, expires_at=now + self._lease_s)
        )
        return row.fence + 1 if taken.rowcount == 1 else None

    def _apply(self, tx: Tx, key: str, fence: int, result: Any) -> None:
        """The lease row goes away with the work, so that the table holds only what is in hand."""
        name = self._reconciler.name
        held = tx.execute(
            sa.delete(leases).where(leases.c.reconciler == name, leases.c.key == key, leases.c.fence == fence)
        )
        if held.rowcount == 1:
            self._reconciler.apply(tx, key, result, self._clock.now())
