"""Series read as arrays: whole, a range, samples, many at once."""

from __future__ import annotations

import math
from typing import Any

import duckdb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from run_yard import RunYard, W

from modelyard.server.runs import sampling


def append(yard: RunYard, run_id: str, name: str, values: list[Any], **given: Any) -> None:
    yard.call("POST", f"{W}/runs/{run_id}/metrics", {"series": [{"name": name, "values": values, **given}]})


def read(yard: RunYard, token: str = "owner", **query: Any) -> Any:
    answer = yard.call("POST", f"{W}/metric-series", {"runs": ["r"], **query}, token=token)
    return answer["items"] if isinstance(answer, dict) else answer


@pytest.fixture
def logged(yard: RunYard) -> RunYard:
    """Run r: `loss` over 1,000 steps, out of order in the middle; `note` is text; `mixed` has a point without a step."""
    yard.start("r")
    steps = [*range(500), *range(999, 499, -1)]
    append(yard, "r", "loss", [s / 10 for s in steps], steps=steps, times_ms=[1000 + s for s in steps])
    append(yard, "r", "mixed", [1, "NaN", "-Infinity"], steps=[1, None, 2], times_ms=[1, 2, 3])
    yard.journal("r", b'{"k":"m","n":"note","v":"words","t":1}\n')
    yard.start("other")
    append(yard, "other", "loss", [1.5], steps=[0], times_ms=[7])
    return yard


def test_many_series_come_whole_in_one_call(logged: RunYard) -> None:
    found = read(logged, runs=["other", "r"])
    assert [(s["run_id"], s["name"], s["total"]) for s in found] == [
        ("other", "loss", 1), ("r", "loss", 1000), ("r", "mixed", 3),
    ]  # fmt: skip
    assert found[1]["steps"][498:502] == [498, 499, 999, 998]
    assert found[2] == {
        "run_id": "r", "name": "mixed", "steps": [1, None, 2], "times_ms": [1, 2, 3], "values": [1, None, None],
        "nonfinite": {"1": "NaN", "2": "-Infinity"}, "total": 3,
    }  # fmt: skip


def test_a_range_includes_its_ends(logged: RunYard) -> None:
    (by_step,) = read(logged, names=["loss"], from_step=10, to_step=12)
    assert by_step["steps"] == [10, 11, 12]
    (both,) = read(logged, names=["loss"], from_step=10, from_ms=1011, to_ms=1013)
    assert both["steps"] == [11, 12, 13]
    (unstepped,) = read(logged, names=["mixed"], to_step=0)
    assert unstepped["steps"] == [None]


@pytest.mark.parametrize("method", ["minmax", "lttb"])
def test_a_sample_is_drawn_over_the_steps_and_keeps_the_ends(logged: RunYard, method: str) -> None:
    (found,) = read(logged, names=["loss"], points=50, method=method)
    assert len(found["steps"]) <= 50
    assert found["steps"] == sorted(found["steps"])
    assert (found["steps"][0], found["steps"][-1], found["total"]) == (0, 999, 1000)


def test_what_the_run_has_not_logged_is_left_out(logged: RunYard) -> None:
    assert read(logged, names=["none", "note"]) == []


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"runs": []}, "no_runs"),
        ({"runs": ["absent"]}, "no_such_run"),
        ({"method": "average"}, "bad_method"),
        ({"points": 2}, "bad_points"),
        ({"names": ["n" * 300]}, "too_long"),
    ],
)
def test_a_query_that_can_t_be_answered_is_refused_in_words(
    logged: RunYard, query: dict[str, Any], code: str
) -> None:
    assert read(logged, **query).code == code


def test_a_run_reads_its_own_series_alone(logged: RunYard) -> None:
    token = logged.token("r")
    assert len(read(logged, token=token)) == 2
    assert read(logged, token=token, runs=["other"]).code == "other_run"


def test_arrow_holds_the_same(logged: RunYard) -> None:
    import arro3.io

    headers = {"authorization": "Bearer owner"}
    answer = logged.http.post(f"{W}/metric-series/arrow", json={"runs": ["r", "other"]}, headers=headers)
    reader = arro3.io.read_ipc_stream(answer.content)
    rows = duckdb.from_arrow(reader).fetchall()
    assert len(rows) == 1004
    assert rows[0] == ("r", "loss", 0, 1000, 0.0)
    assert rows[1000:1003] == [
        ("r", "mixed", 1, 1, 1.0),
        ("r", "mixed", None, 2, pytest.approx(math.nan, nan_ok=True)),
        ("r", "mixed", 2, 3, -math.inf),
    ]
    assert rows[-1] == ("other", "loss", 0, 7, 1.5)


@given(
    st.lists(st.floats(), min_size=5, max_size=400),
    st.integers(3, 60),
    st.sampled_from(sorted(sampling.METHODS)),
)
def test_a_sample_is_of_the_points_in_order_and_not_too_long(
    values: list[float], most: int, method: str
) -> None:
    if len(values) <= most:
        return
    y = np.array(values)
    found = sampling.METHODS[method](np.arange(len(y), dtype=np.float64), y, most)
    assert len(found) <= most
    assert (np.diff(found) > 0).all()
    assert (found[0], found[-1]) == (0, len(y) - 1)
    if method == "minmax" and most >= 4 and not np.isnan(y).all():
        inner = [v for v in values if not math.isnan(v)]
        assert {np.nanmin(y), np.nanmax(y)} <= {*y[found].tolist()} or not inner


def test_lttb_keeps_the_peak_that_every_eye_sees() -> None:
    y = np.zeros(1000)
    y[437] = 5
    assert 437 in sampling.lttb(np.arange(1000.0), y, 20)
