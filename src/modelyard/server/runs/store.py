"""Runs in the database: SQL in, wire types out."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from modelyard.server.artifacts.garbage_store import Holders
from modelyard.server.kernel import auth, events
from modelyard.server.kernel.auth import Kind
from modelyard.server.kernel.db import Tx, driver
from modelyard.server.kernel.errors import Conflict
from modelyard.server.runs import changes, folding_store, lifecycle
from modelyard.server.runs.tables import experiments, labels, runs
from modelyard.wire import codec
from modelyard.wire.runs import RunError, RunInfo, RunSpec, RunStatus

Row = sa.Row[Any]

# A run's last files and log lines may come in for this long after it has ended; then its token is dead.
TOKEN_OUTLIVES_RUN_S = 600.0
_LONGEST_INDEXED = 255
_MANY = 500

_FINAL = [s.value for s in lifecycle.FINAL]
_PLACED = [s.value for s in (*lifecycle.ACTIVE, RunStatus.NOT_RESPONDING, RunStatus.CANCEL_REQUESTED)]
_SELECT = sa.select(runs, experiments.c.name.label("experiment")).join(
    experiments, experiments.c.id == runs.c.experiment_id
)
_THERE = runs.c.deleted_at.is_(None)

# What every call about a run asks or does is built once: that is half of what a statement costs.
_BY_ID = _SELECT.where(
    runs.c.id == sa.bindparam("run_id"), runs.c.workspace_id == sa.bindparam("workspace_id")
)
_BY_ID_THERE = _BY_ID.where(_THERE)
_INSERT = sa.insert(runs)
_ONE_CHILD_MORE = (
    sa.update(runs).where(runs.c.id == sa.bindparam("parent")).values(child_count=runs.c.child_count + 1)
)


def hold(holders: Holders) -> None:
    """Keep the snapshots of runs from the garbage collection."""
    holders.tree_columns.add(runs.c.snapshot_id)


def by_id(tx: Tx, workspace_id: str, run_id: str, in_trash: bool = False) -> Row | None:
    """`in_trash`: also one that was deleted."""
    wanted = {"run_id": run_id, "workspace_id": workspace_id}
    return tx.execute(_BY_ID if in_trash else _BY_ID_THERE, wanted).first()


def anywhere(tx: Tx, run_id: str) -> Row | None:
    """In whichever workspace, or in the trash."""
    return tx.execute(_SELECT.where(runs.c.id == run_id)).first()


def version(tx: Tx, workspace_id: str, run_id: str) -> int | None:
    return tx.execute(
        sa.select(runs.c.version).where(runs.c.id == run_id, runs.c.workspace_id == workspace_id, _THERE)
    ).scalar()


def status(tx: Tx, run_id: str) -> RunStatus | None:
    found = tx.execute(sa.select(runs.c.status).where(runs.c.id == run_id)).scalar()
    return None if found is None else RunStatus(found)


def exists(tx: Tx, workspace_id: str, run_id: str) -> bool:
    return version(tx, workspace_id, run_id) is not None


_NEW: dict[str, Any] = {
    "status_reason": "", "description": "", "child_count": 0, "properties": {}, "params": {}, "version": 1, "node": "",
    "warnings": [], "environment_hash": "", "environment_lock": [], "machine": {},
}  # fmt: skip


def add(tx: Tx, **given: Any) -> None:
    """A new run; columns that are not given are those of one that nothing has happened to."""
    given = {**_NEW, **given}
    tx.execute(_INSERT, given)
    changes.begin(tx, given["workspace_id"], [given["id"]])
    write_labels(tx, given["id"], "tag", given["tags"])
    write_labels(tx, given["id"], "property", given["properties"])
    write_labels(tx, given["id"], "param", given["params"])
    if given["parent_id"]:
        tx.execute(_ONE_CHILD_MORE, {"parent": given["parent_id"]})


def write_labels(tx: Tx, run_id: str, kind: str, given: dict[str, str]) -> None:
    rows = [(run_id, kind, key, indexed(value)) for key, value in given.items()]
    if rows:
        signs = ", ".join(["?" if tx.dialect.name == "sqlite" else "%s"] * 4)
        with driver(tx) as cursor:
            cursor.executemany(
                f'INSERT INTO run_labels (run_id, kind, "key", value) VALUES ({signs})',  # noqa: S608  # constants
                rows,
            )


def change_labels(
    tx: Tx, run_id: str, kind: str, before: Mapping[str, str], after: Mapping[str, str]
) -> None:
    old = [key for key, value in before.items() if after.get(key) != value]
    for start in range(0, len(old), _MANY):
        some = labels.c.key.in_(old[start : start + _MANY])
        tx.execute(sa.delete(labels).where(labels.c.run_id == run_id, labels.c.kind == kind, some))
    write_labels(tx, run_id, kind, {k: v for k, v in after.items() if before.get(k) != v})


def indexed(value: str) -> str:
    """A label's value as it is searched by."""
    if len(value) <= _LONGEST_INDEXED:
        return value
    return "sha256:" + hashlib.sha256(value.encode("utf-8")).hexdigest()


