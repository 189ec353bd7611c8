"""What becomes of runs whose run host, or whose own process, has gone silent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from modelyard.server.kernel.db import Tx
from modelyard.server.runs import store
from modelyard.server.runs.ending import end_children
from modelyard.server.runs.service import RunService
from modelyard.wire.runs import RunStatus

_S = RunStatus


class LostRuns:
    """A reconciler: without a sign of life a run is NotResponding, and Failed when that lasts."""

    name = "lost-runs"

    def __init__(self, runs: RunService) -> None:
        self._lease_s = runs.lease_s
        self._lost_after_s = runs.lost_after_s
        self._started_at = runs.started_at

    def due(self, tx: Tx, now: float) -> Iterable[str]:
        if now < self._started_at + self._lease_s:
            return []  # leases ran out while the yard was down; first let the living speak
        return [row.id for row in store.leased_before(tx, now) if self._verdict(row, now) is not None]

    def act(self, key: str) -> None:
        """Nothing slow to do: the run is out of reach."""

    def apply(self, tx: Tx, key: str, result: object, now: float) -> None:
        row = store.anywhere(tx, key)
        verdict = None if row is None or row.lease_expires_at is None else self._verdict(row, now)
        if row is None or verdict is None:
            return
        silent_s = now - (row.lease_expires_at - self._lease_s)
        who = f"Its run host on node {row.node!r}" if row.node else "The process that runs it"
        said = f"{who} has given no sign of life for {silent_s:.0f} s."
        if verdict is _S.NOT_RESPONDING:
            store.move(tx, row, verdict, now=now, reason=f"{said} It may come back.")
            return
        error = {"code": "LostRunHost", "message": said, "line": "", "traceback": ""}
        given: dict[str, Any] = {"error": error} if verdict is _S.FAILED else {}
        store.move(tx, row, verdict, now=now, reason=f"{said} It is taken as lost.", **given)
        end_children(tx, row, verdict, now, now)

    def _verdict(self, row: store.Row, now: float) -> RunStatus | None:
        """What the run becomes now, if anything."""
        if row.lease_expires_at >= now:
            return None
        is_lost = now > max(row.lease_expires_at, self._started_at) + self._lost_after_s
        if row.status == _S.CANCEL_REQUESTED.value:
            return _S.CANCELED if is_lost else None
        if row.status == _S.NOT_RESPONDING.value:
            return _S.FAILED if is_lost else None
        return _S.NOT_RESPONDING
