"""SQL of uploads in parts."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from modelyard.server.artifacts.garbage_store import Holders
from modelyard.server.artifacts.tables import upload_parts, uploads
from modelyard.server.kernel.db import Tx, insert

Row = sa.Row[Any]


def hold(holders: Holders) -> None:
    """Keep the parts of uploads from the garbage collection."""
    holders.blob_columns.add(upload_parts.c.hash)


def add(tx: Tx, upload_id: str, workspace_id: str, target: str, now: float) -> None:
    row = {"id": upload_id, "workspace_id": workspace_id, "target": target, "created_at": now}
    tx.execute(sa.insert(uploads).values(**row))


def get(tx: Tx, workspace_id: str, upload_id: str) -> Row | None:
    query = sa.select(uploads).where(uploads.c.id == upload_id, uploads.c.workspace_id == workspace_id)
    return tx.execute(query).first()


def put_part(tx: Tx, upload_id: str, number: int, hash_: str, size: int) -> None:
    values = {"hash": hash_, "size": size}
    tx.execute(
        insert(tx, upload_parts)
        .values(upload_id=upload_id, number=number, **values)
        .on_conflict_do_update(index_elements=["upload_id", "number"], set_=values)
    )


def parts(tx: Tx, upload_id: str) -> list[Row]:
    query = sa.select(upload_parts).where(upload_parts.c.upload_id == upload_id)
    return list(tx.execute(query.order_by(upload_parts.c.number)))


def finish(tx: Tx, upload_id: str, hash_: str, size: int) -> None:
    """The parts are one blob now."""
    tx.execute(sa.update(uploads).where(uploads.c.id == upload_id).values(hash=hash_, size=size))
    tx.execute(sa.delete(upload_parts).where(upload_parts.c.upload_id == upload_id))


def remove(tx: Tx, upload_id: str) -> None:
    tx.execute(sa.delete(uploads).where(uploads.c.id == upload_id))


def remove_older(tx: Tx, workspace_id: str, before: float) -> None:
    tx.execute(
        sa.delete(uploads).where(uploads.c.workspace_id == workspace_id, uploads.c.created_at < before)
    )
