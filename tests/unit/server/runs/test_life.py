from __future__ import annotations

import threading

import pytest
from run_yard import SPEC, Refused, RunYard, W


def code(answer: object) -> str:
    assert isinstance(answer, Refused), answer
    assert answer.detail.endswith((".", ":", ")"))
    return answer.code


def test_a_submitted_run_waits_in_the_queue(yard: RunYard) -> None:
    run = yard.submit("r1")
    assert (run["status"], run["number"], run["experiment"]) == ("Queued", 1, "e")
    assert run["spec"]["target"] == "local"


def test_the_same_request_again_answers_the_same_run(yard: RunYard) -> None:
    assert yard.submit("r1") == yard.submit("r1")
    assert yard.call("GET", f"{W}/experiments/e")["run_count"] == 1


def test_another_request_under_a_taken_id_is_refused(yard: RunYard) -> None:
    yard.submit("r1")
    assert code(yard.submit("r1", tags={"a": "b"})) == "run_id_taken"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"run_id": "a/b"}, "bad_run_id"),
        ({"run_id": "a\0b"}, "bad_run_id"),
        ({"experiment": "a\0b"}, "bad_experiment_name"),
        ({"spec": {}}, "bad_spec"),
        ({"spec": {"script": "a.py", "command": ["a"]}}, "bad_spec"),
        ({"spec": {**SPEC, "target": "gpu"}}, "no_such_compute"),
        ({"spec": {**SPEC, "max_duration_s": 0}}, "bad_spec"),
        ({"spec": {**SPEC, "node_count": 4}}, "bad_spec"),
        ({"spec": {**SPEC, "variables": {"A=B": "1"}}}, "bad_spec"),
        ({"spec": {**SPEC, "snapshot_id": "f" * 64}}, "no_such_snapshot"),
        ({"parent_id": "nobody"}, "no_such_run"),
        ({"tags": {"": "x"}}, "bad_label"),
        ({"tags": {"k": "v" * 20_001}}, "too_long"),
        ({"tags": {str(n): "" for n in range(1001)}}, "too_many"),
    ],
)
def test_what_can_t_run_is_refused_and_leaves_nothing(
    yard: RunYard, given: dict[str, object], expected: str
) -> None:
    body = {"run_id": "r1", "experiment": "e", "spec": SPEC, **given}
    assert code(yard.call("POST", f"{W}/runs", body)) == expected
    assert yard.call("GET", f"{W}/runs")["items"] == []
    assert yard.call("GET", f"{W}/experiments")["items"] == []


def test_a_run_s_script_must_be_in_its_snapshot(yard: RunYard) -> None:
    entry = yard.keep("train.py", b"print(1)")
    snapshot = yard.call("POST", f"{W}/snapshots", {"entries": [entry.__dict__]})["id"]
    spec = {"script": "tarin.py", "snapshot_id": snapshot}
    refused = yard.call("POST", f"{W}/runs", {"run_id": "r1", "experiment": "e", "spec": spec})
    assert code(refused) == "no_such_file"
    assert "tarin.py" in refused.detail
    assert yard.submit("r2", spec={**spec, "script": "train.py"})["snapshot_id"] == snapshot


def test_a_run_goes_from_the_queue_to_its_end(yard: RunYard) -> None:
    token = yard.placed("r1", "Finalizing")
    done = yard.report("r1", "Completed", token, exit_code=0, warnings=["w"])
    assert (done["status"], done["exit_code"], done["warnings"], done["node"]) == (
        "Completed",
        0,
        ["w"],
        "local",
    )
    assert done["started_at"] is not None
    assert done["ended_at"] >= done["started_at"]


def test_times_are_those_that_the_run_host_tells(yard: RunYard) -> None:
    token = yard.placed("r1", "Starting")
    at = yard.clock.now() - 5
    assert yard.report("r1", "Running", token, at=at)["started_at"] == at
    assert yard.report("r1", "Failed", token, at=at + 3)["ended_at"] == at + 3


def test_what_a_report_tells_is_kept(yard: RunYard) -> None:
    token = yard.placed("r1", "Starting")
    error = {"code": "UserError", "message": "boom", "line": "train.py:3: ValueError: boom", "traceback": "…"}
    told = {"machine": {"cores": 2}, "environment_hash": "abc", "environment_lock": ["numpy==2.0"]}
    yard.report("r1", "Running", token, **told)
    run = yard.report("r1", "Failed", token, error=error, exit_code=1)
    assert {k: run[k] for k in told} == told
    assert run["error"] == error


