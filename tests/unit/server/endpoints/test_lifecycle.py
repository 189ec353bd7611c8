"""What a report makes of a service."""

from __future__ import annotations

import itertools

import pytest

from modelyard.server.endpoints.lifecycle import NEXT, may_follow, standing
from modelyard.wire.endpoints import ServiceError, ServiceReport, ServiceState

S = ServiceState
ERROR = ServiceError("InitFailed", "ValueError: no", "score.py:3: ValueError: no", "Traceback …")


def test_every_state_can_end_and_a_stopped_service_can_come_back():
    assert set(NEXT) == set(S)
    assert all(S.STOPPED in NEXT[state] for state in S if state is not S.STOPPED)
    assert NEXT[S.STOPPED] == set(S) - {S.STOPPED}


@pytest.mark.parametrize(
    ("state", "error", "told", "known"),
    list(itertools.product(S, (None, ERROR), (None, 1, 2), (None, 1))),
)
def test_whatever_is_reported_the_standing_is_consistent(state, error, told, known):
    stands = standing(ServiceReport(revision=2, state=state, error=error, active_revision=told), known)
    if stands.state is S.HEALTHY:
        assert stands.active_revision is not None
        assert stands.error is None or stands.active_revision != 2
    if stands.state is S.FAILED:
        assert stands.error is not None
        assert stands.active_revision is None


def test_a_healthy_report_makes_its_revision_the_answering_one():
    stands = standing(ServiceReport(revision=2, state=S.HEALTHY), 1)
    assert (stands.state, stands.active_revision, stands.error) == (S.HEALTHY, 2, None)


def test_a_failed_revision_leaves_the_older_one_answering_and_says_the_error():
    stands = standing(ServiceReport(revision=2, state=S.FAILED, error=ERROR), 1)
    assert (stands.state, stands.active_revision, stands.error) == (S.HEALTHY, 1, ERROR)
    assert "score.py:3" in stands.reason
    assert "revision 1 still answers" in stands.reason


def test_a_healthy_report_of_the_older_revision_waits_for_the_newer_one():
    stands = standing(ServiceReport(revision=2, state=S.HEALTHY, active_revision=1), 1)
    assert (stands.state, stands.active_revision) == (S.TRANSITIONING, 1)


def test_a_failed_first_revision_is_a_failed_service():
    stands = standing(ServiceReport(revision=1, state=S.FAILED, reason="no such port"), None)
    assert stands.state is S.FAILED
    assert stands.error is not None
    assert stands.error.message == "no such port"


def test_a_state_may_follow_itself():
    assert all(may_follow(state, state) for state in S)
