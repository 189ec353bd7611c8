from __future__ import annotations

import itertools

import pytest

from modelyard.server.runs.lifecycle import ACTIVE, FINAL, NEXT, IllegalTransition, check, is_stale
from modelyard.wire.runs import RunStatus

S = RunStatus


def test_every_status_has_its_place_in_the_table() -> None:
    assert set(NEXT) == set(RunStatus)


def test_the_final_statuses_are_v1s_three() -> None:
    assert {S.COMPLETED, S.FAILED, S.CANCELED} == FINAL


@pytest.mark.parametrize(("now", "then"), list(itertools.product(RunStatus, RunStatus)))
def test_a_transition_is_refused_unless_the_table_has_it(now: RunStatus, then: RunStatus) -> None:
    if then is now or then in NEXT[now]:
        check(now, then)
    else:
        with pytest.raises(IllegalTransition):
            check(now, then)


@pytest.mark.parametrize("start", RunStatus)
def test_every_run_can_reach_an_end(start: RunStatus) -> None:
    seen, todo = set(), [start]
    while todo:
        status = todo.pop()
        seen.add(status)
        todo += NEXT[status] - seen
    assert seen & FINAL


@pytest.mark.parametrize("status", [s for s in RunStatus if s not in FINAL])
def test_every_run_that_is_not_over_can_be_cancelled_or_is_ending(status: RunStatus) -> None:
    assert NEXT[status] & {S.CANCEL_REQUESTED, S.CANCELED}


@pytest.mark.parametrize("status", ACTIVE)
def test_a_silent_run_can_come_back_to_where_it_was(status: RunStatus) -> None:
    assert S.NOT_RESPONDING in NEXT[status]
    assert status in NEXT[S.NOT_RESPONDING]


@pytest.mark.parametrize("status", sorted(FINAL))
def test_nothing_follows_an_end(status: RunStatus) -> None:
    assert NEXT[status] == frozenset()
    assert all(status not in after or now not in FINAL for now, after in NEXT.items())


def test_only_what_a_run_has_passed_is_old_news() -> None:
    stale = {(n, t) for n, t in itertools.product(RunStatus, RunStatus) if is_stale(n, t)}
    assert (S.RUNNING, S.STARTING) in stale
    assert (S.CANCEL_REQUESTED, S.RUNNING) in stale
    assert (S.CANCEL_REQUESTED, S.FINALIZING) not in stale
    assert all(t not in FINAL and n not in FINAL for n, t in stale)