def test_the_same_report_twice_is_fine_and_another_end_is_not(yard: RunYard) -> None:
    token = yard.placed("r1")
    assert yard.report("r1", "Running", token)["status"] == "Running"
    first = yard.report("r1", "Failed", token, exit_code=1)
    assert yard.report("r1", "Failed", token, exit_code=1) == first
    assert code(yard.report("r1", "Completed", token)) == "run_is_final"
    assert code(yard.report("r1", "Failed", token, exit_code=2)) == "run_is_final"


def test_a_status_that_may_not_follow_is_refused(yard: RunYard) -> None:
    token = yard.placed("r1", "Preparing")
    refused = yard.report("r1", "Completed", token)
    assert (refused.status, refused.code) == (409, "run_transition_refused")
    assert code(yard.report("r1", "Queued", token)) == "status_not_reportable"


def test_an_old_status_told_again_changes_nothing(yard: RunYard) -> None:
    token = yard.placed("r1")
    assert yard.report("r1", "Starting", token)["status"] == "Running"


def test_a_run_s_token_dies_ten_minutes_after_its_end(yard: RunYard) -> None:
    token = yard.placed("r1")
    yard.report("r1", "Completed", token)
    yard.clock.advance(599)
    assert yard.journal("r1", b'{"k":"m","n":"late","v":1,"t":0}\n', token=token)["offset"] == 33
    yard.clock.advance(2)
    assert code(yard.call("GET", f"{W}/runs/r1", token=token)) == "unknown_token"


def test_an_interactive_run_is_run_by_its_own_process(yard: RunYard) -> None:
    assert yard.start("r1")["status"] == "Running"
    assert yard.report("r1", "Completed")["status"] == "Completed"


def test_a_child_left_open_ends_with_its_parent(yard: RunYard) -> None:
    yard.start("p")
    yard.start("c", parent_id="p")
    yard.call("POST", f"{W}/runs/p/children", {"run_ids": ["n"]})
    yard.submit("s", parent_id="p")
    yard.report("p", "Failed")
    assert [yard.run(r)["status"] for r in ("c", "n", "s")] == ["Failed", "Canceled", "Queued"]


def test_a_run_over_can_have_no_new_children(yard: RunYard) -> None:
    yard.start("p")
    yard.report("p", "Completed")
    assert code(yard.start("c", parent_id="p")) == "run_is_final"


def test_children_are_created_many_at_once(yard: RunYard) -> None:
    yard.start("p")
    body = {"run_ids": ["c0", "c1"], "tag_key": "part", "tag_values": ["a", "b"]}
    made = yard.call("POST", f"{W}/runs/p/children", body)["items"]
    assert [(c["id"], c["tags"], c["status"], c["number"]) for c in made] == [
        ("c0", {"part": "a"}, "NotStarted", 2), ("c1", {"part": "b"}, "NotStarted", 3),
    ]  # fmt: skip
    assert yard.call("POST", f"{W}/runs/p/children", body)["items"] == made
    assert yard.run("p")["child_count"] == 2
    assert (
        code(yard.call("POST", f"{W}/runs/p/children", {"run_ids": ["x"], "tag_key": "k"})) == "bad_children"
    )


def test_cancelling_a_queued_run_ends_it_at_once(yard: RunYard) -> None:
    yard.submit("r1")
    assert yard.call("POST", f"{W}/runs/r1/cancel")["status"] == "Canceled"


def test_cancelling_a_running_run_asks_its_run_host(yard: RunYard) -> None:
    token = yard.placed("r1")
    assert yard.call("POST", f"{W}/runs/r1/cancel")["status"] == "CancelRequested"
    beat = yard.call("POST", f"{W}/runs/r1/heartbeat", {"pid": 1}, token=token)
    assert beat == {"cancel_requested": True, "status": "CancelRequested"}
    assert yard.report("r1", "Running", token)["status"] == "CancelRequested"
    assert yard.report("r1", "Finalizing", token)["status"] == "Finalizing"
    assert yard.report("r1", "Canceled", token)["status"] == "Canceled"


def test_cancelling_a_finished_run_is_refused(yard: RunYard) -> None:
    yard.start("r1")
    yard.report("r1", "Completed")
    assert code(yard.call("POST", f"{W}/runs/r1/cancel")) == "run_is_final"


def test_cancelling_a_run_cancels_what_is_below_it(yard: RunYard) -> None:
    yard.start("p")
    yard.start("c", parent_id="p")
    yard.start("g", parent_id="c")
    yard.submit("s", parent_id="p")
    yard.call("POST", f"{W}/runs/p/cancel")
    assert {yard.run(r)["status"] for r in "pcgs"} == {"Canceled"}