def change(tx: Tx, row: Row, **given: Any) -> None:
    """Change what people look at but the status; wakes those who wait for the run."""
    tx.execute(_changing(tuple(given)), _changed(row, given))
    changes.mark(tx, [row.id])
    events.touch(tx, row.id)


@functools.cache
def _changing(columns: tuple[str, ...]) -> sa.Update:
    """Of one run; built once for each set of columns. With the status among them, as long as it is the one that was seen."""
    statement = sa.update(runs).where(runs.c.id == sa.bindparam("of_run"))
    if "status" in columns:
        statement = statement.where(runs.c.status == sa.bindparam("status_seen"))
    new: dict[str, Any] = {name: sa.bindparam(f"new_{name}") for name in columns}
    return statement.values(**new, version=runs.c.version + 1)


def _changed(row: Row, given: Mapping[str, Any]) -> dict[str, Any]:
    new: dict[str, Any] = {f"new_{name}": value for name, value in given.items()}
    if "status" in given:
        new["status_seen"] = row.status
    return {**new, "of_run": row.id}


def renew(tx: Tx, run_ids: Sequence[str], until: float) -> None:
    """A sign of life: nothing that people look at, so no new version."""
    tx.execute(
        sa.update(runs)
        .where(runs.c.id.in_(run_ids), runs.c.lease_expires_at.is_not(None), runs.c.status.not_in(_FINAL))
        .values(lease_expires_at=until)
    )


def move(
    tx: Tx, row: Row, then: RunStatus, *, now: float, reason: str = "", actor: str = "", reopening: bool = False,
    **given: Any,
) -> None:  # fmt: skip
    """The one place where a run's status changes. Raises Conflict where the lifecycle or a quicker writer forbids it.

    `reopening`: as an interactive run may be that its client goes on with.
    """
    try:
        (lifecycle.check_reopening if reopening else lifecycle.check)(RunStatus(row.status), then)
    except lifecycle.IllegalTransition:
        raise Conflict(
            "run_is_final" if row.status in _FINAL else "run_transition_refused",
            f"Run {row.id!r} is {row.status} and can't become {then.value}.",
            status=row.status,
        ) from None
    is_final = then in lifecycle.FINAL
    if is_final:
        given = {"ended_at": now, **given, "lease_expires_at": None}
    elif reopening:
        given = {**given, "ended_at": None, "lease_expires_at": None}
    given["responding_as"] = row.status if then is RunStatus.NOT_RESPONDING else None
    given = {**given, "status": then.value, "status_reason": reason}
    done = tx.execute(_changing(tuple(given)), _changed(row, given))
    if done.rowcount != 1:
        raise Conflict("run_changed", f"Run {row.id!r} was changed by somebody else just now. Try again.")
    changes.mark(tx, [row.id])
    if is_final:
        auth.expire(tx, kind=Kind.RUN, subject=row.id, at=now + TOKEN_OUTLIVES_RUN_S)
        folding_store.want_ended(tx, row.id)
    events.publish(
        tx, at=now, workspace_id=row.workspace_id, kind="run.status", subject=row.id, actor=actor,
        status=then.value, before=row.status, reason=reason,
    )  # fmt: skip


def archive_below(tx: Tx, row: Row, at: float | None) -> None:
    """Runs below one that is archived (`at`) are so too; they come back (None) with the one they were archived with."""
    below = descendant_ids(tx, row.id)
    for start in range(0, len(below), _MANY):
        some = below[start : start + _MANY]
        as_before = runs.c.archived_at.is_(None) if at is not None else runs.c.archived_at == row.archived_at
        tx.execute(
            sa.update(runs)
            .where(runs.c.id.in_(some), as_before)
            .values(archived_at=at, version=runs.c.version + 1)
        )
        changes.mark(tx, some)


def children(tx: Tx, run_id: str) -> list[Row]:
    query = _SELECT.where(runs.c.parent_id == run_id, _THERE).order_by(runs.c.created_at, runs.c.number)
    return list(tx.execute(query))


def descendant_ids(tx: Tx, run_id: str) -> list[str]:
    """All runs below this one, parents before their children."""
    below = (
        sa.select(runs.c.id, sa.literal(1).label("depth"))
        .where(runs.c.parent_id == run_id)
        .cte(recursive=True)
    )
    below = below.union_all(
        sa.select(runs.c.id, below.c.depth + 1).join(below, runs.c.parent_id == below.c.id)
    )
    return [row[0] for row in tx.execute(sa.select(below.c.id).order_by(below.c.depth))]


