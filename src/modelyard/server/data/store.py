"""SQL of the data slice: wire dataclasses in and out."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from modelyard.server.artifacts.named_files import NamedFiles
from modelyard.server.data import tables
from modelyard.server.data.tables import datastores
from modelyard.server.kernel.db import Tx
from modelyard.wire.data import DatastoreInfo

files = NamedFiles(tables.files, "datastore_id")


def add(tx: Tx, datastore_id: str, workspace_id: str, info: DatastoreInfo) -> None:
    tx.execute(
        sa.insert(datastores).values(
            id=datastore_id,
            workspace_id=workspace_id,
            name=info.name,
            type=info.type,
            is_default=info.is_default,
            created_at=info.created_at,
        )
    )


def every(tx: Tx, workspace_id: str) -> list[tuple[str, DatastoreInfo]]:
    """Id and description of each, by name."""
    query = sa.select(datastores).where(datastores.c.workspace_id == workspace_id).order_by(datastores.c.name)
    return [
        (row.id, DatastoreInfo(row.name, row.type, row.is_default, row.created_at))
        for row in tx.execute(query)
    ]


def rows(tx: Tx, workspace_id: str) -> list[sa.Row[Any]]:
    """The datastores as they are kept, by name."""
    query = sa.select(datastores).where(datastores.c.workspace_id == workspace_id)
    return list(tx.execute(query.order_by(datastores.c.name)))


def is_taken(tx: Tx, datastore_id: str) -> bool:
    """Whether a datastore of any workspace has this id."""
    return tx.execute(sa.select(datastores.c.id).where(datastores.c.id == datastore_id)).first() is not None


def forget_workspace(tx: Tx, workspace_id: str) -> None:
    tx.execute(sa.delete(datastores).where(datastores.c.workspace_id == workspace_id))
