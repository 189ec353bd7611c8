"""What a node is to keep running, told by what it says it runs."""

from __future__ import annotations

from modelyard.server.endpoints import store
from modelyard.server.kernel.clock import Clock
from modelyard.server.kernel.db import Database, Tx
from modelyard.wire.compute import NodePoll, NodeWork
from modelyard.wire.endpoints import ServiceAssignment, ServiceSpec, ServiceState

TARGET = "local"
WAITING = "Waiting for a node."
PREPARING = "The node prepares environment, code and models."
_STOP_AGAIN_S = 2.0
_SEEN_EVERY_S = 5.0  # a sign of life is written down at most this often


class NodeServices:
    """A compute source: the services of a node that differ from what the node says it runs."""

    topics = {"endpoint"}  # read by compute only

    def __init__(self, db: Database, clock: Clock, host: str) -> None:
        self._db = db
        self._clock = clock
        self._host = host
        self._told_to_stop: dict[str, float] = {}

    def collect(self, poll: NodePoll) -> NodeWork:
        if poll.target != TARGET:
            return NodeWork()
        now = self._clock.now()
        with self._db.read() as tx:
            rows = store.everywhere(tx)
            stopping = store.stopping_ports(tx)
            held = {stopping[each] for each in stopping if each in poll.services} - {0}
            starts = [
                self._assignment(tx, row)
                for row in rows
                if poll.services.get(row.id) != row.revision and row.port not in held
            ]
        self._note(rows, stopping, poll, now)
        wanted = {row.id for row in rows}
        gone = {each: revision for each, revision in poll.services.items() if each not in wanted}
        return NodeWork(services=self._stops(gone, now) + starts)

    def _stops(self, gone: dict[str, int], now: float) -> list[ServiceAssignment]:
        """Said again only after a pause: a node lists a service until its last process has ended."""
        due = [each for each in gone if now - self._told_to_stop.get(each, 0.0) >= _STOP_AGAIN_S]
        told = {each: at for each, at in self._told_to_stop.items() if each in gone}
        self._told_to_stop = {**told, **dict.fromkeys(due, now)}
        return [_stop(each, gone[each]) for each in due]

    def _note(self, rows: list[store.Row], stopping: dict[str, int], poll: NodePoll, now: float) -> None:
        """Write down who lives and what is gone, when there is something to write."""
        alive = [row.id for row in rows if row.id in poll.services and _is_news(row, poll, now)]
        gone = [each for each in stopping if each not in poll.services]
        if not alive and not gone:
            return

        def work(tx: Tx) -> None:
            store.seen(tx, alive, now)
            store.stopped(tx, gone)
            for row in store.everywhere(tx):
                if row.id not in alive:
                    continue
                if row.lost_from:
                    error = None if row.error and row.error["code"] == "Lost" else row.error
                    back = ServiceState(row.lost_from)
                    store.move(tx, row, back, "The node is back.", now, lost_from=None, error=error)
                elif _is_taken_up(row, poll):
                    store.move(tx, row, ServiceState.TRANSITIONING, PREPARING, now)

        self._db.write(work)

    def _assignment(self, tx: Tx, row: store.Row) -> ServiceAssignment:
        revision = store.revision(tx, row.id, row.revision)
        return ServiceAssignment(
            workspace=row.workspace,
            workspace_id=row.workspace_id,
            endpoint=row.name,
            endpoint_id=row.id,
            revision=row.revision,
            spec=revision.spec,
            port=row.port,
            host=self._host,
            keys=[row.primary_key, row.secondary_key] if revision.spec.auth_enabled else [],
            model_trees=revision.model_trees,
            model_frameworks=revision.model_frameworks,
        )


def _is_news(row: store.Row, poll: NodePoll, now: float) -> bool:
    return bool(row.lost_from) or now - row.seen_at > _SEEN_EVERY_S or _is_taken_up(row, poll)


def _is_taken_up(row: store.Row, poll: NodePoll) -> bool:
    """The node has begun with a revision of which it has not reported yet."""
    return bool(row.state_reason == WAITING and poll.services.get(row.id) == row.revision)


def _stop(endpoint_id: str, revision: int) -> ServiceAssignment:
    return ServiceAssignment(
        workspace="",
        endpoint="",
        endpoint_id=endpoint_id,
        revision=revision,
        spec=ServiceSpec(models=[], entry_script="", snapshot_id=""),
        port=0,
        stop=True,
    )
