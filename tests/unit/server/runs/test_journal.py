from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from run_yard import RunYard, W

from modelyard.server.runs.rules import MAX_METRICS


def line(kind: str, name: str, value: object, at: int = 0, **more: object) -> bytes:
    return json.dumps({"k": kind, "n": name, "v": value, "t": at, **more}).encode() + b"\n"


def test_what_is_logged_once_stands_alone_and_more_is_a_list(yard: RunYard) -> None:
    yard.start("r")
    yard.journal(
        "r",
        line("m", "once", 0.5) + line("m", "twice", 1) + line("m", "twice", 2) + line("m", "word", "hi")
        + line("m", "mixed", 1.5) + line("m", "mixed", "x") + line("l", "list", [1, 2]) + line("l", "list", ["c"])
        + line("r", "row", {"x": 1, "y": "a"}) + line("r", "rows", {"x": 1}) + line("r", "rows", {"x": 2, "y": 3})
        + line("t", "table", {"x": [1, 2], "y": [3, 4]}) + line("t", "table", {"x": [5]})
        + line("i", "image", "image.png") + line("d", "doc", {"schema_type": "residuals"})
        + line("s", "cpu", 12.0),
    )  # fmt: skip
    assert yard.metrics("r") == {
        "once": 0.5, "twice": [1, 2], "word": "hi", "mixed": [1.5, "x"], "list": [1, 2, "c"],
        "row": {"x": 1, "y": "a"}, "rows": {"x": [1, 2], "y": [None, 3]},
        "table": {"x": [1, 2, 5], "y": [3, 4, None]}, "image": "image.png", "doc": {"schema_type": "residuals"},
    }  # fmt: skip
    assert yard.metrics("r", "?name=once") == {"once": 0.5}
    assert yard.metrics("r", "?system=true")["cpu"] == 12.0


def test_whole_numbers_stay_whole_up_to_64_bits(yard: RunYard) -> None:
    yard.start("r")
    yard.journal(
        "r",
        line("m", "a", 7)
        + line("m", "b", 2**63 - 1)
        + line("m", "b", 1)
        + line("m", "c", 1)
        + line("m", "c", 1.5),
    )
    got = yard.metrics("r")
    assert got == {"a": 7, "b": [2**63 - 1, 1], "c": [1.0, 1.5]}
    assert isinstance(got["a"], int)
    assert "Expected `int` <= " in yard.journal("r", line("m", "d", 2**64), 0, "other")["passed_over"][0]


def test_nan_and_infinities_are_kept(yard: RunYard) -> None:
    yard.start("r")
    text = b"".join(line("m", "a", v, f=1) for v in ("NaN", "Infinity", "-Infinity")) + line("m", "a", 1.0)
    yard.journal("r", text)
    info = yard.call("GET", f"{W}/runs/r/metrics")["runs"][0]["metrics"][0]
    assert info["value"] == ["NaN", "Infinity", "-Infinity", 1.0]
    assert (info["nonfinite"], info["count"], info["last"]) == (True, 4, 1.0)
    points = yard.call("GET", f"{W}/runs/r/metrics/a/points")
    assert points["values"] == [None, None, None, 1.0]
    assert points["nonfinite"] == {"0": "NaN", "1": "Infinity", "2": "-Infinity"}


def test_the_summary_follows_the_points(yard: RunYard) -> None:
    yard.start("r")
    first = b"".join(
        line("m", "loss", v, at=1000 * n, s=n, d="the loss") for n, v in enumerate((3.0, 1.0, 2.0))
    )
    yard.journal("r", first)
    yard.journal("r", line("m", "loss", 0.5, at=9000, s=3), offset=len(first))
    info = yard.call("GET", f"{W}/runs/r/metrics")["runs"][0]["metrics"][0]
    wanted = {
        "count": 4,
        "last": 0.5,
        "min": 0.5,
        "max": 3.0,
        "first_at": 0,
        "last_at": 9,
        "description": "the loss",
    }
    assert {k: info[k] for k in wanted} == wanted


def test_a_series_is_read_in_pieces(yard: RunYard) -> None:
    yard.start("r")
    yard.journal("r", b"".join(line("m", "a/b c", float(n), at=n, s=n * 2) for n in range(10)))
    path = f"{W}/runs/r/metrics/a%2Fb%20c/points"
    assert yard.call("GET", f"{path}?limit=3&after=8") == {
        "name": "a/b c", "steps": [16, 18], "times_ms": [8, 9], "values": [8.0, 9.0], "nonfinite": {}, "total": 10,
    }  # fmt: skip
    assert yard.call("GET", f"{path}?after=99")["values"] == []
    assert yard.call("GET", f"{W}/runs/r/metrics/none/points").code == "no_such_metric"
    assert yard.call("GET", f"{path}?limit=0").code == "bad_limit"


