"""SQL of the transfer slice."""

from __future__ import annotations

import sqlalchemy as sa

from modelyard.server.kernel.db import Tx, insert
from modelyard.server.transfer.tables import incoming


def by_name(tx: Tx, name: str) -> tuple[str, str] | None:
    """Workspace id and file of the workspace that is coming in under this name."""
    row = tx.execute(sa.select(incoming).where(incoming.c.name == name)).first()
    return None if row is None else (row.workspace_id, row.file)


def has_id(tx: Tx, workspace_id: str) -> bool:
    return (
        tx.execute(sa.select(incoming.c.name).where(incoming.c.workspace_id == workspace_id)).first()
        is not None
    )


def put(tx: Tx, name: str, workspace_id: str, file: str, now: float) -> None:
    row = {"name": name, "workspace_id": workspace_id, "file": file, "touched_at": now}
    statement = insert(tx, incoming).values(**row)
    tx.execute(statement.on_conflict_do_update(index_elements=["name"], set_=row))


def remove(tx: Tx, name: str) -> None:
    tx.execute(sa.delete(incoming).where(incoming.c.name == name))


def untouched_since(tx: Tx, at: float) -> list[tuple[str, str]]:
    """Name and workspace id of those that nobody went on with."""
    rows = tx.execute(sa.select(incoming).where(incoming.c.touched_at < at).order_by(incoming.c.name))
    return [(row.name, row.workspace_id) for row in rows]
