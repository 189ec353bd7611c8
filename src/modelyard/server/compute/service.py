"""What the yard does with compute: knows its targets and nodes, and gives each node the work that slices have for it."""

from __future__ import annotations

import dataclasses
import re
import threading
from collections.abc import Collection
from typing import Protocol, runtime_checkable

from modelyard.server.compute import store
from modelyard.server.kernel import events
from modelyard.server.kernel.clock import Clock
from modelyard.server.kernel.db import Database, Tx
from modelyard.server.kernel.errors import Invalid, NotFound
from modelyard.server.kernel.events import Hub
from modelyard.server.kernel.figures import Figure
from modelyard.wire.compute import ComputeTargetInfo, NodePoll, NodeWork

LOCAL = "local"
MAX_WAIT_S = 60.0
_NOTED_EVERY_S = 5.0  # a node's sign of life is written down at most this often
_GONE_AFTER_S = 60.0  # three polls of a node, which asks at least every 20 s
_LOOK_EVERY_S = 5.0  # while a poll waits: work that no event announces, such as an assignment that got lost
_REPEAT_AFTER_S = 2.0  # the same cancel or stop is told again only after this long, so that polls don't spin
_MAX_SLOTS = 10_000
_MAX_LISTED = 100_000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


class Source(Protocol):
    """A slice that has work for nodes. `topics`: what changes when it may have more."""

    @property
    def topics(self) -> Collection[str]: ...

    def collect(self, poll: NodePoll) -> NodeWork:
        """What this node should do now. It is called again and again, so it must answer quickly."""


@runtime_checkable
class Counts(Protocol):
    """A source whose work takes slots."""

    def busy(self, target: str) -> int: ...

    def queued(self, target: str) -> int: ...


