"""Whatever is said of runs, in whatever order: only legal transitions, and versions that grow."""

from __future__ import annotations

import itertools

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from run_yard import Refused, RunYard, W

from modelyard.server.runs.lifecycle import FINAL, NEXT, REPORTABLE
from modelyard.wire.runs import RunStatus

_numbers = itertools.count()


def _reachable(now: RunStatus) -> set[RunStatus]:
    seen: set[RunStatus] = set()
    todo = [now]
    while todo:
        seen.add(status := todo.pop())
        todo += NEXT[status] - seen
    return seen


class RunLife(RuleBasedStateMachine):
    yard: RunYard

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[str, tuple[RunStatus, int]] = {}
        self.running: list[str] = []

    def _id(self, index: int) -> str:
        return list(self.seen)[index % len(self.seen)]

    def _note(self, answer: object) -> None:
        assert not isinstance(answer, Refused) or answer.status == 409, answer

    @precondition(lambda self: len(self.seen) < 4)
    @rule(interactive=st.booleans())
    def create(self, interactive: bool) -> None:
        run_id = f"m{next(_numbers)}"
        run = self.yard.start(run_id, "m") if interactive else self.yard.submit(run_id, "m")
        self.seen[run_id] = (RunStatus(run["status"]), run["version"])

    @rule(has_it=st.booleans())
    def poll(self, has_it: bool) -> None:
        for start in self.yard.poll(self.running if has_it else [])["starts"]:
            if start["run_id"] not in self.running:
                self.running.append(start["run_id"])

    @precondition(lambda self: self.seen)
    @rule(index=st.integers(0, 3), status=st.sampled_from(sorted(REPORTABLE, key=lambda s: s.value)))
    def report(self, index: int, status: RunStatus) -> None:
        self._note(self.yard.report(self._id(index), status.value))

    @precondition(lambda self: self.seen)
    @rule(index=st.integers(0, 3))
    def cancel(self, index: int) -> None:
        self._note(self.yard.call("POST", f"{W}/runs/{self._id(index)}/cancel"))

    @precondition(lambda self: self.seen)
    @rule(index=st.integers(0, 3))
    def beat(self, index: int) -> None:
        self._note(self.yard.call("POST", f"{W}/runs/{self._id(index)}/heartbeat", {"pid": 1}))

    @rule(seconds=st.sampled_from([1, 31, 700]))
    def time_goes_by(self, seconds: int) -> None:
        self.yard.clock.advance(seconds)
        self.yard.lost_runs()

    @invariant()
    def every_run_went_where_it_may_and_its_version_grew(self) -> None:
        for run_id, (status, version) in self.seen.items():
            run = self.yard.run(run_id)
            now = RunStatus(run["status"])
            assert now in _reachable(status)
            assert run["version"] >= version
            if now is not status:
                assert run["version"] > version
            assert (run["ended_at"] is not None) == (now in FINAL)
            self.seen[run_id] = (now, run["version"])

    def teardown(self) -> None:
        for run_id in self.seen:
            self.yard.call("POST", f"{W}/runs/{run_id}/cancel")
            self.yard.report(run_id, "Canceled")


def test_a_run_goes_only_where_the_lifecycle_lets_it(yard: RunYard) -> None:
    from hypothesis.stateful import run_state_machine_as_test

    RunLife.yard = yard
    run_state_machine_as_test(RunLife, settings=settings(max_examples=8, stateful_step_count=20))
