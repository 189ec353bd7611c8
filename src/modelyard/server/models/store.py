"""SQL of the models slice: wire dataclasses in and out."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from modelyard.server.artifacts.garbage_store import Holders
from modelyard.server.kernel.db import Tx, insert
from modelyard.server.models.tables import model_aliases, model_labels, model_name_tags, model_names, models
from modelyard.wire.models import ModelInfo

_NOT_COLUMNS = ("id", "endpoints", "aliases")  # of ModelInfo: made from other columns and tables
THERE = models.c.deleted_at.is_(None)


@dataclass(frozen=True)
class Search:
    """What a listed model must have. A label is `key` or `key=value`."""

    name: str = ""
    tags: list[str] = field(default_factory=list)
    properties: list[str] = field(default_factory=list)
    run_id: str = ""
    framework: str = ""
    latest: bool = False
    before: int | None = None  # row id: the page goes on below it
    limit: int = 100


def hold(holders: Holders) -> None:
    """Keep the files of models from the garbage collection."""
    holders.tree_columns.add(models.c.tree_id)


def lock_name(tx: Tx, workspace_id: str, name: str) -> int:
    """The last version given out under this name (0: none), which nobody else changes until this transaction ends."""
    statement = insert(tx, model_names).values(
        workspace_id=workspace_id, name=name, last_version=0, registered=False
    )
    last = tx.execute(
        statement.on_conflict_do_update(
            index_elements=["workspace_id", "name"], set_={"last_version": model_names.c.last_version}
        ).returning(model_names.c.last_version)
    ).scalar_one()
    return int(last)


def add(tx: Tx, workspace_id: str, request_id: str, info: ModelInfo) -> None:
    """Keep a new version, under a name that is locked and registered."""
    row = {k: v for k, v in dataclasses.asdict(info).items() if k not in _NOT_COLUMNS}
    done = tx.execute(
        sa.insert(models)
        .values(workspace_id=workspace_id, request_id=request_id, **row)
        .returning(models.c.id)
    )
    row_id = done.scalar_one()
    for kind, labels in (("tag", info.tags), ("property", info.properties)):
        _add_labels(tx, workspace_id, row_id, kind, labels)
    tx.execute(
        sa.update(model_names)
        .where(model_names.c.workspace_id == workspace_id, model_names.c.name == info.name)
        .values(last_version=info.version)
    )


def by_request(tx: Tx, workspace_id: str, request_id: str) -> ModelInfo | None:
    where = (models.c.workspace_id == workspace_id, models.c.request_id == request_id)
    return _one(tx, sa.select(models).where(*where))


def get(
    tx: Tx, workspace_id: str, name: str, version: int | None, in_trash: bool = False
) -> ModelInfo | None:
    """`version` None: the highest that is there. `in_trash`: also one that was deleted."""
    query = sa.select(models).where(models.c.workspace_id == workspace_id, models.c.name == name)
    if not in_trash:
        query = query.where(THERE)
    if version is not None:
        query = query.where(models.c.version == version)
    return _one(tx, query.order_by(models.c.version.desc()).limit(1))


def versions(tx: Tx, workspace_id: str, name: str) -> list[int]:
    query = sa.select(models.c.version).where(
        models.c.workspace_id == workspace_id, models.c.name == name, THERE
    )
    return list(tx.execute(query.order_by(models.c.version)).scalars())


def search(tx: Tx, workspace_id: str, wanted: Search) -> list[tuple[int, ModelInfo]]:
    """Newest first, each with its row id."""
    query = sa.select(models).where(models.c.workspace_id == workspace_id, THERE)
    if wanted.name:
        query = query.where(models.c.name == wanted.name)
    if wanted.run_id:
        query = query.where(models.c.run_id == wanted.run_id)
    if wanted.framework:
        query = query.where(models.c.framework == wanted.framework)
    for kind, labels in (("tag", wanted.tags), ("property", wanted.properties)):
        for label in labels:
            query = query.where(models.c.id.in_(_labelled(workspace_id, kind, label)))
    if wanted.latest:
        newer = models.alias("newer")
        query = query.where(
            ~sa.exists().where(
                newer.c.workspace_id == workspace_id,
                newer.c.name == models.c.name,
                newer.c.version > models.c.version,
                newer.c.deleted_at.is_(None),
            )
        )
    if wanted.before is not None:
        query = query.where(models.c.id < wanted.before)
    rows = tx.execute(query.order_by(models.c.id.desc()).limit(wanted.limit)).all()
    return [(row.id, info_of(row)) for row in rows]


def change(tx: Tx, workspace_id: str, before: ModelInfo, after: ModelInfo) -> None:
    """Make the row and its labels say what `after` says."""
    columns = ("description", "tags", "properties", "framework", "framework_version", "stage", "updated_at")
    where = _is(workspace_id, before.name, before.version)
    row_id = tx.execute(
        sa.update(models).where(*where).values({c: getattr(after, c) for c in columns}).returning(models.c.id)
    ).scalar_one()
    for kind, old, new in (
        ("tag", before.tags, after.tags),
        ("property", before.properties, after.properties),
    ):
        gone = [k for k in old if new.get(k) != old[k]]
        if gone:
            tx.execute(
                sa.delete(model_labels).where(
                    model_labels.c.model_id == row_id,
                    model_labels.c.kind == kind,
                    model_labels.c.key.in_(gone),
                )
            )
        _add_labels(tx, workspace_id, row_id, kind, {k: v for k, v in new.items() if old.get(k) != v})


def set_deleted(
    tx: Tx, workspace_id: str, name: str, version: int, at: float | None, deleted_with: str | None
) -> None:
    """Into the trash, or out of it (None)."""
    tx.execute(
        sa.update(models)
        .where(*_is(workspace_id, name, version))
        .values(deleted_at=at, deleted_with=deleted_with)
    )


def remove(tx: Tx, workspace_id: str, name: str, version: int) -> None:
    where = _is(workspace_id, name, version)
    row_id = tx.execute(sa.delete(models).where(*where).returning(models.c.id)).scalar_one_or_none()
    tx.execute(sa.delete(model_labels).where(model_labels.c.model_id == row_id))


def drop_aliases(tx: Tx, workspace_id: str, name: str, version: int) -> None:
    """No alias names this version any more."""
    of_name = (model_aliases.c.workspace_id == workspace_id, model_aliases.c.name == name)
    tx.execute(sa.delete(model_aliases).where(*of_name, model_aliases.c.version == version))


def archive_stage(tx: Tx, workspace_id: str, stage: str, but: ModelInfo, now: float) -> None:
    """Move the other versions of this name that are in `stage` to Archived."""
    others = (
        models.c.workspace_id == workspace_id,
        models.c.name == but.name,
        models.c.version != but.version,
        models.c.stage == stage,
    )
    tx.execute(sa.update(models).where(*others).values(stage="Archived", updated_at=now))


def with_aliases(tx: Tx, workspace_id: str, infos: Sequence[ModelInfo]) -> list[ModelInfo]:
    """The same versions, each with the aliases that name it."""
    named: dict[tuple[str, int], list[str]] = {}
    query = sa.select(model_aliases).where(
        model_aliases.c.workspace_id == workspace_id, model_aliases.c.name.in_({i.name for i in infos})
    )
    for row in tx.execute(query.order_by(model_aliases.c.alias)):
        named.setdefault((row.name, row.version), []).append(row.alias)
    return [dataclasses.replace(i, aliases=named.get((i.name, i.version), [])) for i in infos]


def rows(tx: Tx, workspace_id: str) -> list[sa.Row[Any]]:
    """All versions but those in the trash as they are kept, in the order of registration."""
    query = sa.select(models).where(models.c.workspace_id == workspace_id, THERE)
    return list(tx.execute(query.order_by(models.c.id)))


def forget_workspace(tx: Tx, workspace_id: str) -> None:
    for table in (models, model_labels, model_aliases, model_name_tags, model_names):
        tx.execute(sa.delete(table).where(table.c.workspace_id == workspace_id))


def _is(workspace_id: str, name: str, version: int) -> Sequence[sa.ColumnElement[bool]]:
    return (models.c.workspace_id == workspace_id, models.c.name == name, models.c.version == version)


def _labelled(workspace_id: str, kind: str, label: str) -> sa.Select[Any]:
    key, equals, value = label.partition("=")
    query = sa.select(model_labels.c.model_id).where(
        model_labels.c.workspace_id == workspace_id, model_labels.c.kind == kind, model_labels.c.key == key
    )
    return query.where(model_labels.c.value == value) if equals else query


def _add_labels(tx: Tx, workspace_id: str, row_id: int, kind: str, labels: dict[str, str]) -> None:
    if labels:
        tx.execute(
            sa.insert(model_labels),
            [
                {"model_id": row_id, "kind": kind, "key": k, "workspace_id": workspace_id, "value": v}
                for k, v in labels.items()
            ],
        )


def _one(tx: Tx, query: sa.Select[Any]) -> ModelInfo | None:
    row = tx.execute(query).first()
    return None if row is None else info_of(row)


def info_of(row: Any) -> ModelInfo:
    names = [f.name for f in dataclasses.fields(ModelInfo) if f.name not in _NOT_COLUMNS]
    return ModelInfo(id=f"{row.name}:{row.version}", **{n: getattr(row, n) for n in names})
