from __future__ import annotations

import threading
from pathlib import Path

import pytest
from run_yard import RunYard, W, run_yard


def test_a_target_nobody_serves_is_unreachable(yard: RunYard) -> None:
    assert yard.call("GET", f"{W}/computes")["items"][0]["state"] == "Unreachable"
    yard.poll()
    target = yard.call("GET", f"{W}/computes/local")
    assert (target["state"], target["nodes"], target["slots"]) == ("Succeeded", ["local"], 2)
    yard.clock.advance(61)
    assert yard.call("GET", f"{W}/computes/local")["state"] == "Unreachable"


def test_an_unknown_target_is_answered_by_those_there_are(yard: RunYard) -> None:
    refused = yard.call("GET", f"{W}/computes/gpu")
    assert (refused.status, refused.extra, "'local'" in refused.detail) == (404, {"known": ["local"]}, True)


def test_the_yard_s_own_slot_limit_wins_over_the_node_s(tmp_path: Path) -> None:
    with run_yard(tmp_path, slots=1) as yard:
        yard.submit("r0")
        yard.submit("r1")
        assert len(yard.poll(slots=8)["starts"]) == 1
        assert yard.call("GET", f"{W}/computes/local")["slots"] == 1


def test_a_waiting_poll_is_answered_as_soon_as_a_run_comes(yard: RunYard) -> None:
    answers: list[dict[str, list[dict[str, str]]]] = []
    waiting = threading.Thread(target=lambda: answers.append(yard.poll(wait_s=30)))
    waiting.start()
    yard.submit("r1")
    waiting.join(timeout=20)
    assert [s["run_id"] for s in answers[0]["starts"]] == ["r1"]


def test_a_newer_poll_of_a_node_ends_the_one_before_it(yard: RunYard) -> None:
    answers: list[dict[str, list[object]]] = []
    yard.poll()
    first = threading.Thread(target=lambda: answers.append(yard.poll(wait_s=30)))
    first.start()
    while yard.compute._polls["local"] < 2:
        first.join(timeout=0.01)
    yard.poll()
    first.join(timeout=20)
    assert answers[0]["starts"] == []


def test_what_was_told_a_moment_ago_does_not_answer_a_poll_at_once_again(yard: RunYard) -> None:
    yard.placed("r1")
    yard.call("POST", f"{W}/runs/r1/cancel")
    assert yard.poll(["r1"])["cancel"] == ["r1"]
    assert yard.poll(["r1"])["cancel"] == []
    yard.clock.advance(3)
    assert yard.poll(["r1"])["cancel"] == ["r1"]


@pytest.mark.parametrize(
    ("given", "code"),
    [({"node": "a b"}, "bad_node"), ({"target": "gpu"}, "no_such_compute"), ({"slots": -1}, "bad_slots")],
)
def test_a_poll_that_makes_no_sense_is_refused(yard: RunYard, given: dict[str, object], code: str) -> None:
    assert yard.poll(**given).code == code  # type: ignore[arg-type]


def test_only_nodes_ask_for_work(yard: RunYard) -> None:
    token = yard.placed("r1")
    assert yard.call("POST", "/api/v1/nodes/poll", {"node": "local"}, token=token).code == "not_allowed"
