"""Works off receipts: removes what they ask for, some at a time, and then the blobs that nothing needs any more.

Each step is one transaction that removes and notes what it removed, so that whoever is killed anywhere goes on where it
was, and every run and byte is counted once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from modelyard.server.artifacts.garbage import Garbage, Item
from modelyard.server.kernel import events
from modelyard.server.kernel.clock import Clock
from modelyard.server.kernel.db import Database, Tx
from modelyard.server.lifetime import store
from modelyard.server.lifetime.retention import Retention
from modelyard.server.lifetime.service import GARBAGE, THE_YARD, LifetimeService
from modelyard.server.models import purge as model_purge
from modelyard.server.runs import purge as run_purge

_PORTION = 100  # runs removed in one transaction, which others wait for
_DAY_S = 86_400.0
_REST_S = 600.0  # a yard that has just started has other things to do


class Receipts:
    """A reconciler: everything that a receipt lists is removed, and the receipt finished.

    That may outlast the lease; another process that then does the same beside it does no harm, as every step is guarded.
    """

    name = "receipts"

    def __init__(self, db: Database, garbage: Garbage) -> None:
        self._db = db
        self._garbage = garbage

    def due(self, tx: Tx, now: float) -> Iterable[str]:
        return store.unfinished(tx)

    def act(self, key: str) -> None:
        with self._db.read() as tx:
            row = store.anywhere(tx, key)
        if row.kind == GARBAGE:
            self._garbage.sweep(key, row.grace_s, self._noting(key))
            return
        while self._db.write(lambda tx: _remove_some(tx, row.workspace_id, key)):
            pass
        files, trees = self._listed(key)
        self._garbage.sweep(key, row.grace_s, self._noting(key), files, trees)

    def apply(self, tx: Tx, key: str, result: Any, now: float) -> None:
        store.finish(tx, key, now)
        row = store.anywhere(tx, key)
        events.publish(
            tx, at=now, workspace_id=row.workspace_id, kind="receipt.finished", subject=key, actor=row.actor,
            **row.figures,
        )  # fmt: skip

    def _noting(self, receipt: str) -> Any:
        def note(tx: Tx, blobs: Sequence[Item]) -> None:
            items = [{"kind": "blob", "hash": hash_, "size": size} for hash_, size in blobs]
            store.note(tx, receipt, items, freed_blobs=len(blobs), freed_bytes=sum(size for _, size in blobs))

        return note

    def _listed(self, receipt: str) -> tuple[set[str], set[str]]:
        """The hashes of files, and the trees, that what was removed has referred to."""
        files: set[str] = set()
        trees: set[str] = set()
        with self._db.read() as tx:
            for item in store.items(tx, receipt):
                files.update(file["hash"] for file in item.get("files", ()))
                trees.update(item[key] for key in ("snapshot", "tree") if item.get(key))
        return files, trees


class Upkeep:
    """A reconciler: once a day retention rules are applied, the trash is emptied of what has lain there long enough, and
    the garbage is collected."""

    name = "upkeep"

    def __init__(
        self, clock: Clock, service: LifetimeService, retention: Retention, trash_days: float,
        workspaces: Callable[[], Sequence[str]],
    ) -> None:  # fmt: skip
        """`trash_days` 0: the trash is emptied by hand only."""
        self._clock = clock
        self._service = service
        self._retention = retention
        self._trash_s = trash_days * _DAY_S
        self._workspaces = workspaces
        self._not_before = clock.now() + _REST_S

    def due(self, tx: Tx, now: float) -> Iterable[str]:
        last = store.last_requested(tx, GARBAGE, THE_YARD) or 0.0
        return ["day"] if now > self._not_before and now - last > _DAY_S else []

    def act(self, key: str) -> None:
        before = self._clock.now() - self._trash_s
        for workspace_id in self._workspaces():
            self._retention.apply(workspace_id, (), THE_YARD)
            if self._trash_s:
                reason = f"Lay in the trash for {self._trash_s / _DAY_S:g} days."
                self._service.empty(workspace_id, (), THE_YARD, reason, before)
        self._service.collect(None, THE_YARD, "Daily garbage collection.")

    def apply(self, tx: Tx, key: str, result: Any, now: float) -> None:
        """What was begun is worked off by its receipts."""


def _remove_some(tx: Tx, workspace_id: str, receipt: str) -> bool:
    """Whether there may be more."""
    runs = run_purge.remove_some(tx, receipt, _PORTION)
    items = [
        {
            "kind": "run", "id": run.id, "experiment": run.experiment, "snapshot": run.snapshot_id,
            "files": run_purge.listed(run.files),
        }
        for run in runs
    ]  # fmt: skip
    store.note(
        tx, receipt, items, runs=len(runs), files=sum(len(run.files) for run in runs),
        size_bytes=sum(size for run in runs for _, _, size in run.files),
    )  # fmt: skip
    if runs:
        return True
    gone = run_purge.remove_experiments(tx, receipt)
    store.note(
        tx,
        receipt,
        [{"kind": "experiment", "id": id_, "name": name} for id_, name in gone],
        experiments=len(gone),
    )
    models = model_purge.remove_some(tx, workspace_id, receipt, _PORTION)
    store.note(
        tx, receipt,
        [{"kind": "model", "id": f"{m.name}:{m.version}", "tree": m.tree_id, "size": m.size_bytes} for m in models],
        models=len(models), files=sum(m.file_count for m in models), size_bytes=sum(m.size_bytes for m in models),
    )  # fmt: skip
    return bool(models)
