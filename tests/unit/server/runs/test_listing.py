from __future__ import annotations

from run_yard import RunYard, W


def ids(yard: RunYard, query: str) -> list[str]:
    return [run["id"] for run in yard.call("GET", f"{W}/runs?{query}")["items"]]


def some_runs(yard: RunYard) -> None:
    for number, given in enumerate(
        [
            {"tags": {"a": "1"}, "properties": {"p": "x=y"}},
            {"tags": {"a": "2", "b": ""}},
            {"experiment": "f", "type": "azureml.other"},
            {"parent_id": "r0"},
        ]
    ):
        yard.start(f"r{number}", **{"experiment": "e", **given})  # type: ignore[arg-type]
        yard.clock.advance(1)
    yard.report("r1", "Completed")


def test_runs_are_listed_newest_first(yard: RunYard) -> None:
    some_runs(yard)
    assert ids(yard, "") == ["r3", "r2", "r1", "r0"]


def test_every_filter_holds(yard: RunYard) -> None:
    some_runs(yard)
    assert ids(yard, "experiment=e") == ["r3", "r1", "r0"]
    assert ids(yard, "status=Completed&status=Failed") == ["r1"]
    assert ids(yard, "type=azureml.other") == ["r2"]
    assert ids(yard, "tag=a") == ["r1", "r0"]
    assert ids(yard, "tag=a%3D1") == ["r0"]
    assert ids(yard, "tag=a&tag=b%3D") == ["r1"]
    assert ids(yard, "property=p%3Dx%3Dy") == ["r0"]
    assert ids(yard, "parent=r0") == ["r3"]
    assert ids(yard, "root_only=true") == ["r2", "r1", "r0"]
    assert ids(yard, "experiment=e&tag=a&status=Running") == ["r0"]


def test_a_long_value_is_found_by_all_of_it(yard: RunYard) -> None:
    long = "x" * 1000
    yard.start("r", properties={"p": long})
    assert ids(yard, f"property=p%3D{long}") == ["r"]
    assert ids(yard, f"property=p%3D{long[:-1]}") == []


def test_pages_follow_each_other_without_gap_or_repetition(yard: RunYard) -> None:
    for number in range(7):
        yard.start(f"r{number}")  # all at the same moment
    seen, query = [], "limit=3"
    while True:
        page = yard.call("GET", f"{W}/runs?{query}")
        seen += [run["id"] for run in page["items"]]
        if page["next"] is None:
            break
        query = f"limit=3&after={page['next']}"
    assert sorted(seen) == [f"r{n}" for n in range(7)]


def test_a_filter_that_makes_no_sense_says_so(yard: RunYard) -> None:
    for query, code in (
        ("status=Done", "bad_status"), ("limit=0", "bad_limit"), ("after=x", "bad_cursor"),
        ("experiment=none", "no_such_experiment"), ("tag=%00", "bad_text"), ("colour=red", "unknown_query"),
    ):  # fmt: skip
        assert yard.call("GET", f"{W}/runs?{query}").code == code


def test_children_are_listed_by_level_or_all(yard: RunYard) -> None:
    yard.start("p")
    yard.start("c", parent_id="p")
    yard.start("g", parent_id="c")
    assert [r["id"] for r in yard.call("GET", f"{W}/runs/p/children")["items"]] == ["c"]
    assert [r["id"] for r in yard.call("GET", f"{W}/runs/p/children?recursive=true")["items"]] == ["c", "g"]


def test_an_experiment_is_created_once_and_found_by_name_or_id(yard: RunYard) -> None:
    one = yard.call("POST", f"{W}/experiments", {"name": "iris", "tags": {"a": "1"}})
    assert yard.call("POST", f"{W}/experiments", {"name": "iris"}) == one
    assert yard.call("GET", f"{W}/experiments/{one['id']}") == one
    assert yard.call("POST", f"{W}/experiments", {"name": ""}).code == "bad_experiment_name"


def test_an_archived_experiment_takes_no_runs_and_is_listed_apart(yard: RunYard) -> None:
    yard.call("POST", f"{W}/experiments", {"name": "iris"})
    yard.call("PATCH", f"{W}/experiments/iris", {"archived": True})
    assert yard.submit("r1", experiment="iris").code == "experiment_archived"
    views = {
        v: len(yard.call("GET", f"{W}/experiments?view={v}")["items"]) for v in ("active", "archived", "all")
    }
    assert views == {"active": 0, "archived": 1, "all": 1}
    yard.call(
        "PATCH", f"{W}/experiments/iris", {"archived": False, "name": "flowers", "set_tags": {"x": "1"}}
    )
    assert yard.submit("r1", experiment="flowers")["status"] == "Queued"
    assert [e["name"] for e in yard.call("GET", f"{W}/experiments?tag=x%3D1")["items"]] == ["flowers"]


def test_an_experiment_with_runs_is_deleted_only_by_force_and_when_they_are_over(yard: RunYard) -> None:
    yard.start("r1")
    assert yard.call("DELETE", f"{W}/experiments/e").code == "experiment_has_runs"
    assert yard.call("DELETE", f"{W}/experiments/e?force=true").code == "experiment_is_active"
    yard.report("r1", "Completed")
    assert yard.call("DELETE", f"{W}/experiments/e?force=true") is None
    assert yard.run("r1").code == "no_such_run"
