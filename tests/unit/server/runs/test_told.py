"""Runs that were kept offline, told of afterwards."""

from __future__ import annotations

import json
from typing import Any

from run_yard import Refused, RunYard, W

BEGAN = 1_500_000_000.0


def line(run_id: str, at: float, **what: Any) -> bytes:
    return json.dumps({"at": BEGAN + at, "run_id": run_id, **what}).encode() + b"\n"


def create(run_id: str, at: float = 0.0, experiment: str = "far", **given: Any) -> bytes:
    body = {"run_id": run_id, "experiment": experiment, "started": True, **given}
    return line(run_id, at, create=body)


STORY = (
    create("r", tags={"a": "1"})
    + line("r", 1, update={"set_tags": {"b": "2"}, "add_properties": {"p": "x"}})
    + create("c", 2, experiment="", parent_id="r")
    + line("c", 3, status={"status": "Completed"})
    + line("r", 9, status={"status": "Failed", "error": {"code": "UserError", "message": "no"}})
)


def tell(
    yard: RunYard, story: bytes, offset: int = 0, run_id: str = "r", source: str = "s", **query: str
) -> Any:
    more = "".join(f"&{k}={v}" for k, v in query.items())
    return yard.call("POST", f"{W}/runs/{run_id}/told?source={source}&offset={offset}{more}", content=story)


def test_a_told_run_has_the_times_of_its_teller_and_says_since_when_it_is_here(yard: RunYard) -> None:
    assert tell(yard, STORY) == {"offset": len(STORY), "passed_over": []}
    run, child = yard.run("r"), yard.run("c")
    assert (run["created_at"], run["started_at"], run["ended_at"]) == (BEGAN, BEGAN, BEGAN + 9)
    assert (run["status"], run["error"]["message"]) == ("Failed", "no")
    assert (run["tags"], run["properties"]) == ({"a": "1", "b": "2"}, {"p": "x"})
    assert run["synced_at"] == yard.clock.now()
    assert (child["parent_id"], child["status"], child["ended_at"]) == ("r", "Completed", BEGAN + 3)
    assert run["experiment"] == child["experiment"] == "far"


def test_a_story_told_in_any_pieces_and_again_counts_once(yard: RunYard) -> None:
    ends = [i + 1 for i, byte in enumerate(STORY) if byte == 10]
    begin = 0
    for end in ends:
        tell(yard, STORY[begin:end], begin)
        tell(yard, STORY[:end])  # from the beginning once more
        begin = end
    yard.call("PATCH", f"{W}/runs/r", {"set_tags": {"a": "changed here"}})
    assert tell(yard, STORY)["offset"] == len(STORY)
    assert yard.run("r")["tags"]["a"] == "changed here"
    assert yard.run("r")["number"] == 1


def test_a_gap_is_refused_and_says_where_to_go_on(yard: RunYard) -> None:
    first = STORY.index(b"\n") + 1
    refused = tell(yard, STORY[first:], first)
    assert (refused.code, refused.extra) == ("stream_gap", {"offset": 0})


def test_an_id_that_another_run_has_is_refused(yard: RunYard) -> None:
    yard.start("r")
    assert tell(yard, STORY).code == "run_id_taken"
    assert yard.run("r")["synced_at"] is None
    tell(yard, create("q"), run_id="q", source="one")
    assert tell(yard, create("q"), run_id="q", source="other").code == "run_id_taken"


def test_what_no_run_can_keep_is_told_and_costs_none_of_the_rest(yard: RunYard) -> None:
    story = (
        create("r")
        + line("r", 1, update={"set_tags": {"long": "x" * 21_000}})
        + line("other", 1, update={"set_tags": {"a": "b"}})
        + b'{"at": 1, "run_id": "r", "upd\n'
        + line("r", 2, files={"entries": [{"path": "outputs/m", "hash": "0" * 64, "size": 3}]})
        + line("r", 3, update={"set_tags": {"kept": "yes"}})
    )
    passed_over = tell(yard, story)["passed_over"]
    assert len(passed_over) == 3
    assert yard.run("r")["tags"] == {"kept": "yes"}
    assert yard.run("r")["warnings"] == passed_over


def test_a_told_run_needs_no_signs_of_life(yard: RunYard) -> None:
    tell(yard, create("r") + line("r", 1, status={"status": "Running"}))
    yard.clock.advance(10_000)
    yard.lost_runs()
    assert yard.run("r")["status"] == "Running"


def test_children_left_open_end_when_the_story_says_their_parent_did(yard: RunYard) -> None:
    tell(yard, create("r") + create("c", 1, parent_id="r") + line("r", 5, status={"status": "Completed"}))
    child = yard.run("c")
    assert (child["status"], child["ended_at"]) == ("Completed", BEGAN + 5)


def test_only_a_contributor_tells_and_never_a_run(yard: RunYard) -> None:
    token = yard.placed("x")
    path = f"{W}/runs/r/told?source=s&offset=0"
    refused = yard.call("POST", path, content=STORY, token=token)
    assert isinstance(refused, Refused)
    assert refused.status == 403


def test_times_that_are_none_and_stories_without_a_beginning_are_refused(yard: RunYard) -> None:
    far = (
        json.dumps({"at": 1e300, "run_id": "r", "create": {"run_id": "r", "experiment": "e"}}).encode()
        + b"\n"
    )
    assert tell(yard, far).code == "bad_time"
    assert tell(yard, line("r", 0, update={})).code == "bad_story"
    assert tell(yard, STORY[:-1]).code == "story_not_whole_lines"
    assert tell(yard, create("r"), experiment="elsewhere")["offset"] > 0
    assert yard.run("r")["experiment"] == "elsewhere"
