"""What becomes of the services of a node that has gone silent."""

from __future__ import annotations

from collections.abc import Iterable

from modelyard.server.endpoints import store
from modelyard.server.kernel.db import Tx
from modelyard.wire.endpoints import ServiceState

LOST_AFTER_S = 60.0  # three polls of a node, which asks at least every 20 s


class LostServices:
    """A reconciler: a service whose node has said nothing for a while is Unhealthy until it speaks again."""

    name = "lost-services"

    def due(self, tx: Tx, now: float) -> Iterable[str]:
        return [row.id for row in store.everywhere(tx) if _is_lost(row, now)]

    def act(self, key: str) -> None:
        """Nothing slow to do: the service is out of reach."""

    def apply(self, tx: Tx, key: str, result: object, now: float) -> None:  # the interface
        for row in store.everywhere(tx):
            if row.id == key and _is_lost(row, now):
                reason = (
                    f"Its node has said nothing for {now - row.seen_at:.0f} s; the service may still answer."
                )
                error = {"code": "Lost", "message": reason, "line": "", "traceback": ""}
                store.move(
                    tx,
                    row,
                    ServiceState.UNHEALTHY,
                    reason,
                    now,
                    lost_from=row.state,
                    error=row.error or error,
                )


def _is_lost(row: store.Row, now: float) -> bool:
    wanted = row.state not in (ServiceState.FAILED.value, ServiceState.STOPPED.value)
    return wanted and not row.lost_from and now - row.seen_at > LOST_AFTER_S
