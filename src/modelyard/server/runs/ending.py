"""What the end of a run means for the runs below it that have no run host of their own."""

from __future__ import annotations

from modelyard.server.kernel.db import Tx
from modelyard.server.runs import lifecycle, store
from modelyard.wire.runs import RunStatus


def end_children(tx: Tx, parent: store.Row, status: RunStatus, now: float, ended_at: float) -> None:
    """End the child runs that lived in `parent`'s process and were left open; nothing stays Running for ever.

    A child that was submitted has a run host and goes on.
    """
    for child in store.children(tx, parent.id):
        if child.spec is not None or RunStatus(child.status) in lifecycle.FINAL:
            continue
        then = status
        if then not in lifecycle.NEXT[RunStatus(child.status)] or child.status == RunStatus.NOT_STARTED.value:
            then = RunStatus.CANCELED
        reason = f"Its parent run {parent.id} ended as {status.value}."
        store.move(
            tx,
            child,
            then,
            now=now,
            reason=reason,
            ended_at=max(ended_at, child.started_at or child.created_at),
        )
        end_children(tx, child, then, now, ended_at)
