"""SQL of the workspaces slice: wire dataclasses in and out."""

from __future__ import annotations

import dataclasses
from typing import Any

import sqlalchemy as sa

from modelyard.server.kernel.db import Tx, insert
from modelyard.server.workspaces.tables import workspaces
from modelyard.wire.workspaces import WorkspaceInfo


def add(tx: Tx, info: WorkspaceInfo) -> bool:
    """False when the name is taken; then nothing changes."""
    done = tx.execute(insert(tx, workspaces).values(**dataclasses.asdict(info)).on_conflict_do_nothing())
    return bool(done.rowcount == 1)


def by_name(tx: Tx, name: str) -> WorkspaceInfo | None:
    return _info(tx.execute(sa.select(workspaces).where(workspaces.c.name == name)).first())


def by_id(tx: Tx, workspace_id: str) -> WorkspaceInfo | None:
    return _info(tx.execute(sa.select(workspaces).where(workspaces.c.id == workspace_id)).first())


def every(tx: Tx) -> list[WorkspaceInfo]:
    rows = tx.execute(sa.select(workspaces).order_by(workspaces.c.name)).all()
    return [WorkspaceInfo(**row._mapping) for row in rows]


def update(tx: Tx, workspace_id: str, changes: dict[str, Any]) -> None:
    if changes:
        tx.execute(sa.update(workspaces).where(workspaces.c.id == workspace_id).values(**changes))


def remove(tx: Tx, workspace_id: str) -> None:
    tx.execute(sa.delete(workspaces).where(workspaces.c.id == workspace_id))


def _info(row: Any) -> WorkspaceInfo | None:
    return None if row is None else WorkspaceInfo(**row._mapping)
