"""Receipts in the database: SQL in, wire types out."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from modelyard.server.kernel.db import Tx
from modelyard.server.lifetime.tables import receipt_parts, receipts
from modelyard.wire.lifetime import Receipt

Row = sa.Row[Any]


def add(tx: Tx, **given: Any) -> None:
    tx.execute(sa.insert(receipts).values(figures={}, **given))


def by_id(tx: Tx, workspace_id: str, receipt_id: str) -> Row | None:
    """Of the workspace or of the whole yard."""
    query = sa.select(receipts).where(
        receipts.c.id == receipt_id, receipts.c.workspace_id.in_(["", workspace_id])
    )
    return tx.execute(query).first()


def anywhere(tx: Tx, receipt_id: str) -> Row:
    return tx.execute(sa.select(receipts).where(receipts.c.id == receipt_id)).one()


def listed(tx: Tx, workspace_id: str, limit: int) -> list[Row]:
    """Newest first; those of the whole yard too."""
    query = sa.select(receipts).where(receipts.c.workspace_id.in_(["", workspace_id]))
    return list(tx.execute(query.order_by(receipts.c.requested_at.desc(), receipts.c.id).limit(limit)))


def unfinished(tx: Tx) -> list[str]:
    query = sa.select(receipts.c.id).where(receipts.c.finished_at.is_(None))
    return list(tx.execute(query.order_by(receipts.c.requested_at, receipts.c.id)).scalars())


def last_requested(tx: Tx, kind: str, actor: str) -> float | None:
    of = (receipts.c.kind == kind, receipts.c.actor == actor)
    return tx.execute(sa.select(sa.func.max(receipts.c.requested_at)).where(*of)).scalar()


def exists(tx: Tx, receipt_id: str) -> bool:
    return tx.execute(sa.select(receipts.c.id).where(receipts.c.id == receipt_id)).first() is not None


def note(tx: Tx, receipt_id: str, items: Sequence[Any], **counts: int) -> None:
    """Add items to the list and counts to the figures, in the transaction that removes what they tell of."""
    if not items:
        return
    figures = dict(anywhere(tx, receipt_id).figures)
    for name, count in counts.items():
        figures[name] = figures.get(name, 0) + count
    tx.execute(sa.update(receipts).where(receipts.c.id == receipt_id).values(figures=figures))
    last = sa.select(sa.func.coalesce(sa.func.max(receipt_parts.c.number), 0)).where(
        receipt_parts.c.receipt_id == receipt_id
    )
    tx.execute(
        sa.insert(receipt_parts).values(
            receipt_id=receipt_id,
            number=tx.execute(last).scalar_one() + 1,
            items=zlib.compress(msgspec.json.encode(list(items))),
        )
    )


def items(tx: Tx, receipt_id: str) -> Iterator[dict[str, Any]]:
    query = sa.select(receipt_parts.c["items"]).where(receipt_parts.c.receipt_id == receipt_id)
    for part in tx.execute(query.order_by(receipt_parts.c.number)).scalars():
        yield from msgspec.json.decode(zlib.decompress(part))


def finish(tx: Tx, receipt_id: str, now: float) -> None:
    tx.execute(sa.update(receipts).where(receipts.c.id == receipt_id).values(finished_at=now))


def forget_workspace(tx: Tx, workspace_id: str) -> None:
    """What is under way is over with the workspace; receipts stay."""
    tx.execute(
        sa.update(receipts)
        .where(receipts.c.workspace_id == workspace_id, receipts.c.finished_at.is_(None))
        .values(finished_at=receipts.c.requested_at)
    )


def info(row: Row) -> Receipt:
    return Receipt(
        id=row.id, kind=row.kind, actor=row.actor, reason=row.reason, requested_at=row.requested_at,
        finished_at=row.finished_at, **row.figures,
    )  # fmt: skip