class ComputeService:
    def __init__(self, db: Database, clock: Clock, hub: Hub, slots: int) -> None:
        """`slots`: how many runs a node of `local` runs at once, whatever the node says; 0 asks the node."""
        self._db = db
        self._clock = clock
        self._hub = hub
        self._slots = slots
        self._sources: list[Source] = []
        self._lock = threading.Lock()
        self._polls: dict[str, int] = {}  # node -> number of its newest poll
        self._told: dict[str, tuple[NodeWork, float]] = {}  # node -> what it was told last, and when

    def add_source(self, source: Source) -> None:
        self._sources.append(source)

    async def poll(self, poll: NodePoll) -> NodeWork:
        """What the node should do: at once when there is something, else within `poll.wait_s`. Raises Invalid.

        A newer poll of the same node ends this one, so that no work is given to an answer that nobody reads.
        """
        poll = self._settled(poll)
        with self._lock:
            mine = self._polls[poll.node] = self._polls.get(poll.node, 0) + 1
        topics = {f"node:{poll.node}"}.union(*(source.topics for source in self._sources))
        self._hub.notify({f"node:{poll.node}"})  # wakes the poll before this one

        def look() -> NodeWork | None:
            if self._polls[poll.node] != mine:
                return NodeWork()
            self._note(poll)
            work = self._collect(poll)
            return work if self._is_news(poll.node, work) else None

        end = self._clock.monotonic() + poll.wait_s
        while True:
            left = min(max(0.0, end - self._clock.monotonic()), poll.wait_s)
            answer = await self._hub.wait_for(topics, look, min(left, _LOOK_EVERY_S))
            if answer is not None:
                return answer
            if left <= _LOOK_EVERY_S:
                return NodeWork()

    def abandon(self, node: str) -> None:
        """The node hung up: its waiting poll is answered without work."""
        with self._lock:
            self._polls[node] = self._polls.get(node, 0) + 1
        self._hub.notify({f"node:{node}"})

    def targets(self) -> list[ComputeTargetInfo]:
        return [self.target(LOCAL)]

    def figures(self) -> list[Figure]:
        """How busy each target is, for Prometheus."""
        targets = self.targets()
        return [
            Figure(
                f"modelyard_compute_{name}", help_, "gauge",
                [({"compute": target.name}, value(target)) for target in targets],
            )
            for name, help_, value in (
                ("nodes", "Nodes that have been heard of lately.", lambda t: len(t.nodes)),
                ("slots", "Runs that the target runs at once.", lambda t: t.slots),
                ("slots_busy", "Runs that it is running.", lambda t: t.slots_busy),
                ("queued", "Runs that wait for a slot.", lambda t: t.queued),
            )
        ]  # fmt: skip

    def target(self, name: str) -> ComputeTargetInfo:
        """Raises NotFound naming the targets there are."""
        if name != LOCAL:
            raise NotFound(
                "no_such_compute",
                f"There is no compute target {name[:80]!r}. There is: {LOCAL!r}.",
                known=[LOCAL],
            )
        now = self._clock.now()
        with self._db.read() as tx:
            nodes = store.of_target(tx, LOCAL, now - _GONE_AFTER_S)
        counting = [s for s in self._sources if isinstance(s, Counts)]
        return ComputeTargetInfo(
            name=LOCAL,
            type="Local",
            state="Succeeded" if nodes else "Unreachable",
            slots=sum(self._slots or node.slots for node in nodes) or self._slots,
            slots_busy=sum(s.busy(LOCAL) for s in counting),
            queued=sum(s.queued(LOCAL) for s in counting),
            nodes=[node.name for node in nodes],
            description="This machine." if nodes else "This machine. No agent has asked for work lately.",
        )

    def _settled(self, poll: NodePoll) -> NodePoll:
        if not _NAME.fullmatch(poll.node):
            raise Invalid("bad_node", f"{poll.node[:80]!r} can't be the name of a node.")
        if poll.target != LOCAL:
            raise Invalid(
                "no_such_compute", f"There is no compute target {poll.target[:80]!r}. There is: {LOCAL!r}."
            )
        if not 0 <= poll.slots <= _MAX_SLOTS:
            raise Invalid("bad_slots", f"A node has 0 to {_MAX_SLOTS} slots, not {poll.slots}.")
        if len(poll.running) > _MAX_LISTED or len(poll.services) > _MAX_LISTED:
            raise Invalid("bad_poll", f"A node tells of at most {_MAX_LISTED} runs and services.")
        wait_s = min(max(0.0, poll.wait_s), MAX_WAIT_S)
        return dataclasses.replace(poll, slots=self._slots or poll.slots, wait_s=wait_s)

    def _note(self, poll: NodePoll) -> None:
        now = self._clock.now()
        with self._db.read() as tx:
            row = store.get(tx, poll.node)
        known = row is not None and (row.target, row.slots, row.machine) == (
            poll.target,
            poll.slots,
            poll.machine,
        )
        if row is not None and known and now - row.last_seen_at < _NOTED_EVERY_S:
            return

        def write(tx: Tx) -> None:
            store.note(tx, poll, now)
            if row is None:
                events.publish(
                    tx, at=now, workspace_id="", kind="node.joined", subject=poll.node, slots=poll.slots
                )

        self._db.write(write)

    def _collect(self, poll: NodePoll) -> NodeWork:
        parts = [source.collect(poll) for source in self._sources]
        return NodeWork(
            starts=[s for part in parts for s in part.starts],
            cancel=[c for part in parts for c in part.cancel],
            forget=[f for part in parts for f in part.forget],
            services=[s for part in parts for s in part.services],
        )

    def _is_news(self, node: str, work: NodeWork) -> bool:
        """Whether to answer at once. What was told a moment ago, and is still being done, is no news."""
        if work == NodeWork():
            return False
        now = self._clock.monotonic()
        with self._lock:
            told, at = self._told.get(node, (NodeWork(), 0.0))
            if not work.starts and work == told and now - at < _REPEAT_AFTER_S:
                return False
            self._told[node] = (dataclasses.replace(work, starts=[]), now)
        return True