def by_ids(tx: Tx, run_ids: Sequence[str]) -> list[Row]:
    """In the order of creation."""
    found: list[Row] = []
    for start in range(0, len(run_ids), _MANY):
        found += tx.execute(_SELECT.where(runs.c.id.in_(run_ids[start : start + _MANY]))).all()
    return sorted(found, key=lambda row: (row.created_at, row.number))


def parent_of(tx: Tx, workspace_id: str, run_id: str) -> str | None:
    return tx.execute(
        sa.select(runs.c.parent_id).where(runs.c.id == run_id, runs.c.workspace_id == workspace_id)
    ).scalar()


def open_below(tx: Tx, run_id: str) -> list[Row]:
    """The runs below this one that are not final."""
    return [row for row in by_ids(tx, descendant_ids(tx, run_id)) if row.status not in _FINAL]


def queued(tx: Tx, target: str, limit: int) -> list[Row]:
    """The runs that wait for this compute target, the longest waiting first."""
    query = _SELECT.where(runs.c.status == RunStatus.QUEUED.value, runs.c.target == target)
    return list(tx.execute(query.order_by(runs.c.created_at, runs.c.number, runs.c.id).limit(limit)))


def count_queued(tx: Tx, target: str) -> int:
    query = sa.select(sa.func.count()).select_from(runs)
    return tx.execute(
        query.where(runs.c.status == RunStatus.QUEUED.value, runs.c.target == target)
    ).scalar_one()


def count_busy(tx: Tx, target: str) -> int:
    query = sa.select(sa.func.count()).select_from(runs)
    return tx.execute(query.where(runs.c.status.in_(_PLACED), runs.c.target == target)).scalar_one()


def placed_on(tx: Tx, node: str) -> list[Row]:
    """The runs in the hands of this node."""
    return list(tx.execute(_SELECT.where(runs.c.node == node, runs.c.status.in_(_PLACED))))


def leased_before(tx: Tx, at: float) -> list[Row]:
    """Runs in somebody's hands whose lease ran out before `at`."""
    return list(tx.execute(_SELECT.where(runs.c.status.in_(_PLACED), runs.c.lease_expires_at < at)))


def is_held(row: Row) -> bool:
    """Whether the run is in somebody's hands: a run host's, or those of a process that gives signs of life."""
    return row.status not in _FINAL and (row.spec is not None or row.lease_expires_at is not None)


def active_in(tx: Tx, workspace_id: str, experiment_id: str = "") -> list[str]:
    """Ids of some runs that are held."""
    query = sa.select(runs.c.id).where(
        runs.c.workspace_id == workspace_id,
        runs.c.status.not_in(_FINAL),
        sa.or_(runs.c.target.is_not(None), runs.c.lease_expires_at.is_not(None)),
    )
    if experiment_id:
        query = query.where(runs.c.experiment_id == experiment_id)
    return [row[0] for row in tx.execute(query.limit(4))]


def ids_in(tx: Tx, workspace_id: str, experiment_id: str = "") -> list[str]:
    query = sa.select(runs.c.id).where(runs.c.workspace_id == workspace_id)
    if experiment_id:
        query = query.where(runs.c.experiment_id == experiment_id)
    return [row[0] for row in tx.execute(query)]


def remove(tx: Tx, run_ids: Sequence[str]) -> None:
    """Runs of the trash, or of a workspace that goes. What hangs on a run by a foreign key goes with it."""
    for start in range(0, len(run_ids), _MANY):
        some = run_ids[start : start + _MANY]
        tx.execute(sa.delete(runs).where(runs.c.id.in_(some)))
        changes.mark(tx, some)
        auth.revoke_all(tx, kind=Kind.RUN, subjects=some)


def info(row: Row) -> RunInfo:
    return RunInfo(
        id=row.id, number=row.number, experiment=row.experiment, experiment_id=row.experiment_id, type=row.type,
        status=RunStatus(row.status), status_reason=row.status_reason, display_name=row.display_name,
        description=row.description, parent_id=row.parent_id, root_id=row.root_id, tags=row.tags,
        properties=row.properties, created_at=row.created_at, version=row.version, user=row.user,
        started_at=row.started_at, ended_at=row.ended_at, snapshot_id=row.snapshot_id, spec=spec(row),
        node=row.node, exit_code=row.exit_code,
        error=None if row.error is None else codec.from_json(RunError, row.error),
        warnings=row.warnings, environment_hash=row.environment_hash, environment_lock=row.environment_lock,
        machine=row.machine, child_count=row.child_count, params=row.params, archived_at=row.archived_at,
        deleted_at=row.deleted_at, synced_at=row.synced_at,
    )  # fmt: skip


def infos(rows: Iterable[Row]) -> list[RunInfo]:
    return [info(row) for row in rows]


def spec(row: Row) -> RunSpec | None:
    return None if row.spec is None else codec.from_json(RunSpec, row.spec)
