"""Retention rules in the database: SQL in, wire types out."""

from __future__ import annotations

import dataclasses

import sqlalchemy as sa

from modelyard.server.kernel.db import Tx, insert
from modelyard.server.lifetime.tables import retention_rules
from modelyard.wire.lifetime import RetentionRule

_COLUMNS = [field.name for field in dataclasses.fields(RetentionRule)]


def every(tx: Tx, workspace_id: str) -> list[RetentionRule]:
    """By name."""
    query = sa.select(*(retention_rules.c[name] for name in _COLUMNS)).where(
        retention_rules.c.workspace_id == workspace_id
    )
    return [RetentionRule(*row) for row in tx.execute(query.order_by(retention_rules.c.name))]


def put(tx: Tx, workspace_id: str, rule: RetentionRule) -> None:
    given = dataclasses.asdict(rule)
    statement = insert(tx, retention_rules).values(workspace_id=workspace_id, **given)
    tx.execute(statement.on_conflict_do_update(index_elements=["workspace_id", "name"], set_=given))


def remove(tx: Tx, workspace_id: str, name: str) -> None:
    rule = (retention_rules.c.workspace_id == workspace_id, retention_rules.c.name == name)
    tx.execute(sa.delete(retention_rules).where(*rule))


def forget_workspace(tx: Tx, workspace_id: str) -> None:
    tx.execute(sa.delete(retention_rules).where(retention_rules.c.workspace_id == workspace_id))
