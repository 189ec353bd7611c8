"""Old runs go by rules, but never what is kept, stood upon, or too new."""

from __future__ import annotations

from typing import Any

import pytest
from whole_yard import W, WholeYard

DAY = 86_400


def put(yard: WholeYard, name: str, **rule: Any) -> Any:
    return yard.call("PUT", f"{W}/retention/rules/{name}", {"name": name, **rule})


def preview(yard: WholeYard, *names: str) -> dict[str, list[str]]:
    found = yard.call("POST", f"{W}/retention/preview", {"names": list(names)})["items"]
    return {f["rule"]: f["runs"] for f in found}


def apply(yard: WholeYard, *names: str) -> Any:
    receipts = yard.call("POST", f"{W}/retention/apply", {"names": list(names)})["items"]
    yard.clock.advance(1)
    yard.round()
    return [yard.call("GET", f"{W}/receipts/{r['id']}") for r in receipts]


def test_runs_go_into_the_trash_but_for_the_new_the_last_the_kept_and_what_models_came_from(
    yard: WholeYard,
) -> None:
    model = yard.keep(b"model", "outputs/m.txt")
    for n in range(8):
        yard.run(f"r{n}", *([model] if n == 1 else []), tags={"keep": ""} if n == 2 else {})
        yard.clock.advance(DAY)
    yard.run("other", experiment="other")
    yard.call("POST", f"{W}/models", {"name": "m", "run_id": "r1", "run_path": "outputs", "request_id": "1"})
    yard.clock.advance(10)
    put(yard, "old", keep_days=3, keep_last=2)
    assert preview(yard) == {"old": ["r0", "r3", "r4", "r5"]}
    put(yard, "last", experiment="e", keep_last=6)
    assert preview(yard, "last") == {"last": ["r0"]}
    (receipt,) = apply(yard, "old")
    assert (receipt["kind"], receipt["runs"]) == ("retention", 4)
    assert yard.ids() == {"r1", "r2", "r6", "r7", "other"}
    assert yard.ids("?view=trash") == {"r0", "r3", "r4", "r5"}
    assert apply(yard, "old") == []
    yard.call("POST", f"{W}/trash/restore", {"id": "r0"})
    yard.call("PATCH", f"{W}/runs/r0", {"set_tags": {"keep": "yes"}})
    assert preview(yard, "old") == {"old": []}


def test_outputs_logs_and_snapshots_go_for_good_and_the_run_stays(yard: WholeYard) -> None:
    output, log = yard.keep(b"o" * 1000, "outputs/a.bin"), yard.keep(b"l" * 10, "user_logs/std.txt")
    source = yard.keep(b"source", "train.py")
    snapshot = yard.call("POST", f"{W}/snapshots", {"entries": [source]})["id"]
    yard.run("r1", output, log, snapshot_id=snapshot)
    yard.clock.advance(DAY)
    put(yard, "outputs", what="outputs", keep_days=0.5)
    (receipt,) = apply(yard)
    assert (receipt["runs"], receipt["files"], receipt["freed_bytes"]) == (0, 1, 1000)
    assert [f["path"] for f in yard.call("GET", f"{W}/runs/r1/files")["items"]] == ["user_logs/std.txt"]
    put(yard, "logs", what="logs", keep_days=0.5)
    put(yard, "snapshots", what="snapshots", keep_days=0.5)
    assert [r["freed_bytes"] for r in apply(yard)] == [10, 6]
    assert yard.call("GET", f"{W}/runs/r1")["snapshot_id"] is None
    assert apply(yard) == []
    assert not any(yard.holds(file) for file in (output, log, source))


def test_a_rule_can_ask_what_a_search_can(yard: WholeYard) -> None:
    for n in range(3):
        yard.run(f"r{n}", tags={"team": "a" if n else "b"})
    yard.clock.advance(DAY)
    put(yard, "mine", keep_days=0.5, filter="tags.team = 'a' and metrics.a >= 1")
    assert preview(yard) == {"mine": ["r1", "r2"]}


def test_a_child_that_is_kept_keeps_its_parent(yard: WholeYard) -> None:
    yard.call("POST", f"{W}/runs", {"run_id": "p", "experiment": "e", "started": True})
    yard.run("c", experiment="", parent_id="p", tags={"keep": ""})
    yard.call("POST", f"{W}/runs/p/status", {"status": "Completed"})
    yard.clock.advance(DAY)
    put(yard, "old", keep_days=0.5)
    assert preview(yard) == {"old": []}


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({}, "would keep nothing"),
        ({"keep_days": 1, "what": "dogs"}, "runs, outputs, logs, snapshots"),
        ({"keep_days": -1}, "0 or more"),
        ({"keep_days": 1, "filter": "tags."}, "filter"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(yard: WholeYard, rule: dict[str, Any], words: str) -> None:
    refused = put(yard, "r", **rule)
    assert words in refused["detail"]


def test_rules_are_listed_and_removed(yard: WholeYard) -> None:
    put(yard, "b", keep_days=1)
    put(yard, "a", keep_last=1)
    assert [r["name"] for r in yard.call("GET", f"{W}/retention")["items"]] == ["a", "b"]
    yard.call("DELETE", f"{W}/retention/rules/a")
    assert "There are: 'b'" in yard.call("DELETE", f"{W}/retention/rules/a")["detail"]
