from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from modelyard.server.kernel.clock import ManualClock, SystemClock
from modelyard.server.kernel.db import Database, Tx, metadata
from modelyard.server.kernel.events import Hub, events, publish
from modelyard.server.kernel.reconcile import Round, leases
from modelyard.server.kernel.supervisor import Supervisor


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    db = Database(f"sqlite:///{tmp_path / 'x.db'}")
    metadata.create_all(db.engine)
    yield db
    db.close()


class Counting:
    """Every key is due until it was applied once."""

    name = "counting"

    def __init__(self, keys: set[str]) -> None:
        self.keys = keys
        self.applied: list[tuple[str, Any]] = []
        self.during_act = lambda key: None

    def due(self, tx: Tx, now: float) -> Iterable[str]:
        return sorted(self.keys - {key for key, _ in self.applied})

    def act(self, key: str) -> Any:
        self.during_act(key)
        return key.upper()

    def apply(self, tx: Tx, key: str, result: Any, now: float) -> None:
        self.applied.append((key, result))


def test_what_is_due_is_acted_on_and_applied_once(db: Database) -> None:
    work = Counting({"a", "b"})
    round_ = Round(db, ManualClock(), work)
    round_()
    round_()
    assert work.applied == [("a", "A"), ("b", "B")]
    with db.read() as tx:
        assert tx.execute(sa.select(leases)).all() == []


def test_a_process_that_lost_its_lease_applies_nothing(db: Database) -> None:
    clock = ManualClock()
    slow, quick = Counting({"a"}), Counting({"a"})

    def overtaken(key: str) -> None:
        clock.advance(61)
        Round(db, clock, quick, lease_s=60)()

    slow.during_act = overtaken
    Round(db, clock, slow, lease_s=60)()
    assert (slow.applied, quick.applied) == ([], [("a", "A")])


def test_a_process_that_slept_through_another_ones_lease_and_a_third_ones_beginning_gives_up(
    db: Database,
) -> None:
    clock = ManualClock()
    slow, quick, third = Counting({"a"}), Counting({"a"}), Counting({"a"})

    def overtaken_twice(key: str) -> None:
        clock.advance(61)
        Round(db, clock, quick, lease_s=60)()
        assert Round(db, clock, third, lease_s=60)._lease("a") is not None

    slow.during_act = overtaken_twice
    Round(db, clock, slow, lease_s=60)()
    assert (slow.applied, quick.applied) == ([], [("a", "A")])


def test_a_lease_in_hand_keeps_others_away(db: Database) -> None:
    clock = ManualClock()
    first, second = Counting({"a"}), Counting({"a"})
    first.during_act = lambda key: Round(db, clock, second, lease_s=60)()
    Round(db, clock, first, lease_s=60)()
    assert (first.applied, second.applied) == ([("a", "A")], [])


def test_a_loop_that_raises_is_tried_again_and_its_failure_is_shown() -> None:
    supervisor = Supervisor(SystemClock())
    done = threading.Event()
    calls: list[int] = []

    def round_() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise ValueError("first")
        done.set()

    supervisor.add("loop", round_, every_s=0.01)
    supervisor.start()
    assert done.wait(20)
    supervisor.stop()
    state = supervisor.states["loop"]
    assert (state.failures, state.last_error) == (1, "ValueError: first")
    assert state.rounds >= 1


def test_an_event_is_written_with_the_change_and_wakes_those_who_wait(db: Database) -> None:
    hub = Hub()
    db._notify = hub.notify  # the database was made without a hub
    seen: list[str] = []

    def look() -> str | None:
        with db.read() as tx:
            row = tx.execute(sa.select(events)).first()
        return row.kind if row else None

    async def scenario() -> None:
        hub.bind(asyncio.get_running_loop())
        waiting = asyncio.create_task(hub.wait_for({"thing-1"}, look, 30))
        await asyncio.sleep(0)
        await asyncio.to_thread(
            db.write,
            lambda tx: publish(
                tx, at=1, workspace_id="w", kind="thing.made", subject="thing-1", colour="red"
            ),
        )
        seen.append(await waiting or "")

    asyncio.run(scenario())
    assert seen == ["thing.made"]


def test_waiting_ends_with_nothing_after_the_time_given() -> None:
    async def scenario() -> object:
        return await Hub().wait_for({"x"}, lambda: None, 0.01)

    assert asyncio.run(scenario()) is None
