"""How the history of a workspace leaves in a file and comes in from one, as what happened elsewhere at other times."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from modelyard.server.kernel.db import Database, Tx
from modelyard.server.kernel.events import events
from modelyard.server.kernel.transfer import FileTable, In, Out, Scope, Target, columns_of, refuse

EVENTS = FileTable("events", columns_of(events, "id", "workspace_id"))
_MANY = 500


class EventTransfer:
    tables = (EVENTS,)

    def __init__(self, db: Database) -> None:
        self._db = db

    def leave(self, tx: Tx, scope: Scope, out: Out) -> None:
        """All of it, or what happened to the runs that leave."""
        query = sa.select(events).where(events.c.workspace_id == scope.workspace_id).order_by(events.c.id)
        for row in tx.execute(query, execution_options={"yield_per": _MANY}):
            if scope.is_whole or row.subject in out.run_ids:
                out.rows(EVENTS, [EVENTS.row(row._mapping)])

    def come_in(self, given: In, target: Target) -> None:
        batch: list[dict[str, Any]] = []
        for row in map(EVENTS.mapping, given.rows(EVENTS)):
            texts = (row["kind"], row["subject"], row["actor"])
            if (
                not all(isinstance(t, str) for t in texts)
                or not isinstance(row["at"], float)
                or not isinstance(row["data"], dict)
            ):
                refuse("An event lacks its time, kind, subject, actor or data.")
            if row["subject"] in target.left:
                continue  # the workspace's own thing of this name has a history of its own
            batch.append(
                {**row, "subject": target.run_id(row["subject"]), "workspace_id": target.workspace_id}
            )
            if len(batch) == _MANY:
                self._add(target, batch)
                batch = []
        self._add(target, batch)

    def _add(self, target: Target, batch: list[dict[str, Any]]) -> None:
        """Those that are not known yet: an import may be done again. Nobody is woken for what is long past."""
        if target.is_rehearsal or not batch:
            return

        def work(tx: Tx) -> None:
            known = sa.select(events.c.subject, events.c.kind, events.c.at).where(
                events.c.workspace_id == target.workspace_id,
                events.c.subject.in_({e["subject"] for e in batch}),
            )
            there = {tuple(row) for row in tx.execute(known)}
            new = [e for e in batch if (e["subject"], e["kind"], e["at"]) not in there]
            if new:
                tx.execute(sa.insert(events), new)

        self._db.write(work)
