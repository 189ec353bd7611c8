"""The trash of a workspace as a whole, and what leaves it for good."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from modelyard.server.artifacts.garbage import GRACE_S, Garbage
from modelyard.server.kernel import events
from modelyard.server.kernel.clock import Clock
from modelyard.server.kernel.db import Database, Tx
from modelyard.server.kernel.errors import Conflict, Invalid, NotFound
from modelyard.server.kernel.events import Hub
from modelyard.server.kernel.ids import new_id
from modelyard.server.lifetime import preview, store, targets
from modelyard.server.lifetime.targets import Target
from modelyard.server.models import purge as model_purge
from modelyard.server.models.service import ModelService
from modelyard.server.runs import purge as run_purge
from modelyard.server.runs.service import RunService
from modelyard.wire.lifetime import (
    DeletionPreview,
    GarbageFound,
    Receipt,
    ReceiptItems,
    TrashItem,
)

THE_YARD = "the yard"  # as an actor: what is done without anybody asking
DELETION = "deletion"
GARBAGE = "garbage"
_MAX_PAGE = 1000


class LifetimeService:
    """Restores from the trash and empties it; what goes for good is listed by a receipt, which `reconcile` works off."""

    def __init__(
        self, db: Database, clock: Clock, hub: Hub, garbage: Garbage, models: ModelService, runs: RunService
    ) -> None:
        self._db = db
        self._clock = clock
        self._hub = hub
        self._garbage = garbage
        self._models = models
        self._runs = runs

    def trash(self, workspace_id: str) -> list[TrashItem]:
        """Newest first."""
        with self._db.read() as tx:
            items = [
                TrashItem(kind, t.id, t.name, t.deleted_at, t.runs)
                for kind, found in (
                    ("run", run_purge.trashed_runs(tx, workspace_id)),
                    ("experiment", run_purge.trashed_experiments(tx, workspace_id)),
                )
                for t in found
            ]
            for row in model_purge.trashed(tx, workspace_id):
                name = f"{row.name}:{row.version}"
                items.append(TrashItem("model", name, name, row.deleted_at))
        return sorted(items, key=lambda item: (-item.deleted_at, item.id))

    def restore(self, workspace_id: str, id_: str, name: str, actor: str) -> TrashItem:
        """Raises NotFound, Conflict, and Invalid for a new name of what keeps its own."""
        with self._db.read() as tx:
            target = targets.find(tx, workspace_id, id_)
        if name and target.kind != "experiment":
            raise Invalid(
                "bad_name", f"Only an experiment comes back under a new name; {id_!r} is a {target.kind}."
            )
        deleted_at = target.row.deleted_at or 0.0
        if target.kind == "model":
            self._models.restore(workspace_id, target.row.name, target.row.version, actor)
            return TrashItem("model", target.id, target.name, deleted_at)
        if target.kind == "run":
            run = self._runs.restore(workspace_id, target.id, actor)
            return TrashItem("run", run.id, run.display_name, deleted_at, 1 + run.child_count)
        experiment = self._runs.experiments.restore(workspace_id, target.id, name, actor)
        return TrashItem("experiment", experiment.id, experiment.name, deleted_at, experiment.run_count)

    def preview(self, workspace_id: str, ids: Sequence[str]) -> DeletionPreview:
        """What deleting these for good would take along, wherever they are; none named: all of the trash. Raises NotFound."""
        if not ids:
            ids = [item.id for item in self.trash(workspace_id)]
        with self._db.read() as tx:
            found = [targets.find(tx, workspace_id, id_) for id_ in ids]
            counted = preview.count(tx, workspace_id, found, self._models.in_use)
        return preview.with_bytes(counted, self._garbage)

    def empty(
        self, workspace_id: str, ids: Sequence[str], actor: str, reason: str = "", before: float | None = None
    ) -> Receipt | None:
        """Begin to delete things of the trash for good: those named, or all (that were deleted before `before`).

        With all of it go logged models that MLflow's clients have deleted. None when there is nothing of that kind. Raises
        NotFound, and Conflict for what is not in the trash.
        """
        wanted = list(ids)
        receipt = new_id()
        now = self._clock.now()
        before = now + 1.0 if before is None else before
        if not ids:
            wanted = [i.id for i in self.trash(workspace_id) if i.deleted_at < before]
            with self._db.read() as tx:
                if not wanted and not run_purge.has_logged_models(tx, workspace_id, before):
                    return None

        def write(tx: Tx) -> Receipt:
            for id_ in wanted:
                _condemn(tx, targets.find(tx, workspace_id, id_), receipt)
            store.add(
                tx, id=receipt, workspace_id=workspace_id, kind=DELETION, actor=actor, requested_at=now, grace_s=0.0,
                reason=reason or f"Emptied from the trash: {_named(wanted) or 'logged models'}.",
            )  # fmt: skip
            if not ids:
                _remove_logged_models(tx, workspace_id, receipt, before)
            self._publish(tx, workspace_id, "receipt.requested", receipt, actor)
            return store.info(store.anywhere(tx, receipt))

        return self._db.write(write)

    def collect(self, grace_s: float | None, actor: str, reason: str = "") -> Receipt:
        """Begin a garbage collection of the yard's blobs. Raises Invalid."""
        grace_s = _checked(grace_s)
        receipt = new_id()

        def write(tx: Tx) -> Receipt:
            store.add(
                tx, id=receipt, workspace_id="", kind=GARBAGE, actor=actor, requested_at=self._clock.now(),
                grace_s=grace_s, reason=reason or "Garbage collection.",
            )  # fmt: skip
            self._publish(tx, "", "receipt.requested", receipt, actor)
            return store.info(store.anywhere(tx, receipt))

        return self._db.write(write)

    def look(self, grace_s: float | None) -> GarbageFound:
        """What a garbage collection would remove. Raises Invalid."""
        found = self._garbage.look(_checked(grace_s))
        return GarbageFound(found.blobs, found.size_bytes, found.trees)

    def receipts(self, workspace_id: str, limit: int) -> list[Receipt]:
        """Newest first. Raises Invalid."""
        if not 1 <= limit <= _MAX_PAGE:
            raise Invalid("bad_limit", f"limit must be from 1 to {_MAX_PAGE}, not {limit}.")
        with self._db.read() as tx:
            return [store.info(row) for row in store.listed(tx, workspace_id, limit)]

    def receipt(self, workspace_id: str, receipt_id: str) -> Receipt:
        """Raises NotFound."""
        with self._db.read() as tx:
            return store.info(_receipt(tx, workspace_id, receipt_id))

    async def finished(self, workspace_id: str, receipt_id: str, wait_s: float) -> Receipt | None:
        """The receipt once it is finished; None when that takes longer than `wait_s`."""

        def look() -> Receipt | None:
            found = self.receipt(workspace_id, receipt_id)
            return found if found.finished_at is not None else None

        return await self._hub.wait_for({receipt_id}, look, wait_s)

    def receipt_items(self, workspace_id: str, receipt_id: str) -> ReceiptItems:
        """Raises NotFound."""
        with self._db.read() as tx:
            row = _receipt(tx, workspace_id, receipt_id)
            return ReceiptItems(store.info(row), list(store.items(tx, receipt_id)))

    def forget_workspace(self, tx: Tx, workspace_id: str) -> None:
        store.forget_workspace(tx, workspace_id)

    def _publish(self, tx: Tx, workspace_id: str, kind: str, receipt: str, actor: str) -> None:
        events.publish(
            tx, at=self._clock.now(), workspace_id=workspace_id, kind=kind, subject=receipt, actor=actor
        )


