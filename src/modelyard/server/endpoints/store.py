"""Web services in the database: SQL in, wire types out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
import sqlalchemy as sa

from modelyard.server.artifacts.garbage_store import Holders
from modelyard.server.endpoints.lifecycle import may_follow
from modelyard.server.endpoints.tables import endpoints, log_chunks, revisions, stopping
from modelyard.server.kernel import events
from modelyard.server.kernel.db import Tx
from modelyard.server.kernel.errors import Conflict
from modelyard.wire.endpoints import EndpointInfo, ServiceError, ServiceSpec, ServiceState

Row = sa.Row[Any]

LOG_KEPT_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class Revision:
    """What one revision runs, with its models settled to trees."""

    spec: ServiceSpec
    model_trees: dict[str, str]
    model_frameworks: dict[str, str]


def hold(holders: Holders) -> None:
    """Keep what services run on from the garbage collection."""
    holders.tree_lists.add(_trees)


def _trees(tx: Tx) -> list[str]:
    """The sources and models of every revision that is kept."""
    found = []
    for spec, model_trees in tx.execute(sa.select(revisions.c.spec, revisions.c.model_trees)):
        found += [spec["snapshot_id"], *model_trees.values()]
    return found


def by_name(tx: Tx, workspace_id: str, name: str) -> Row | None:
    return tx.execute(
        sa.select(endpoints).where(endpoints.c.workspace_id == workspace_id, endpoints.c.name == name)
    ).first()


def in_workspace(tx: Tx, workspace_id: str) -> list[Row]:
    query = sa.select(endpoints).where(endpoints.c.workspace_id == workspace_id).order_by(endpoints.c.name)
    return list(tx.execute(query))


def everywhere(tx: Tx) -> list[Row]:
    return list(tx.execute(sa.select(endpoints).order_by(endpoints.c.created_at)))


def add(tx: Tx, **values: Any) -> None:
    tx.execute(sa.insert(endpoints).values(**values))


def add_revision(tx: Tx, endpoint_id: str, number: int, revision: Revision, now: float) -> None:
    tx.execute(
        sa.insert(revisions).values(
            endpoint_id=endpoint_id,
            revision=number,
            spec=msgspec.to_builtins(revision.spec),
            model_trees=revision.model_trees,
            model_frameworks=revision.model_frameworks,
            created_at=now,
        )
    )


def revision(tx: Tx, endpoint_id: str, number: int) -> Revision:
    row = tx.execute(
        sa.select(revisions).where(revisions.c.endpoint_id == endpoint_id, revisions.c.revision == number)
    ).one()
    return Revision(msgspec.convert(row.spec, ServiceSpec), dict(row.model_trees), dict(row.model_frameworks))


def change(tx: Tx, row: Row, now: float, **values: Any) -> None:
    """Change what people look at but the state; wakes those who wait."""
    tx.execute(
        sa.update(endpoints)
        .where(endpoints.c.id == row.id)
        .values(**values, updated_at=now, version=endpoints.c.version + 1)
    )
    events.touch(tx, row.id, "endpoint")


def move(tx: Tx, row: Row, state: ServiceState, reason: str, now: float, **values: Any) -> None:
    """The one place where a service's state changes. Raises Conflict when the row moved meanwhile."""
    if not may_follow(ServiceState(row.state), state):
        raise Conflict(
            "wrong_state",
            f"Endpoint {row.name!r} is {row.state} and can't become {state.value}.",
            state=row.state,
        )
    done = tx.execute(
        sa.update(endpoints)
        .where(endpoints.c.id == row.id, endpoints.c.state == row.state, endpoints.c.revision == row.revision)
        .values(
            state=state.value, state_reason=reason, updated_at=now, version=endpoints.c.version + 1, **values
        )
    )
    if done.rowcount != 1:
        raise Conflict(
            "endpoint_changed", f"Endpoint {row.name!r} was changed by somebody else just now. Try again."
        )
    events.publish(
        tx,
        at=now,
        workspace_id=row.workspace_id,
        kind="endpoint.state",
        subject=row.id,
        name=row.name,
        state=state.value,
        before=row.state,
        reason=reason,
    )


def seen(tx: Tx, endpoint_ids: Iterable[str], now: float) -> None:
    tx.execute(sa.update(endpoints).where(endpoints.c.id.in_(list(endpoint_ids))).values(seen_at=now))


def note_telemetry(tx: Tx, endpoint_id: str, telemetry: dict[str, Any], now: float) -> None:
    """Figures that nobody waits for: no new version, nobody is woken."""
    tx.execute(
        sa.update(endpoints).where(endpoints.c.id == endpoint_id).values(telemetry=telemetry, seen_at=now)
    )