def test_a_property_is_written_once(yard: RunYard) -> None:
    yard.start("r1", properties={"a": "1"})
    assert yard.call("PATCH", f"{W}/runs/r1", {"add_properties": {"a": "1", "b": "2"}})["properties"] == {
        "a": "1", "b": "2",
    }  # fmt: skip
    refused = yard.call("PATCH", f"{W}/runs/r1", {"add_properties": {"a": "other"}, "set_tags": {"t": "1"}})
    assert (refused.status, code(refused)) == (409, "property_is_immutable")
    assert yard.run("r1")["tags"] == {}


def test_tags_are_set_changed_and_removed(yard: RunYard) -> None:
    yard.start("r1", tags={"a": "1", "b": "2"})
    changed = yard.call("PATCH", f"{W}/runs/r1", {"set_tags": {"a": "3"}, "remove_tags": ["b", "none"]})
    assert changed["tags"] == {"a": "3"}


def test_a_run_is_deleted_with_those_below_it_once_they_are_over(yard: RunYard) -> None:
    yard.start("p")
    yard.start("c", parent_id="p")
    yard.journal("c", b'{"k":"m","n":"a","v":1,"t":0}\n')
    assert code(yard.call("DELETE", f"{W}/runs/p")) == "run_is_active"
    yard.report("p", "Completed")
    assert yard.call("DELETE", f"{W}/runs/p") is None
    assert code(yard.run("c")) == "no_such_run"
    assert yard.call("GET", f"{W}/experiments/e")["run_count"] == 0


def test_waiting_for_a_run_ends_when_it_changes(yard: RunYard) -> None:
    run = yard.start("r1")
    answers: list[dict[str, object]] = []
    waiting = threading.Thread(
        target=lambda: answers.append(
            yard.call("GET", f"{W}/runs/r1?wait_version={run['version']}&wait_s=30")
        )
    )
    waiting.start()
    yard.call("PATCH", f"{W}/runs/r1", {"set_tags": {"a": "1"}})
    waiting.join(timeout=20)
    assert answers[0]["tags"] == {"a": "1"}


def test_waiting_for_a_run_that_does_not_change_answers_it_as_it_is(yard: RunYard) -> None:
    run = yard.start("r1")
    assert yard.call("GET", f"{W}/runs/r1?wait_version={run['version']}&wait_s=0.01") == run


def test_a_run_is_run_again_from_its_record(yard: RunYard) -> None:
    environment = {"name": "x", "python": {"requirements": ["numpy"], "python_version": "3.11"}}
    spec = {"command": ["a"], "arguments": ["--x", "1"], "environment": environment}
    yard.submit("r1", spec=spec, tags={"t": "1"}, properties={"p": "1"})
    token = yard.poll()["starts"][0]["token"]
    yard.report("r1", "Starting", token)
    yard.report("r1", "Running", token, environment_hash="h", environment_lock=["numpy==2.1.0"])
    again = yard.call("POST", f"{W}/runs/r1/rerun")
    assert again["status"] == "Queued"
    assert again["spec"]["arguments"] == ["--x", "1"]
    assert again["spec"]["environment"]["python"]["requirements"] == ["numpy==2.1.0"]
    assert again["tags"] == {"t": "1"}
    assert again["properties"] == {"p": "1", "modelyard.rerun_of": "r1"}


def test_an_interactive_run_can_t_be_run_again(yard: RunYard) -> None:
    yard.start("r1")
    assert code(yard.call("POST", f"{W}/runs/r1/rerun")) == "run_is_interactive"


def test_a_run_touches_itself_and_what_is_below_it(yard: RunYard) -> None:
    token = yard.placed("r1")
    yard.start("other")
    child = {"run_id": "c", "experiment": "e", "parent_id": "r1", "started": True}
    assert yard.call("POST", f"{W}/runs", child, token=token)["root_id"] == "r1"
    assert yard.call("GET", f"{W}/runs/c", token=token)["id"] == "c"
    assert code(yard.call("GET", f"{W}/runs/other", token=token)) == "other_run"
    assert (
        code(yard.call("POST", f"{W}/runs", {"run_id": "x", "experiment": "e"}, token=token)) == "other_run"
    )
    assert (
        code(yard.call("POST", f"{W}/runs", {**child, "run_id": "x", "parent_id": "other"}, token=token))
        == "other_run"
    )
    assert [run["id"] for run in yard.call("GET", f"{W}/runs", token=token)["items"]] == ["c", "r1"]
    assert [r["id"] for r in yard.call("GET", f"{W}/runs?parent=r1", token=token)["items"]] == ["c"]
