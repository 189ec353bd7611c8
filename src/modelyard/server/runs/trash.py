"""The trash of runs and experiments: what is deleted stays whole until the trash is emptied, and can come back.

What goes together comes back together: `deleted_with` names the run or experiment that was deleted by a person.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from modelyard.server.kernel import auth, events
from modelyard.server.kernel.auth import Kind
from modelyard.server.kernel.db import Tx
from modelyard.server.kernel.errors import Conflict, NotFound
from modelyard.server.runs import changes, experiments_store, store
from modelyard.server.runs.tables import experiments, runs

_MANY = 500
_TOLD = 1000  # how many runs at most have those woken who wait for them


def put_run(tx: Tx, row: store.Row, now: float, actor: str) -> None:
    """With the runs below it. Raises Conflict while one is held."""
    below = store.by_ids(tx, store.descendant_ids(tx, row.id))
    rows = [row, *(r for r in below if r.deleted_at is None)]
    active = [r.id for r in rows if store.is_held(r)]
    if active:
        raise Conflict(
            "run_is_active",
            f"Run {active[0]!r} is not over yet. Cancel it first, then delete.",
            active=active[:10],
        )
    _set_run(tx, [r.id for r in rows], now, row.id)
    _count(tx, row, -len(rows))
    _publish(tx, "run.deleted", row, now, actor, len(rows))


def restore_run(tx: Tx, row: store.Row, now: float, actor: str) -> None:
    """With the runs that were deleted with it. Raises Conflict for one that can't come back alone."""
    if row.deleted_at is None:
        raise Conflict("not_in_trash", f"Run {row.id!r} is not in the trash.")
    if row.deleted_with != row.id:
        raise _not_alone(tx, row)
    experiment = experiments_store.by_id(tx, row.workspace_id, row.experiment_id, in_trash=True)
    if experiment is not None and experiment.deleted_at is not None:
        raise Conflict(
            "experiment_in_trash",
            f"Experiment {experiment.name!r} of run {row.id!r} is in the trash too. Restore it first: "
            f"'modelyard trash restore {experiment.id}'.",
        )
    parent = store.by_id(tx, row.workspace_id, row.parent_id, in_trash=True) if row.parent_id else None
    if parent is not None and parent.deleted_at is not None:
        raise Conflict(
            "parent_in_trash",
            f"The run above {row.id!r} is in the trash too. Restore it first: 'modelyard trash restore {parent.id}'.",
        )
    together = ids_with(tx, row.id)
    _set_run(tx, together, None, None)
    _count(tx, row, len(together))
    _publish(tx, "run.restored", row, now, actor, len(together))


def put_experiment(tx: Tx, row: experiments_store.Row, now: float) -> None:
    """With those of its runs that are not in the trash yet, all of which are over."""
    mine = sa.and_(runs.c.experiment_id == row.id, runs.c.deleted_at.is_(None))
    changes.mark_all(tx, sa.select(runs.c.id).where(mine))
    tx.execute(
        sa.update(runs).where(mine).values(deleted_at=now, deleted_with=row.id, version=runs.c.version + 1)
    )
    experiments_store.change(tx, row.id, deleted_at=now, deleted_with=row.id)


def restore_experiment(tx: Tx, row: experiments_store.Row, name: str) -> None:
    """Under `name`, with the runs that were deleted with it. Raises Conflict where the name is taken."""
    if row.deleted_at is None:
        raise Conflict("not_in_trash", f"Experiment {row.name!r} is not in the trash.")
    if row.deleted_with != row.id:
        raise _going(f"Experiment {row.name!r}")
    if experiments_store.by_name(tx, row.workspace_id, name) is not None:
        raise Conflict(
            "experiment_exists",
            f"There is another experiment {name!r} by now. Restore this one under a new name: "
            f"'modelyard trash restore {row.id} --name NAME'.",
        )
    changes.mark_all(tx, sa.select(runs.c.id).where(runs.c.deleted_with == row.id))
    tx.execute(
        sa.update(runs)
        .where(runs.c.deleted_with == row.id)
        .values(deleted_at=None, deleted_with=None, version=runs.c.version + 1)
    )
    experiments_store.change(tx, row.id, name=name, deleted_at=None, deleted_with=None)


def ids_with(tx: Tx, deleted_with: str) -> list[str]:
    """The runs that went together."""
    return list(tx.execute(sa.select(runs.c.id).where(runs.c.deleted_with == deleted_with)).scalars())


def missing(tx: Tx, workspace_id: str, run_id: str) -> NotFound | None:
    """What to say of a run that is not there because it was deleted; None for one that never was."""
    row = store.by_id(tx, workspace_id, run_id, in_trash=True)
    if row is None:
        return None
    if row.deleted_with != row.id:
        return NotFound("no_such_run", _not_alone(tx, row).detail)
    return NotFound(
        "no_such_run", f"Run {run_id!r} was deleted. Restore it with 'modelyard trash restore {row.id}'."
    )


def _set_run(tx: Tx, run_ids: Sequence[str], at: float | None, deleted_with: str | None) -> None:
    for start in range(0, len(run_ids), _MANY):
        some = list(run_ids[start : start + _MANY])
        tx.execute(
            sa.update(runs)
            .where(runs.c.id.in_(some))
            .values(deleted_at=at, deleted_with=deleted_with, version=runs.c.version + 1)
        )
        changes.mark(tx, some)
        if at is not None:
            auth.revoke_all(tx, kind=Kind.RUN, subjects=some)
    events.touch(tx, *run_ids[:_TOLD])


def _count(tx: Tx, row: store.Row, by: int) -> None:
    tx.execute(
        sa.update(experiments)
        .where(experiments.c.id == row.experiment_id)
        .values(run_count=experiments.c.run_count + by)
    )
    if row.parent_id:
        one = 1 if by > 0 else -1
        tx.execute(
            sa.update(runs).where(runs.c.id == row.parent_id).values(child_count=runs.c.child_count + one)
        )


def _not_alone(tx: Tx, row: store.Row) -> Conflict:
    above = store.anywhere(tx, row.deleted_with)
    if above is not None:
        return Conflict(
            "deleted_with_another",
            f"Run {row.id!r} was deleted with the run above it. Restore that: 'modelyard trash restore {above.id}'.",
        )
    experiment = experiments_store.by_id(tx, row.workspace_id, row.deleted_with, in_trash=True)
    if experiment is not None:
        return Conflict(
            "deleted_with_another",
            f"Run {row.id!r} was deleted with experiment {experiment.name!r}. Restore that: "
            f"'modelyard trash restore {experiment.id}'.",
        )
    return _going(f"Run {row.id!r}")


def _going(what: str) -> Conflict:
    return Conflict("deleted_for_good", f"{what} is being deleted for good and can't come back.")


def _publish(tx: Tx, kind: str, row: store.Row, now: float, actor: str, count: int) -> None:
    events.publish(
        tx, at=now, workspace_id=row.workspace_id, kind=kind, subject=row.id, actor=actor, count=count
    )
