"""Search over HTTP: what comes back, page by page, while runs change; who may see what."""

from __future__ import annotations

from typing import Any

from run_yard import RunYard, W


def search(yard: RunYard, filter_: str = "", *order: str, token: str = "owner", **given: Any) -> Any:
    body = {"filter": filter_, "order_by": list(order), **given}
    return yard.call("POST", f"{W}/runs/search", body, token=token)


def ids(answer: Any) -> list[str]:
    return [found["run"]["id"] for found in answer["items"]]


def log(yard: RunYard, run_id: str, value: str, offset: int = 0) -> int:
    line = f'{{"k":"m","n":"acc","v":{value},"t":1}}\n'.encode()
    return int(yard.journal(run_id, line, offset)["offset"])


def some_runs(yard: RunYard, count: int = 9) -> None:
    for number in range(count):
        yard.start(f"r{number}", tags={"n": str(number)})
        log(yard, f"r{number}", str(number / 10))
        yard.clock.advance(1)


def test_an_answer_has_runs_their_metrics_and_how_many_there_are(yard: RunYard) -> None:
    some_runs(yard)
    answer = search(yard, "metrics.acc >= 0.5", "metrics.acc DESC", limit=2, count=True)
    assert ids(answer) == ["r8", "r7"]
    assert answer["count"] == 4
    assert answer["items"][0]["metrics"] == {
        "acc": {"count": 1, "last": 0.8, "last_step": None, "min": 0.8, "max": 0.8, "nonfinite": {}}
    }
    assert search(yard, metrics=["loss"])["items"][0]["metrics"] == {}
    assert search(yard)["count"] is None


def test_what_is_not_finite_is_named(yard: RunYard) -> None:
    yard.start("r")
    log(yard, "r", '"Infinity","f":1', log(yard, "r", '"NaN","f":1'))
    summary = search(yard)["items"][0]["metrics"]["acc"]
    assert summary["last"] is summary["max"] is None
    assert summary["nonfinite"] == {"last": "Infinity", "min": "Infinity", "max": "Infinity"}


def test_pages_hold_each_run_once_while_runs_change(yard: RunYard) -> None:
    some_runs(yard)
    seen: list[str] = []
    page = search(yard, "", "metrics.acc", limit=3)
    seen += ids(page)
    log(yard, "r2", "0.95", len('{"k":"m","n":"acc","v":0.2,"t":1}\n'))  # where the page ended
    yard.start("new")
    page = search(yard, "", "metrics.acc", limit=3, after=page["next"])
    seen += ids(page)
    assert seen == ["r0", "r1", "r2", "r3", "r4", "r5"]
    page = search(yard, "", "metrics.acc", limit=10, after=page["next"])
    assert ids(page) == ["r6", "r7", "r8", "r2", "new"]
    assert page["next"] is None


def test_a_cursor_is_good_for_its_own_search_alone(yard: RunYard) -> None:
    some_runs(yard)
    after = search(yard, "", "metrics.acc", limit=3)["next"]
    assert search(yard, "", "metrics.acc DESC", after=after).code == "other_cursor"
    assert search(yard, "tags.n != '1'", "metrics.acc", after=after).code == "other_cursor"
    assert search(yard, "", "metrics.acc", after=after, view="all").code == "other_cursor"
    for text in ("x", after[:-4], "bnVsbA", "é", "W10"):
        assert search(yard, "", "metrics.acc", after=text).code == "bad_cursor"


def test_experiments_narrow_by_name_or_id(yard: RunYard) -> None:
    yard.start("a", experiment="one")
    yard.start("b", experiment="two")
    known = yard.call("GET", f"{W}/experiments/two")["id"]
    assert ids(search(yard, experiments=["one"])) == ["a"]
    assert ids(search(yard, experiments=["one", known])) == ["a", "b"]
    assert search(yard, experiments=["three"]).code == "no_such_experiment"


def test_a_renamed_experiment_is_found_by_its_new_name(yard: RunYard) -> None:
    yard.start("a", experiment="one")
    yard.start("b", experiment="two")
    assert ids(search(yard, "experiment = 'one'", "experiment")) == ["a"]
    yard.call("PATCH", f"{W}/experiments/one", {"name": "zero"})
    assert ids(search(yard, "experiment = 'one'", "experiment")) == []
    assert ids(search(yard, "", "experiment")) == ["b", "a"]


def test_a_run_s_token_finds_the_run_and_what_is_below(yard: RunYard) -> None:
    token = yard.placed("r")
    yard.start("other")
    yard.call(
        "POST",
        f"{W}/runs",
        {"run_id": "c", "experiment": "e", "parent_id": "r", "started": True},
        token=token,
    )
    yard.start("g", parent_id="c")
    assert sorted(ids(search(yard, token=token))) == ["c", "g", "r"]
    assert ids(search(yard, "run_id = 'other' or run_id = 'g'", token=token)) == ["g"]


def test_what_makes_no_sense_is_refused(yard: RunYard) -> None:
    for given, code in (
        ({"filter_": "acc > 1"}, "bad_filter"), ({"limit": 0}, "bad_limit"), ({"view": "some"}, "bad_view"),
        ({"limit": 5000}, "bad_limit"),
    ):  # fmt: skip
        assert search(yard, **given).code == code  # type: ignore[arg-type]
    assert search(yard, "", "up").code == "bad_order"


def test_memory_is_let_go_and_read_again(yard: RunYard) -> None:
    yard.runs._search._memory_bytes = 1
    some_runs(yard)
    for _ in range(2):
        assert ids(search(yard, "metrics.acc > 0.65 and tags.n = '7'", "metrics.acc", limit=3)) == ["r7"]
        assert ids(search(yard, "metrics.acc > 0.65", "tags.n DESC", limit=3)) == ["r8", "r7"]
