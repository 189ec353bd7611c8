"""Which runs are old enough for a retention rule, and what of a run it can take away."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from modelyard.server.artifacts.named_files import entries
from modelyard.server.kernel.db import Tx
from modelyard.server.runs import experiments_store, lifecycle, rules, store
from modelyard.server.runs.files_store import files as run_files
from modelyard.server.runs.tables import experiments, files, labels, runs
from modelyard.wire.artifacts import FileEntry

KEEP = "keep"  # the tag that keeps a run, and the runs above it, from every rule

# Where the files lie that go under this name.
DIRECTORIES = {"outputs": ("outputs",), "logs": ("logs", "user_logs", "azureml-logs")}

_FINAL = [s.value for s in lifecycle.FINAL]
_MANY = 500


@dataclass(frozen=True)
class Old:
    """What a rule asks of runs; `what` is runs, snapshots, or a key of DIRECTORIES."""

    what: str
    before: float
    keep_last: int


def experiment_ids(tx: Tx, workspace_id: str, name: str) -> list[str]:
    """The experiment of this name, or all of them; those in the trash go their own way."""
    if name:
        row = experiments_store.by_name(tx, workspace_id, name) if rules.is_experiment_name(name) else None
        return [] if row is None else [row.id]
    query = sa.select(experiments.c.id).where(
        experiments.c.workspace_id == workspace_id, experiments.c.deleted_at.is_(None)
    )
    return list(tx.execute(query.order_by(experiments.c.name)).scalars())


def old_runs(tx: Tx, experiment_id: str, old: Old, limit: int) -> list[str]:
    """Ended runs of the experiment that are not the newest and have what the rule takes away, the oldest first.

    Child runs go with the run above them, and count with it.
    """
    newest = (runs.c.experiment_id == experiment_id, runs.c.deleted_at.is_(None), runs.c.parent_id.is_(None))
    query = sa.select(runs.c.id).where(*newest, runs.c.created_at < old.before, runs.c.status.in_(_FINAL))
    if old.keep_last:
        kept = sa.select(runs.c.created_at, runs.c.id).where(*newest)
        last = tx.execute(
            kept.order_by(runs.c.created_at.desc(), runs.c.id.desc()).limit(1).offset(old.keep_last - 1)
        ).first()
        if last is None:
            return []
        query = query.where(
            sa.tuple_(runs.c.created_at, runs.c.id) < sa.tuple_(*map(sa.literal, (last.created_at, last.id)))
        )
    query = query.where(*_has(old.what))
    return list(tx.execute(query.order_by(runs.c.created_at, runs.c.id).limit(limit)).scalars())


def _has(what: str) -> list[sa.ColumnElement[bool]]:
    """For `runs` everything; else that something is left to take away, of the run itself or a run below it."""
    if what == "runs":
        return []
    below = runs.alias()
    family = sa.select(below.c.id).where(below.c.root_id == runs.c.root_id).correlate(runs)
    if what == "snapshots":
        return [family.where(below.c.snapshot_id.is_not(None)).exists()]
    paths = sa.or_(*(files.c.path.startswith(f"{d}/", autoescape=True) for d in DIRECTORIES[what]))
    return [family.join(files, files.c.run_id == below.c.id).where(paths).exists()]


def kept(tx: Tx, run_ids: Iterable[str]) -> set[str]:
    """Those with the tag `keep`."""
    found: set[str] = set()
    ids = list(run_ids)
    for start in range(0, len(ids), _MANY):
        some = ids[start : start + _MANY]
        query = sa.select(labels.c.run_id).where(
            labels.c.run_id.in_(some), labels.c.kind == "tag", labels.c.key == KEEP
        )
        found.update(tx.execute(query).scalars())
    return found


def remove_files(tx: Tx, run_id: str, what: str) -> list[FileEntry]:
    """Take away the files of these directories; answers them."""
    rows = [row for directory in DIRECTORIES[what] for row in run_files.below(tx, run_id, directory)]
    run_files.remove(tx, run_id, [row.path for row in rows])
    return list(entries(rows))


def files_of(tx: Tx, run_ids: Sequence[str], what: str) -> list[FileEntry]:
    return [
        entry
        for run_id in run_ids
        for directory in DIRECTORIES[what]
        for entry in entries(run_files.below(tx, run_id, directory))
    ]


def remove_snapshot(tx: Tx, run_id: str) -> str | None:
    """The run has no snapshot any more; answers the one that it had."""
    row = store.anywhere(tx, run_id)
    if row is None or row.snapshot_id is None:
        return None
    store.change(tx, row, snapshot_id=None)
    return str(row.snapshot_id)
