"""Model versions that are deleted for good, under the receipt that counts them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from modelyard.server.kernel.db import Tx
from modelyard.server.models import store
from modelyard.server.models.tables import models

Row = sa.Row[Any]
_MANY = 500


def trashed(tx: Tx, workspace_id: str) -> list[Row]:
    query = sa.select(models).where(models.c.workspace_id == workspace_id, models.c.deleted_at.is_not(None))
    return [row for row in tx.execute(query) if not _is_condemned(row)]


def is_condemned(tx: Tx, workspace_id: str, name: str, version: int) -> bool:
    """Whether it goes under a receipt already."""
    row = by_id(tx, workspace_id, name, version)
    return row is not None and _is_condemned(row)


def _is_condemned(row: Row) -> bool:
    return row.deleted_with not in (None, f"{row.name}:{row.version}")


def by_id(tx: Tx, workspace_id: str, name: str, version: int) -> Row | None:
    return tx.execute(
        sa.select(models).where(
            models.c.workspace_id == workspace_id, models.c.name == name, models.c.version == version
        )
    ).first()


def condemn(tx: Tx, row: Row, receipt: str) -> None:
    tx.execute(sa.update(models).where(models.c.id == row.id).values(deleted_with=receipt))


def remove_some(tx: Tx, workspace_id: str, receipt: str, limit: int) -> list[Row]:
    """Remove up to `limit` of the versions that go under this receipt; none: there are no more."""
    query = sa.select(models).where(models.c.workspace_id == workspace_id, models.c.deleted_with == receipt)
    gone = list(tx.execute(query.limit(limit)))
    for row in gone:
        store.remove(tx, workspace_id, row.name, row.version)
    return gone


def run_ids_with_models(tx: Tx, workspace_id: str, run_ids: Iterable[str]) -> set[str]:
    """Those of the runs from which models were registered that are not in the trash."""
    found: set[str] = set()
    ids = list(run_ids)
    for start in range(0, len(ids), _MANY):
        query = sa.select(models.c.run_id).where(
            models.c.workspace_id == workspace_id,
            models.c.run_id.in_(ids[start : start + _MANY]),
            models.c.deleted_at.is_(None),
        )
        found.update(tx.execute(query).scalars())
    return found


def from_runs(tx: Tx, workspace_id: str, run_ids: Iterable[str]) -> list[tuple[str, int]]:
    """(name, version) of what was registered from these runs and is not in the trash."""
    found: list[tuple[str, int]] = []
    ids = list(run_ids)
    for start in range(0, len(ids), _MANY):
        query = sa.select(models.c.name, models.c.version).where(
            models.c.workspace_id == workspace_id,
            models.c.run_id.in_(ids[start : start + _MANY]),
            models.c.deleted_at.is_(None),
        )
        found += [(row.name, row.version) for row in tx.execute(query)]
    return sorted(found)
