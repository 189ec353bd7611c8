"""Hands queued runs to nodes: first come, first served, as many as a node has free slots."""

from __future__ import annotations

from modelyard.server.kernel import auth
from modelyard.server.kernel.auth import Kind
from modelyard.server.kernel.clock import Clock
from modelyard.server.kernel.db import Database, Tx
from modelyard.server.runs import lifecycle, rules, store
from modelyard.wire.compute import NodePoll, NodeWork, RunAssignment
from modelyard.wire.environments import EnvironmentSpec, PythonSpec
from modelyard.wire.runs import RunStatus

_RENEW_BELOW = 0.7  # of a lease that is left, so that not every look at the queue writes
_FORGET_AFTER_S = 5.0  # a run host that has just told the end of its run has its own last steps to do
_REDELIVER_AFTER_S = 2.0


class Placement:
    """A compute source: what a node should start, cancel and forget."""

    topics = frozenset({"run"})

    def __init__(self, db: Database, clock: Clock, lease_s: float) -> None:
        self._db = db
        self._clock = clock
        self._lease_s = lease_s

    def collect(self, poll: NodePoll) -> NodeWork:
        """In one transaction: claim what fits into the node's free slots, and renew the leases of what it runs.

        A claimed run becomes Preparing and gets a new token, which is its lease; older tokens of it are dead. An
        assignment that never reached the node (the run is not among `poll.running`) is given again.
        """
        now = self._clock.now()
        with self._db.read() as tx:
            placed = store.placed_on(tx, poll.node)
            has_queued = poll.slots > len(placed) and store.count_queued(tx, poll.target) > 0
            forget = self._to_forget(tx, poll, placed, now)
        running = set(poll.running)
        stale = [r for r in placed if r.id in running and self._needs_life(r, now)]
        undelivered = [r for r in placed if r.id not in running and self._is_undelivered(r, now)]
        starts: list[RunAssignment] = []
        if has_queued or stale or undelivered:
            starts = self._db.write(lambda tx: self._write(tx, poll, now))
        cancel = [r.id for r in placed if r.status == RunStatus.CANCEL_REQUESTED.value and r.id in running]
        return NodeWork(starts=starts, cancel=cancel, forget=forget)

    def busy(self, target: str) -> int:
        with self._db.read() as tx:
            return store.count_busy(tx, target)

    def queued(self, target: str) -> int:
        with self._db.read() as tx:
            return store.count_queued(tx, target)

    def _write(self, tx: Tx, poll: NodePoll, now: float) -> list[RunAssignment]:
        placed = store.placed_on(tx, poll.node)
        running = set(poll.running)
        self._renew(tx, [r for r in placed if r.id in running and self._needs_life(r, now)], now)
        starts = []
        for row in placed:
            if row.id not in running and self._is_undelivered(row, now):
                store.renew(tx, [row.id], now + self._lease_s)
                starts.append(self._assignment(tx, row, now))
        free = poll.slots - len(placed)
        for row in store.queued(tx, poll.target, max(0, free)):
            store.move(
                tx, row, RunStatus.PREPARING, now=now, actor=f"node:{poll.node}", node=poll.node,
                reason=f"Node {poll.node!r} prepares its environment and files.",
                lease_expires_at=now + self._lease_s,
            )  # fmt: skip
            starts.append(self._assignment(tx, row, now))
        return starts

    def _renew(self, tx: Tx, rows: list[store.Row], now: float) -> None:
        for row in rows:
            if row.status == RunStatus.NOT_RESPONDING.value:
                back = RunStatus(row.responding_as)
                store.move(
                    tx, row, back, now=now, reason="The node is back.", lease_expires_at=now + self._lease_s
                )
        store.renew(tx, [r.id for r in rows], now + self._lease_s)

    def _needs_life(self, row: store.Row, now: float) -> bool:
        """Only an agent can speak for a run that it prepares; later the run host's own heartbeat counts."""
        if row.status not in (RunStatus.PREPARING.value, RunStatus.NOT_RESPONDING.value):
            return False
        if row.status == RunStatus.NOT_RESPONDING.value and row.responding_as != RunStatus.PREPARING.value:
            return False
        return row.lease_expires_at is None or row.lease_expires_at < now + self._lease_s * _RENEW_BELOW

    def _is_undelivered(self, row: store.Row, now: float) -> bool:
        """Given to the node a while ago, and the node does not have it: the answer got lost on its way."""
        given_at = (row.lease_expires_at or 0.0) - self._lease_s
        return row.status == RunStatus.PREPARING.value and now - given_at >= _REDELIVER_AFTER_S

    def _to_forget(self, tx: Tx, poll: NodePoll, placed: list[store.Row], now: float) -> list[str]:
        """Runs that the node has and should not: over, given to another node, or deleted."""
        here = {row.id for row in placed}
        forget = []
        for run_id in poll.running:
            if run_id in here:
                continue
            row = store.anywhere(tx, run_id) if rules.is_run_id(run_id) else None
            is_over = row is not None and RunStatus(row.status) in lifecycle.FINAL
            if (
                row is not None
                and is_over
                and row.node == poll.node
                and now - (row.ended_at or 0) < _FORGET_AFTER_S
            ):
                continue
            forget.append(run_id)
        return forget

    def _assignment(self, tx: Tx, row: store.Row, now: float) -> RunAssignment:
        auth.revoke(tx, kind=Kind.RUN, subject=row.id)
        token = auth.issue(tx, kind=Kind.RUN, workspace_id=row.workspace_id, subject=row.id, now=now)
        spec = store.spec(row)
        assert spec is not None
        return RunAssignment(
            workspace=row.workspace, workspace_id=row.workspace_id, run_id=row.id, root_id=row.root_id,
            experiment=row.experiment, experiment_id=row.experiment_id, spec=spec, token=token,
            environment=spec.environment or EnvironmentSpec(python=PythonSpec(user_managed=True)),
        )  # fmt: skip
