"""SQL of the environments slice: wire dataclasses in and out."""

from __future__ import annotations

import dataclasses
from typing import Any

import sqlalchemy as sa

from modelyard.server.environments.tables import build_logs, builds, environments
from modelyard.server.kernel.db import Tx, insert
from modelyard.wire import codec
from modelyard.wire.environments import BuildInfo, BuildStatus, EnvironmentInfo, EnvironmentSpec


def add(tx: Tx, workspace_id: str, info: EnvironmentInfo, position: int, definition_hash: str) -> bool:
    """False when the version or the position is taken; then nothing changes."""
    row = {
        "workspace_id": workspace_id, "name": info.spec.name, "version": info.spec.version, "position": position,
        "spec": codec.to_json(info.spec), "content_hash": info.content_hash, "definition_hash": definition_hash,
        "created_at": info.created_at,
    }  # fmt: skip
    return bool(tx.execute(insert(tx, environments).values(**row).on_conflict_do_nothing()).rowcount == 1)


def one(tx: Tx, workspace_id: str, name: str, version: str = "") -> tuple[EnvironmentInfo, str] | None:
    """With its definition hash. `version` empty: the latest."""
    query = _of(workspace_id, name)
    query = query.where(environments.c.version == version) if version else query
    row = tx.execute(query.order_by(environments.c.position.desc()).limit(1)).first()
    return None if row is None else (_info(row), row.definition_hash)


def versions(tx: Tx, workspace_id: str, name: str) -> list[EnvironmentInfo]:
    """Oldest first."""
    return [_info(row) for row in tx.execute(_of(workspace_id, name).order_by(environments.c.position))]


def latest_of_each(tx: Tx, workspace_id: str) -> list[EnvironmentInfo]:
    newest = (
        sa.select(environments.c.name, sa.func.max(environments.c.position).label("position"))
        .where(environments.c.workspace_id == workspace_id)
        .group_by(environments.c.name)
        .subquery()
    )
    query = (
        sa.select(environments)
        .join(newest, (newest.c.name == environments.c.name) & (newest.c.position == environments.c.position))
        .where(environments.c.workspace_id == workspace_id)
    )
    return [_info(row) for row in tx.execute(query.order_by(environments.c.name))]


def last_position(tx: Tx, workspace_id: str, name: str) -> int:
    query = sa.select(sa.func.max(environments.c.position)).where(
        environments.c.workspace_id == workspace_id, environments.c.name == name
    )
    return tx.execute(query).scalar() or 0


def rows(tx: Tx, workspace_id: str) -> list[sa.Row[Any]]:
    """All versions as they are kept, by name, oldest first."""
    query = sa.select(environments).where(environments.c.workspace_id == workspace_id)
    return list(tx.execute(query.order_by(environments.c.name, environments.c.position)))


def remove(tx: Tx, workspace_id: str, name: str, version: str) -> None:
    tx.execute(
        sa.delete(environments).where(
            environments.c.workspace_id == workspace_id,
            environments.c.name == name,
            environments.c.version == version,
        )
    )


def forget_workspace(tx: Tx, workspace_id: str) -> None:
    tx.execute(sa.delete(environments).where(environments.c.workspace_id == workspace_id))


def _of(workspace_id: str, name: str) -> Any:
    return sa.select(environments).where(
        environments.c.workspace_id == workspace_id, environments.c.name == name
    )


def _info(row: Any) -> EnvironmentInfo:
    return EnvironmentInfo(codec.from_json(EnvironmentSpec, row.spec), row.content_hash, row.created_at)


def put_build(tx: Tx, info: BuildInfo) -> None:
    row = {**dataclasses.asdict(info), "status": info.status.value}
    changes = {k: v for k, v in row.items() if k not in ("content_hash", "node")}
    tx.execute(
        insert(tx, builds)
        .values(**row)
        .on_conflict_do_update(index_elements=["content_hash", "node"], set_=changes)
    )


def build(tx: Tx, content_hash: str, node: str = "") -> BuildInfo | None:
    """`node` empty: on whichever node it was built last."""
    query = sa.select(builds).where(builds.c.content_hash == content_hash)
    query = query.where(builds.c.node == node) if node else query
    row = tx.execute(query.order_by(builds.c.started_at.desc(), builds.c.node).limit(1)).first()
    return None if row is None else _build(row)


def newest_builds(tx: Tx, limit: int) -> list[BuildInfo]:
    query = sa.select(builds).order_by(builds.c.started_at.desc(), builds.c.content_hash).limit(limit)
    return [_build(row) for row in tx.execute(query)]


def _build(row: Any) -> BuildInfo:
    return BuildInfo(**{**row._mapping, "status": BuildStatus(row.status)})


def log_end(tx: Tx, content_hash: str, node: str) -> int:
    query = sa.select(sa.func.max(build_logs.c.stop)).where(*_log_of(content_hash, node))
    return tx.execute(query).scalar() or 0


def append_log(tx: Tx, content_hash: str, node: str, start: int, data: bytes) -> None:
    tx.execute(
        sa.insert(build_logs).values(
            content_hash=content_hash, node=node, start=start, stop=start + len(data), data=data
        )
    )


def read_log(tx: Tx, content_hash: str, node: str, offset: int, limit: int) -> bytes:
    """What is held from `offset` on, about `limit` bytes at most."""
    query = sa.select(build_logs).where(*_log_of(content_hash, node), build_logs.c.stop > offset)
    parts: list[bytes] = []
    size = 0
    for row in tx.execute(query.order_by(build_logs.c.start)):
        piece = bytes(row.data)[max(0, offset - row.start) :]
        parts.append(piece)
        size += len(piece)
        if size >= limit:
            break
    return b"".join(parts)


def clear_log(tx: Tx, content_hash: str, node: str) -> None:
    tx.execute(sa.delete(build_logs).where(*_log_of(content_hash, node)))


def _log_of(content_hash: str, node: str) -> tuple[Any, Any]:
    return build_logs.c.content_hash == content_hash, build_logs.c.node == node
