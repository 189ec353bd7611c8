"""Events: what happened, written in the same transaction as the change; and the wake-up that follows the commit.

The event table is also the activity log that administrators read. News goes upward between slices by topics:
whoever waits for a topic looks at the database again, so a lost wake-up costs a delay, never a change.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import sqlalchemy as sa
from starlette.concurrency import run_in_threadpool

from modelyard.server.kernel.db import Tx, driver, metadata

T = TypeVar("T")

events = sa.Table(
    "events",
    metadata,
    # SQLite numbers rows by itself only in a column declared INTEGER, which holds 64 bits there.
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("workspace_id", sa.String, nullable=False),
    sa.Column("kind", sa.String, nullable=False),  # run.status, model.registered, endpoint.deleted …
    sa.Column("subject", sa.String, nullable=False),
    sa.Column("actor", sa.String, nullable=False),
    sa.Column("data", sa.JSON, nullable=False),
    sa.Index("events_subject", "workspace_id", "subject", "id"),
)


def publish(
    tx: Tx, *, at: float, workspace_id: str, kind: str, subject: str, actor: str = "", **data: Any
) -> None:
    """Record an event in this transaction and wake, after the commit, whoever waits for `subject` or its kind."""
    signs = ", ".join(["?" if tx.dialect.name == "sqlite" else "%s"] * 6)
    with driver(tx) as cursor:
        cursor.execute(
            f"INSERT INTO events (at, workspace_id, kind, subject, actor, data) VALUES ({signs})",  # noqa: S608  # constants
            (at, workspace_id, kind, subject, actor, json.dumps(data)),
        )
    touch(tx, subject, kind.partition(".")[0])


def touch(tx: Tx, *topics: str) -> None:
    """Wake, after the commit, whoever waits for one of these topics, without an entry in the log."""
    tx.info["topics"].update(topics)


class Hub:
    """Wakes those who wait. Lives in one process; across processes waiting falls back to looking every second."""

    def __init__(self, poll_s: float = 30.0) -> None:
        """`poll_s`: how long at most a change made by another process stays unseen."""
        self._poll_s = poll_s
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiters: dict[str, set[asyncio.Event]] = {}
        self._threads: dict[str, set[threading.Event]] = {}
        self._lock = threading.Lock()

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def notify(self, topics: set[str]) -> None:
        """Called after a commit, from any thread."""
        if not topics:
            return
        with self._lock:
            wake = [event for topic in topics for event in self._threads.get(topic, ())]
        for event in wake:
            event.set()
        # Who begins to wait just now looks after that, so it needs no waking.
        is_awaited = any(topic in self._waiters for topic in topics)
        if is_awaited and self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake, topics)

    def _wake(self, topics: set[str]) -> None:
        for topic in topics:
            for event in self._waiters.get(topic, ()):
                event.set()

    async def wait_for(self, topics: set[str], look: Callable[[], T | None], timeout_s: float) -> T | None:
        """The first answer of `look` that is not None, or None after `timeout_s`.

        `look` runs in a thread, at once and again whenever one of the topics changes.
        """
        event = asyncio.Event()
        for topic in topics:
            self._waiters.setdefault(topic, set()).add(event)
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout_s
        try:
            while True:
                event.clear()
                answer = await run_in_threadpool(look)
                left = end - loop.time()
                if answer is not None or left <= 0:
                    return answer
                try:
                    await asyncio.wait_for(event.wait(), min(left, self._poll_s))
                except TimeoutError:
                    pass
        finally:
            for topic in topics:
                self._waiters[topic].discard(event)
                if not self._waiters[topic]:
                    del self._waiters[topic]

    def subscribe(self, *topics: str) -> threading.Event:
        """A threading.Event that is set whenever one of the topics changes; for background loops, which live as long."""
        event = threading.Event()
        with self._lock:
            for topic in topics:
                self._threads.setdefault(topic, set()).add(event)
        return event