def remove(tx: Tx, row: Row, now: float) -> None:
    tx.execute(sa.delete(log_chunks).where(log_chunks.c.endpoint_id == row.id))
    tx.execute(sa.delete(revisions).where(revisions.c.endpoint_id == row.id))
    tx.execute(sa.delete(endpoints).where(endpoints.c.id == row.id))
    tx.execute(sa.insert(stopping).values(endpoint_id=row.id, port=row.port, at=now))
    events.publish(
        tx, at=now, workspace_id=row.workspace_id, kind="endpoint.deleted", subject=row.id, name=row.name
    )


def stopping_ports(tx: Tx) -> dict[str, int]:
    """Endpoint id -> port of the deleted services that may still be running."""
    return {row.endpoint_id: row.port for row in tx.execute(sa.select(stopping))}


def stopped(tx: Tx, endpoint_ids: Iterable[str]) -> None:
    tx.execute(sa.delete(stopping).where(stopping.c.endpoint_id.in_(list(endpoint_ids))))


def using_model(tx: Tx, workspace_id: str, model_id: str) -> list[str]:
    """Names of the endpoints whose asked-for or answering revision holds the model `name:version`."""
    query = (
        sa.select(endpoints.c.name, revisions.c.model_trees)
        .join(revisions, revisions.c.endpoint_id == endpoints.c.id)
        .where(
            endpoints.c.workspace_id == workspace_id,
            sa.or_(
                revisions.c.revision == endpoints.c.revision,
                revisions.c.revision == endpoints.c.active_revision,
            ),
        )
    )
    return sorted({row.name for row in tx.execute(query) if model_id in row.model_trees})


def log_end(tx: Tx, endpoint_id: str) -> int:
    query = sa.select(sa.func.max(log_chunks.c.stop)).where(log_chunks.c.endpoint_id == endpoint_id)
    return tx.execute(query).scalar() or 0


def append_log(tx: Tx, endpoint_id: str, start: int, data: bytes) -> None:
    """Keep a piece of log; pieces that ended more than LOG_KEPT_BYTES ago go."""
    stop = start + len(data)
    tx.execute(sa.insert(log_chunks).values(endpoint_id=endpoint_id, start=start, stop=stop, data=data))
    tx.execute(
        sa.delete(log_chunks).where(
            log_chunks.c.endpoint_id == endpoint_id, log_chunks.c.stop < stop - LOG_KEPT_BYTES
        )
    )


def log_tail(tx: Tx, endpoint_id: str, lines: int) -> bytes:
    """The last `lines` lines, or as many as are kept."""
    query = sa.select(log_chunks.c.data).where(log_chunks.c.endpoint_id == endpoint_id)
    parts: list[bytes] = []
    newlines = 0
    for row in tx.execute(query.order_by(log_chunks.c.start.desc())):
        parts.append(row.data)
        newlines += row.data.count(b"\n")
        if newlines > lines:
            break
    kept = b"".join(reversed(parts)).splitlines(keepends=True)
    return b"".join(kept[-lines:])


def log_from(tx: Tx, endpoint_id: str, offset: int, limit: int) -> tuple[bytes, int]:
    """About `limit` bytes of what is kept from `offset` on, and where they end."""
    query = sa.select(log_chunks).where(log_chunks.c.endpoint_id == endpoint_id, log_chunks.c.stop > offset)
    parts: list[bytes] = []
    end, size = offset, 0
    for row in tx.execute(query.order_by(log_chunks.c.start)):
        parts.append(row.data[max(0, offset - row.start) :])
        end, size = row.stop, size + len(parts[-1])
        if size >= limit:
            break
    return b"".join(parts), end


def info(row: Row, spec: ServiceSpec, address: str) -> EndpointInfo:
    """The endpoint as people see it. `address`: `http://host:port`, empty while no port is known."""
    return EndpointInfo(
        id=row.id,
        name=row.name,
        compute_type=row.compute_type,
        state=ServiceState(row.state),
        state_reason=row.state_reason,
        description=row.description,
        tags=dict(row.tags),
        properties=dict(row.properties),
        scoring_uri=f"{address}/score" if address else "",
        swagger_uri=f"{address}/swagger.json" if address else "",
        auth_enabled=spec.auth_enabled,
        revision=row.revision,
        active_revision=row.active_revision,
        spec=spec,
        created_at=row.created_at,
        updated_at=row.updated_at,
        version=row.version,
        error=msgspec.convert(row.error, ServiceError) if row.error else None,
        replicas_ready=row.replicas_ready,
        telemetry=dict(row.telemetry),
    )
