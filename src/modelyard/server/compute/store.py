"""Nodes in the database."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from modelyard.server.compute.tables import nodes
from modelyard.server.kernel.db import Tx, insert
from modelyard.wire.compute import NodePoll

Row = sa.Row[Any]


def get(tx: Tx, name: str) -> Row | None:
    return tx.execute(sa.select(nodes).where(nodes.c.name == name)).first()


def of_target(tx: Tx, target: str, seen_after: float) -> list[Row]:
    query = sa.select(nodes).where(nodes.c.target == target, nodes.c.last_seen_at > seen_after)
    return list(tx.execute(query.order_by(nodes.c.name)))


def note(tx: Tx, poll: NodePoll, now: float) -> None:
    """Write down that the node is alive, and what it has."""
    known = {"target": poll.target, "slots": poll.slots, "machine": poll.machine, "last_seen_at": now}
    statement = insert(tx, nodes).values(name=poll.node, first_seen_at=now, **known)
    tx.execute(statement.on_conflict_do_update(index_elements=["name"], set_=known))
