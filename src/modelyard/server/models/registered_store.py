"""SQL of registered models: names with their tags and aliases, and searching names and versions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from modelyard.server.kernel.db import Tx, insert
from modelyard.server.models.search import Condition, Order
from modelyard.server.models.store import THERE, info_of
from modelyard.server.models.tables import model_aliases, model_labels, model_name_tags, model_names, models
from modelyard.wire.models import ModelInfo, RegisteredModel

_Row = sa.Row[Any]


def get(tx: Tx, workspace_id: str, name: str) -> RegisteredModel | None:
    row = tx.execute(_names(workspace_id).where(model_names.c.name == name)).first()
    return None if row is None else _whole(tx, workspace_id, [row])[0]


def register(tx: Tx, workspace_id: str, name: str, now: float) -> None:
    """The name, whose row is locked, has something registered from now on."""
    is_it = (model_names.c.workspace_id == workspace_id, model_names.c.name == name)
    tx.execute(
        sa.update(model_names)
        .where(*is_it, model_names.c.registered.is_(False))
        .values(registered=True, created_at=now)
    )
    tx.execute(sa.update(model_names).where(*is_it).values(updated_at=now))


def change(tx: Tx, workspace_id: str, name: str, **values: Any) -> None:
    is_it = (model_names.c.workspace_id == workspace_id, model_names.c.name == name)
    tx.execute(sa.update(model_names).where(*is_it).values(**values))


def set_tags(tx: Tx, workspace_id: str, name: str, tags: Mapping[str, str]) -> None:
    for key, value in tags.items():
        tx.execute(
            insert(tx, model_name_tags)
            .values(workspace_id=workspace_id, name=name, key=key, value=value)
            .on_conflict_do_update(index_elements=["workspace_id", "name", "key"], set_={"value": value})
        )


def remove_tags(tx: Tx, workspace_id: str, name: str, keys: Sequence[str]) -> None:
    tx.execute(
        sa.delete(model_name_tags).where(
            *_of(model_name_tags, workspace_id, name), model_name_tags.c.key.in_(keys)
        )
    )


def set_alias(tx: Tx, workspace_id: str, name: str, alias: str, version: int) -> None:
    tx.execute(
        insert(tx, model_aliases)
        .values(workspace_id=workspace_id, name=name, alias=alias, version=version)
        .on_conflict_do_update(index_elements=["workspace_id", "name", "alias"], set_={"version": version})
    )


def remove_alias(tx: Tx, workspace_id: str, name: str, alias: str) -> bool:
    """False when there is none."""
    is_it = (*_of(model_aliases, workspace_id, name), model_aliases.c.alias == alias)
    return tx.execute(sa.delete(model_aliases).where(*is_it)).rowcount > 0


def alias(tx: Tx, workspace_id: str, name: str, alias: str) -> int | None:
    """The version that an alias names."""
    is_it = (*_of(model_aliases, workspace_id, name), model_aliases.c.alias == alias)
    return tx.execute(sa.select(model_aliases.c.version).where(*is_it)).scalar_one_or_none()


def rename(tx: Tx, workspace_id: str, name: str, new_name: str, now: float) -> None:
    """Both names are locked, and nothing is registered under the new one."""
    old = tx.execute(_names(workspace_id).where(model_names.c.name == name)).one()
    given = tx.execute(
        sa.select(model_names.c.last_version).where(*_of(model_names, workspace_id, new_name))
    ).scalar_one()
    change(
        tx, workspace_id, new_name, registered=True, description=old.description, created_at=old.created_at,
        updated_at=now, last_version=max(given, old.last_version),
    )  # fmt: skip
    change(tx, workspace_id, name, registered=False, description="")
    for table in (models, model_name_tags, model_aliases):
        tx.execute(sa.update(table).where(*_of(table, workspace_id, name)).values(name=new_name))


def unregister(tx: Tx, workspace_id: str, name: str) -> None:
    """The name has nothing registered any more; the row that counts its versions stays."""
    for table in (model_name_tags, model_aliases):
        tx.execute(sa.delete(table).where(*_of(table, workspace_id, name)))
    change(tx, workspace_id, name, registered=False, description="")


def name_rows(tx: Tx, workspace_id: str) -> list[_Row]:
    """All names ever used as they are kept."""
    query = sa.select(model_names).where(model_names.c.workspace_id == workspace_id)
    return list(tx.execute(query.order_by(model_names.c.name)))


def tag_rows(tx: Tx, workspace_id: str) -> list[_Row]:
    query = sa.select(model_name_tags).where(model_name_tags.c.workspace_id == workspace_id)
    return list(tx.execute(query.order_by(model_name_tags.c.name, model_name_tags.c.key)))


def alias_rows(tx: Tx, workspace_id: str) -> list[_Row]:
    query = sa.select(model_aliases).where(model_aliases.c.workspace_id == workspace_id)
    return list(tx.execute(query.order_by(model_aliases.c.name, model_aliases.c.alias)))


def has_versions(tx: Tx, workspace_id: str, name: str) -> bool:
    """Those in the trash count."""
    query = sa.select(models.c.id).where(*_of(models, workspace_id, name)).limit(1)
    return tx.execute(query).first() is not None


def search_names(
    tx: Tx,
    workspace_id: str,
    conditions: Sequence[Condition],
    order: Sequence[Order],
    offset: int,
    limit: int,
) -> list[RegisteredModel]:
    """Names for which all conditions hold."""
    query = _names(workspace_id)
    for condition in conditions:
        if condition.field == "tag":
            tagged = sa.select(model_name_tags.c.name).where(
                model_name_tags.c.workspace_id == workspace_id,
                model_name_tags.c.key == condition.key,
                _holds(tx, model_name_tags.c.value, condition),
            )
            query = query.where(_among(model_names.c.name, tagged, condition))
        else:
            query = query.where(_holds(tx, model_names.c[condition.field], condition))
    ordered = [_sorted(model_names.c[o.field], o) for o in order]
    rows = tx.execute(query.order_by(*ordered, model_names.c.name).offset(offset).limit(limit)).all()
    return _whole(tx, workspace_id, rows)


def search_versions(
    tx: Tx,
    workspace_id: str,
    conditions: Sequence[Condition],
    order: Sequence[Order],
    offset: int,
    limit: int,
) -> list[ModelInfo]:
    """Versions for which all conditions hold, without their aliases."""
    query = sa.select(models).where(models.c.workspace_id == workspace_id, THERE)
    for condition in conditions:
        if condition.field == "tag":
            tagged = sa.select(model_labels.c.model_id).where(
                model_labels.c.workspace_id == workspace_id,
                model_labels.c.kind == "tag",
                model_labels.c.key == condition.key,
                _holds(tx, model_labels.c.value, condition),
            )
            query = query.where(_among(models.c.id, tagged, condition))
        else:
            query = query.where(_holds(tx, models.c[condition.field], condition))
    ordered = [_sorted(models.c[o.field], o) for o in order]
    query = query.order_by(*ordered, models.c.name, models.c.version.desc()).offset(offset).limit(limit)
    return [info_of(row) for row in tx.execute(query)]


def _names(workspace_id: str) -> sa.Select[Any]:
    return sa.select(model_names).where(
        model_names.c.workspace_id == workspace_id, model_names.c.registered.is_(True)
    )


def _of(table: sa.Table, workspace_id: str, name: str) -> tuple[sa.ColumnElement[bool], ...]:
    return (table.c.workspace_id == workspace_id, table.c.name == name)


def _whole(tx: Tx, workspace_id: str, rows: Sequence[_Row]) -> list[RegisteredModel]:
    """These names with their tags, aliases and newest versions."""
    names = [row.name for row in rows]
    tags: dict[str, dict[str, str]] = {}
    aliases: dict[str, dict[str, int]] = {}
    for row in tx.execute(_every(model_name_tags, workspace_id, names).order_by(model_name_tags.c.key)):
        tags.setdefault(row.name, {})[row.key] = row.value
    for row in tx.execute(_every(model_aliases, workspace_id, names).order_by(model_aliases.c.alias)):
        aliases.setdefault(row.name, {})[row.alias] = row.version
    latest = _latest(tx, workspace_id, names)
    return [
        RegisteredModel(
            name=row.name,
            description=row.description,
            tags=tags.get(row.name, {}),
            aliases=aliases.get(row.name, {}),
            created_at=row.created_at,
            updated_at=row.updated_at,
            latest=latest.get(row.name, []),
        )
        for row in rows
    ]


def _latest(tx: Tx, workspace_id: str, names: Sequence[str]) -> dict[str, list[ModelInfo]]:
    """Name -> the newest version of each stage, oldest first."""
    newest = (
        sa.select(sa.func.max(models.c.id))
        .where(models.c.workspace_id == workspace_id, models.c.name.in_(names), THERE)
        .group_by(models.c.name, models.c.stage)
    )
    found: dict[str, list[ModelInfo]] = {}
    for row in tx.execute(sa.select(models).where(models.c.id.in_(newest)).order_by(models.c.version)):
        found.setdefault(row.name, []).append(info_of(row))
    return found


def _every(table: sa.Table, workspace_id: str, names: Sequence[str]) -> sa.Select[Any]:
    return sa.select(table).where(table.c.workspace_id == workspace_id, table.c.name.in_(names))


def _among(
    column: sa.ColumnElement[Any], found: sa.Select[Any], condition: Condition
) -> sa.ColumnElement[bool]:
    return column.not_in(found) if condition.without else column.in_(found)


def _sorted(column: sa.ColumnElement[Any], order: Order) -> sa.ColumnElement[Any]:
    return column.desc() if order.descending else column.asc()


def _holds(tx: Tx, column: sa.ColumnElement[Any], condition: Condition) -> sa.ColumnElement[bool]:
    op, value = condition.op, condition.value
    if op in ("IN", "NOT IN"):
        assert isinstance(value, list)
        return column.in_(value) if op == "IN" else column.not_in(value)
    if op == "ILIKE":
        return sa.func.lower(column).like(str(value).lower())
    if op == "LIKE":
        if tx.dialect.name != "sqlite":
            return column.like(str(value))
        return column.op("GLOB")(_glob(str(value)))  # SQLite's LIKE does not tell cases apart
    return column.op(op)(value)


def _glob(pattern: str) -> str:
    """A LIKE pattern as SQLite's GLOB has it."""
    escaped = re.sub(r"([*?[])", r"[\1]", pattern)
    return escaped.replace("%", "*").replace("_", "?")