def _condemn(tx: Tx, target: Target, receipt: str) -> None:
    if target.row.deleted_at is None:
        raise Conflict("not_in_trash", f"{target.words} is not in the trash. Delete it first.")
    if store.exists(tx, target.row.deleted_with):
        raise Conflict("deleted_for_good", f"{target.words} is being deleted for good already.")
    if target.row.deleted_with != target.id:
        raise Conflict(
            "deleted_with_another",
            f"{target.words} was deleted together with {target.row.deleted_with!r}. Name that.",
        )
    condemn: dict[str, Callable[[Tx, Any, str], None]] = {
        "run": run_purge.condemn_run,
        "experiment": run_purge.condemn_experiment,
        "model": model_purge.condemn,
    }
    condemn[target.kind](tx, target.row, receipt)


def _remove_logged_models(tx: Tx, workspace_id: str, receipt: str, before: float) -> None:
    gone = run_purge.remove_logged_models(tx, workspace_id, before)
    items = [
        {"kind": "logged model", "id": m.id, "name": m.name, "files": run_purge.listed(m.files)} for m in gone
    ]
    sizes = [size for m in gone for _, _, size in m.files]
    store.note(tx, receipt, items, files=len(sizes), size_bytes=sum(sizes))


def _receipt(tx: Tx, workspace_id: str, receipt_id: str) -> store.Row:
    row = store.by_id(tx, workspace_id, receipt_id) if "\0" not in receipt_id else None
    if row is None:
        raise NotFound(
            "no_such_receipt",
            f"There is no receipt {receipt_id[:80]!r}. List them with 'modelyard receipt list'.",
        )
    return row


def _checked(grace_s: float | None) -> float:
    if grace_s is None:
        return GRACE_S
    if not 0 <= grace_s < 1e9:
        raise Invalid("bad_grace", f"The grace must be 0 seconds or more, not {grace_s}.")
    return grace_s


def _named(ids: Sequence[str]) -> str:
    return ", ".join(ids[:5]) + (f" and {len(ids) - 5} more" if len(ids) > 5 else "")
