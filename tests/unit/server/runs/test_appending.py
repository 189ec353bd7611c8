"""Points that callers send by the call."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest
from run_yard import RunYard, W

from modelyard.server.kernel.errors import Conflict, Invalid, NotFound
from modelyard.server.runs import appending, rules
from modelyard.server.runs.appending import Sample


def append(yard: RunYard, body: Any, run_id: str = "r", key: str = "", token: str = "owner") -> Any:
    headers = {"authorization": f"Bearer {token}"} | ({"idempotency-key": key} if key else {})
    answer = yard.http.post(f"{W}/runs/{run_id}/metrics", json=body, headers=headers)
    return answer.status_code, answer.json()


def info(yard: RunYard, name: str = "x", run_id: str = "r") -> Any:
    answer = yard.call("GET", f"{W}/runs/{run_id}/metrics?name={name}")
    return answer["runs"][0]["metrics"][0]


def points(yard: RunYard, name: str = "x", run_id: str = "r") -> Any:
    return yard.call("GET", f"{W}/runs/{run_id}/metrics/{name}/points?limit=1000")


def test_points_come_as_a_list_or_as_arrays(yard: RunYard) -> None:
    yard.start("r")
    body = {
        "points": [{"name": "x", "value": 1.5, "step": 3, "time_ms": 10}],
        "series": [{"name": "x", "values": [2.5, "NaN"], "steps": [4, 5], "times_ms": [20, 30]}],
    }
    assert append(yard, body) == (200, {"points": 3})
    found = points(yard)
    assert (found["steps"], found["times_ms"]) == ([3, 4, 5], [10, 20, 30])
    assert (found["values"], found["nonfinite"]) == ([1.5, 2.5, None], {"2": "NaN"})


def test_last_is_of_the_highest_step_and_of_those_the_latest(yard: RunYard) -> None:
    yard.start("r")
    for step, at, value in ((5, 10, 1.0), (3, 99, 9.0), (5, 9, 7.0), (5, 10, 0.5)):
        append(yard, {"points": [{"name": "x", "value": value, "step": step, "time_ms": at}]})
    found = info(yard)
    assert (found["last"], found["min"], found["max"], found["count"]) == (1.0, 0.5, 9.0, 4)
    assert (found["first_at"], found["last_at"]) == (0.009, 0.099)


def test_points_without_a_step_count_as_step_0_in_the_order_of_arrival(yard: RunYard) -> None:
    yard.start("r")
    for value, at, step in ((1.0, 50, None), (2.0, 40, None), (3.0, 60, -1)):
        append(yard, {"points": [{"name": "x", "value": value, "time_ms": at, "step": step}]})
    assert info(yard)["last"] == 2.0
    append(yard, {"points": [{"name": "x", "value": 4.0, "time_ms": 1, "step": 1}]})
    assert info(yard)["last"] == 4.0


def test_what_is_not_finite_is_kept(yard: RunYard) -> None:
    yard.start("r")
    append(
        yard,
        {"series": [{"name": "x", "values": ["-Infinity", 1, "Infinity", "NaN"], "steps": [0, 1, 2, 3]}]},
    )
    found = points(yard)
    assert found["nonfinite"] == {"0": "-Infinity", "2": "Infinity", "3": "NaN"}
    assert info(yard)["last"] is None
    assert info(yard)["nonfinite"]


@pytest.mark.parametrize("count", [1, 40])
def test_a_negative_zero_keeps_its_sign(yard: RunYard, count: int) -> None:
    yard.start("r")
    steps = [i if i % 2 else None for i in range(count)]
    append(yard, {"series": [{"name": "x", "values": [-0.0] * count, "steps": steps}]})
    found = points(yard)
    assert [math.copysign(1, value) for value in found["values"]] == [-1] * count
    assert found["steps"] == steps


def test_whole_numbers_come_back_as_such_and_huge_ones_as_floats(yard: RunYard) -> None:
    yard.start("r")
    append(yard, {"series": [{"name": "x", "values": [1, 2]}, {"name": "y", "values": [2**60, 1]}]})
    assert yard.metrics("r") == {"x": [1, 2], "y": [float(2**60), 1.0]}
    assert isinstance(yard.metrics("r")["x"][0], int)


def test_the_same_key_with_the_same_body_counts_once(yard: RunYard) -> None:
    yard.start("r")
    body = {"points": [{"name": "x", "value": 1.0, "step": 1, "time_ms": 1}]}
    assert append(yard, body, key="k") == append(yard, body, key="k") == (200, {"points": 1})
    assert append(yard, body, key="other") == (200, {"points": 1})
    assert info(yard)["count"] == 2


def test_a_key_is_forgotten_after_a_day(yard: RunYard) -> None:
    yard.start("r")
    body = {"points": [{"name": "x", "value": 1.0}]}
    append(yard, body, key="k")
    for hours, count in ((23, 1), (2, 2)):
        yard.clock.advance(hours * 3600)
        yard.runs.appender.forget_keys()
        append(yard, body, key="k")
        assert info(yard)["count"] == count


def test_another_body_under_the_same_key_is_refused(yard: RunYard) -> None:
    yard.start("r")
    append(yard, {"points": [{"name": "x", "value": 1.0}]}, key="k")
    status, problem = append(yard, {"points": [{"name": "x", "value": 2.0}]}, key="k")
    assert (status, problem["code"]) == (409, "idempotency_key_reused")
    assert info(yard)["count"] == 1


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"points": [{"name": "", "value": 1}]}, "bad_metric_name"),
        ({"points": [{"name": "n" * 256, "value": 1}]}, "too_long"),
        ({"points": [{"name": "a\0b", "value": 1}]}, "bad_text"),
        ({"points": [{"name": "x", "value": "high"}]}, "not_a_number"),
        ({"points": [{"name": "x", "value": 1, "step": 2**63}]}, "bad_number"),
        ({"points": [{"name": "x", "value": 1, "time_ms": -(2**63) - 1}]}, "bad_number"),
        ({"series": [{"name": "x", "values": [1, 2], "steps": [1]}]}, "unequal_arrays"),
        ({"series": [{"name": "x", "values": [0] * (rules.MAX_POINTS + 1)}]}, "too_many_points"),
    ],
)
def test_what_no_run_can_keep_is_refused_whole(yard: RunYard, body: Any, code: str) -> None:
    yard.start("r")
    body.setdefault("points", []).append({"name": "good", "value": 1})
    status, problem = append(yard, body)
    assert (status, problem["code"]) == (422, code)
    assert yard.metrics("r") == {}


def test_metrics_over_the_limit_of_a_run_are_refused(yard: RunYard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "MAX_METRICS", 2)
    yard.start("r")
    append(yard, {"points": [{"name": "a", "value": 1}]})
    status, problem = append(yard, {"points": [{"name": n, "value": 1} for n in "abc"]})
    assert (status, problem["code"]) == (409, "too_many_metrics")
    assert yard.metrics("r") == {"a": 1}


def test_a_run_may_append_to_itself_alone(yard: RunYard) -> None:
    yard.start("r")
    yard.start("other")
    body = {"points": [{"name": "x", "value": 1}]}
    token = yard.token("r")
    assert append(yard, body, token=token)[0] == 200
    assert append(yard, body, "other", token=token)[0] == 403
    assert append(yard, body, "absent")[0] == 404


def many(yard: RunYard, calls: list[tuple[str, list[Sample], str]]) -> list[BaseException | None]:
    """All at once, so that they share a write."""

    async def together() -> list[BaseException | None]:
        appender = yard.runs.appender
        waiting = [
            appender.append(yard.workspace_id, run_id, samples, key=key, body=str(samples))
            for run_id, samples, key in calls
        ]
        return await asyncio.gather(*waiting, return_exceptions=True)

    return asyncio.run(together())


def test_a_call_that_fails_costs_none_of_those_that_share_its_write(yard: RunYard) -> None:
    yard.start("a")
    yard.start("b")
    answers = many(
        yard,
        [
            ("a", [("x", 1.0, 1, None)], ""),
            ("absent", [("x", 1.0, 1, None)], ""),
            ("b", [("x", 2.0, 1, None)], ""),
            ("a", [("x", 3.0, 2, None)], ""),
        ],
    )
    assert [type(answer) for answer in answers] == [type(None), NotFound, type(None), type(None)]
    assert (yard.metrics("a"), yard.metrics("b")) == ({"x": [1.0, 3.0]}, {"x": 2.0})


def test_the_same_call_twice_in_one_write_counts_once(yard: RunYard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "MAX_METRICS", 1)
    yard.start("r")
    one, two = [("x", 1.0, 1, None)], [("x", 2.0, 1, None)]
    answers = many(yard, [("r", one, "k"), ("r", one, "k"), ("r", two, "k")])
    assert [type(answer) for answer in answers] == [type(None), type(None), Conflict]
    assert info(yard)["count"] == 1
    failing = many(yard, [("r", [("y", 1.0, 1, None)], "l")] * 2)
    assert [type(answer) for answer in failing] == [Conflict, Conflict]


def test_points_are_written_within_another_transaction(yard: RunYard) -> None:
    yard.start("r")
    yard.db.write(lambda tx: appending.write(tx, "r", [("x", 1.0, 5, 1)]))
    assert points(yard)["values"] == [1.0]
    with pytest.raises(Invalid):
        yard.db.write(lambda tx: appending.write(tx, "r", [("", 1.0, 5, 1)]))
    with pytest.raises(NotFound):
        yard.db.write(lambda tx: appending.write(tx, "absent", [("x", 1.0, 5, 1)]))
