"""Background work by leases: what is due, act on it with no transaction open, apply guarded by a fencing token.

The same on one process and on many: a process that lost its lease finds another fence at `apply` and gives up.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any, Protocol

import sqlalchemy as sa

from modelyard.server.kernel.clock import Clock
from modelyard.server.kernel.db import Database, Tx, insert, metadata
from modelyard.server.kernel.ids import new_id

leases = sa.Table(
    "leases",
    metadata,
    sa.Column("reconciler", sa.String, primary_key=True),
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("fence", sa.String, nullable=False),
    sa.Column("expires_at", sa.Float, nullable=False),
)


def forget_leases(db: Database) -> None:
    """Called by a process that is the only one of its yard: whoever had a lease is gone."""
    db.write(lambda tx: tx.execute(sa.delete(leases)))


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
            fence = self._lease(key)
            if fence is None:
                continue  # another process is at it
            result = self._reconciler.act(key)
            self._db.write(partial(self._apply, key=key, fence=fence, result=result))

    def _lease(self, key: str) -> str | None:
        """The fence of the lease on `key`, or None while another process has it."""
        return self._db.write(partial(self._claim, key=key))

    def _claim(self, tx: Tx, key: str) -> str | None:
        now = self._clock.now()
        name = self._reconciler.name
        # Never the same twice: a lease's row goes away with its work, so a number would begin again from 1, and a
        # process that slept through two leases would find its own.
        fence = new_id()
        mine = {"fence": fence, "expires_at": now + self._lease_s}
        added = tx.execute(
            insert(tx, leases).values(reconciler=name, key=key, **mine).on_conflict_do_nothing()
        )
        if added.rowcount == 1:
            return fence
        taken = tx.execute(
            sa.update(leases)
            .where(leases.c.reconciler == name, leases.c.key == key, leases.c.expires_at <= now)
            .values(**mine)
        )
        return fence if taken.rowcount == 1 else None

    def _apply(self, tx: Tx, key: str, fence: str, result: Any) -> None:
        """The lease row goes away with the work, so that the table holds only what is in hand."""
        name = self._reconciler.name
        held = tx.execute(
            sa.delete(leases).where(leases.c.reconciler == name, leases.c.key == key, leases.c.fence == fence)
        )
        if held.rowcount == 1:
            self._reconciler.apply(tx, key, result, self._clock.now())