def test_points_that_come_by_the_hundred_and_one_by_one_are_one_series(yard: RunYard) -> None:
    yard.start("r")
    pieces = [
        b"".join(line("m", "a", n / 2, at=n, s=n) for n in range(100)),
        line("m", "a", "NaN", at=100, f=1),
        b"".join(line("m", "a", n / 2, at=n) for n in range(101, 200)),
        line("m", "a", 100.0, at=200, s=200),
    ]
    offset = 0
    for piece in pieces:
        offset = yard.journal("r", piece, offset)["offset"]
    whole = yard.call("GET", f"{W}/runs/r/metrics/a/points")
    assert whole["times_ms"] == list(range(201))
    assert whole["steps"] == [*range(100), *[None] * 100, 200]
    assert [v for v in whole["values"] if v is not None] == [n / 2 for n in range(201) if n != 100]
    for after, limit in ((0, 1), (50, 100), (99, 3), (150, 500), (200, 1)):
        part = yard.call("GET", f"{W}/runs/r/metrics/a/points?after={after}&limit={limit}")
        assert part["times_ms"] == list(range(after, min(201, after + limit)))


def test_metrics_of_all_runs_below_come_by_recursion(yard: RunYard) -> None:
    yard.start("p")
    yard.start("c", parent_id="p")
    yard.journal("c", line("m", "a", 1))
    answer = yard.call("GET", f"{W}/runs/p/metrics?recursive=true")
    assert [(r["run_id"], len(r["metrics"])) for r in answer["runs"]] == [("p", 0), ("c", 1)]


@pytest.mark.parametrize(
    "bad",
    [b"nonsense\n", b'{"k":"m"}\n', b'{"k":"z","n":"a","v":1,"t":0}\n', line("m", "", 1), line("m", "a", None),
     line("m", "a", [1]), line("l", "a", 1), line("m", "n" * 256, 1), line("m", "a", 1, s=2**70), b'\xff\xfe}\n'],
)  # fmt: skip
def test_a_bad_line_is_named_and_costs_none_of_the_others(yard: RunYard, bad: bytes) -> None:
    yard.start("r")
    chunk = line("m", "good", 1) + bad + line("m", "better", 2)
    taken = yard.journal("r", chunk)
    assert taken["offset"] == len(chunk)
    assert [said[:27] for said in taken["passed_over"]] == ["Line 2 is no journal record"]
    assert yard.metrics("r") == {"good": 1, "better": 2}
    assert yard.call("GET", f"{W}/runs/r/journal?source=s") == {"offset": len(chunk)}


def test_a_line_that_breaks_off_is_passed_over(yard: RunYard) -> None:
    yard.start("r")
    yard.journal("r", line("m", "a", 1) + b'{"k":"m","n":"tor\n' + line("m", "b", 2))
    assert yard.metrics("r") == {"a": 1, "b": 2}


def test_a_chunk_holds_whole_lines_and_leaves_no_gap(yard: RunYard) -> None:
    yard.start("r")
    assert yard.journal("r", b'{"k":"m"').code == "journal_not_whole_lines"
    gap = yard.journal("r", line("m", "a", 1), offset=5)
    assert (gap.status, gap.code, gap.extra) == (409, "stream_gap", {"offset": 0})
    assert yard.journal("r", line("m", "a", 1), source="").code == "bad_source"
    assert yard.journal("nobody", line("m", "a", 1)).code == "no_such_run"


def test_a_chunk_over_the_limit_is_refused_with_the_limit(yard: RunYard) -> None:
    yard.start("r")
    refused = yard.journal("r", b"x" * (8 * 1024 * 1024 + 1))
    assert (refused.status, refused.extra) == (413, {"limit": 8 * 1024 * 1024})


def test_a_run_has_a_limit_of_metric_names(yard: RunYard) -> None:
    yard.start("r")
    first = b"".join(line("m", f"m{n}", n) for n in range(MAX_METRICS))
    assert yard.journal("r", first) == {"offset": len(first), "passed_over": []}
    more = line("m", "more", 1) + line("m", "m0", 1) + line("m", "nul\0", 1)
    passed_over = yard.journal("r", more, offset=len(first))["passed_over"]
    assert [said.partition(",")[0] for said in passed_over] == [
        "Metric 'nul\\x00' has a NUL character in its name.", f"A run keeps at most {MAX_METRICS} metrics",
    ]  # fmt: skip
    assert yard.metrics("r", "?name=m0") == {"m0": [0, 1]}
    assert yard.metrics("r", "?name=more") == {}


_numbers = itertools.count()
_values = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False), st.integers(-(2**60), 2**60), st.text(max_size=3)
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from("ab"), _values), max_size=12), st.data())
def test_however_a_journal_is_cut_and_sent_again_each_record_counts_once(
    one_yard: RunYard, logged: list[tuple[str, object]], data: st.DataObject
) -> None:
    lines = [line("m", name, value) for name, value in logged]
    shared = one_yard
    run_id = f"r{next(_numbers)}"
    shared.start(run_id)
    ends = [0]
    for each in lines:
        ends.append(ends[-1] + len(each))
    whole, held = b"".join(lines), 0
    while held < len(whole):
        start = data.draw(st.sampled_from([e for e in ends if e <= held]))
        stop = data.draw(st.sampled_from([e for e in ends if e > start]))
        held = max(held, stop)
        for _ in range(data.draw(st.integers(1, 2))):
            assert shared.journal(run_id, whole[start:stop], start)["offset"] == held
    expected: dict[str, list[object]] = {}
    for name, value in logged:
        expected.setdefault(name, []).append(value)
    assert shared.metrics(run_id) == {n: v[0] if len(v) == 1 else v for n, v in expected.items()}
    shared.report(run_id, "Completed")
    shared.call("DELETE", f"{W}/runs/{run_id}")
