"""One record, two faces: what MLflow's clients log is the yard's own, and the other way round."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

A = "api/2.0/mlflow/"


def begin(face: Any, experiment_id: str = "0", **given: Any) -> str:
    body = {"experiment_id": experiment_id, **given}
    return str(face.ok("POST", "runs/create", body)["run"]["info"]["run_id"])


def tags_of(face: Any, run_id: str) -> dict[str, str]:
    data = face.ok("GET", "runs/get", run_id=run_id)["run"]["data"]
    return {tag["key"]: tag["value"] for tag in data.get("tags", [])}


def test_a_run_of_mlflow_is_a_run_of_the_yard(face: Any) -> None:
    run_id = begin(face, run_name="first", tags=[{"key": "mlflow.note.content", "value": "why"}])
    face.ok("POST", "runs/log-parameter", {"run_id": run_id, "key": "lr", "value": "0.1"})
    face.ok("POST", "runs/set-tag", {"run_id": run_id, "key": "team", "value": "a"})
    face.ok(
        "POST", "runs/log-metric", {"run_id": run_id, "key": "acc", "value": 0.9, "timestamp": 5, "step": 2}
    )
    own = face.own("GET", f"runs/{run_id}")
    assert (own["display_name"], own["description"], own["status"]) == ("first", "why", "Running")
    assert (own["experiment"], own["params"], own["tags"]) == ("Default", {"lr": "0.1"}, {"team": "a"})
    assert face.own("GET", f"runs/{run_id}/metrics")["runs"][0]["metrics"][0]["value"] == 0.9


def test_a_run_of_the_yard_is_a_run_of_mlflow(face: Any) -> None:
    face.run("mine")
    face.own(
        "PATCH", "runs/mine", {"set_tags": {"a": "b"}, "add_params": {"p": "1"}, "display_name": "shown"}
    )
    face.own(
        "POST",
        "runs/mine/metrics",
        {"series": [{"name": "loss", "values": [3, 2, 1], "times_ms": [1, 2, 3]}]},
    )
    run = face.ok("GET", "runs/get", run_id="mine")["run"]
    assert run["info"]["run_name"] == "shown"
    assert run["data"]["params"] == [{"key": "p", "value": "1"}]
    assert tags_of(face, "mine")["a"] == "b"
    # Without steps, points are numbered as they came.
    assert run["data"]["metrics"] == [{"key": "loss", "value": 1.0, "timestamp": 3, "step": 2}]
    history = face.ok("GET", "metrics/get-history", run_id="mine", metric_key="loss")["metrics"]
    assert [(m["step"], m["value"]) for m in history] == [(0, 3.0), (1, 2.0), (2, 1.0)]


def test_what_was_not_logged_as_a_number_is_no_metric_of_mlflow(face: Any) -> None:
    face.run("mine")
    journal = b'{"k":"m","n":"word","t":1,"v":"text"}\n'
    headers = {"content-type": "application/x-ndjson"}
    url = f"{face.url}/api/v1/workspaces/{face.workspace}/runs/mine/journal?source=s&offset=0"
    assert face.call("POST", url, content=journal, headers=headers).status == 200
    assert "metrics" not in face.ok("GET", "runs/get", run_id="mine")["run"]["data"]
    assert face.ok("GET", "metrics/get-history", run_id="mine", metric_key="word") == {}


def test_the_parent_tag_makes_a_child_run(face: Any) -> None:
    parent = begin(face)
    child = begin(face, tags=[{"key": "mlflow.parentRunId", "value": parent}])
    assert face.own("GET", f"runs/{child}")["parent_id"] == parent
    assert tags_of(face, child)["mlflow.parentRunId"] == parent
    lone = begin(face, tags=[{"key": "mlflow.parentRunId", "value": "of another server"}])
    assert face.own("GET", f"runs/{lone}")["parent_id"] is None
    assert tags_of(face, lone)["mlflow.parentRunId"] == "of another server"


def test_a_run_goes_on_after_its_end_and_is_deleted_while_it_runs(face: Any) -> None:
    run_id = begin(face)
    for status, ours in (
        ("FINISHED", "Completed"),
        ("RUNNING", "Running"),
        ("FAILED", "Failed"),
        ("KILLED", "Canceled"),
    ):
        face.ok("POST", "runs/update", {"run_id": run_id, "status": status})
        assert face.own("GET", f"runs/{run_id}")["status"] == ours
    face.ok("POST", "runs/update", {"run_id": run_id, "status": "RUNNING"})
    face.ok("POST", "runs/delete", {"run_id": run_id})
    assert face.ok("GET", "runs/get", run_id=run_id)["run"]["info"]["lifecycle_stage"] == "deleted"
    refused = face.call(
        "POST", f"{A}runs/log-metric", {"run_id": run_id, "key": "m", "value": 1, "timestamp": 1}
    )
    assert refused.code == "INVALID_PARAMETER_VALUE"
    face.ok("POST", "runs/restore", {"run_id": run_id})
    assert face.own("GET", f"runs/{run_id}")["status"] == "Running"


def test_a_submitted_run_shows_its_source_and_is_ended_by_its_run_host_alone(face: Any) -> None:
    spec = {"command": ["python", "train.py"]}
    properties = {"mlflow.source.git.commit": "abc"}
    face.own("POST", "runs", {"run_id": "sent", "experiment": "e", "spec": spec, "properties": properties})
    face.ok("POST", "runs/update", {"run_id": "sent", "status": "FINISHED", "end_time": 5})
    assert face.own("GET", "runs/sent")["status"] == "Queued"
    assert face.ok("GET", "runs/get", run_id="sent")["run"]["info"]["status"] == "SCHEDULED"
    tags = tags_of(face, "sent")
    assert (tags["mlflow.source.name"], tags["mlflow.source.type"]) == ("python train.py", "JOB")
    assert tags["mlflow.source.git.commit"] == "abc"
    assert face.call("POST", f"{A}runs/delete", {"run_id": "sent"}).status == 400


def test_a_run_s_token_opens_itself_and_what_is_below_it(face: Any, run_face: Callable[[str], Any]) -> None:
    root = face.run("mine")
    face.run("other")
    mine = run_face("mine")
    experiment_id = root.partition("/")[0]
    child = begin(mine, experiment_id)
    assert face.own("GET", f"runs/{child}")["parent_id"] == "mine"
    for run_id in ("mine", child):
        mine.ok("POST", "runs/log-metric", {"run_id": run_id, "key": "m", "value": 1, "timestamp": 1})
        mine.ok("POST", "runs/log-batch", {"run_id": run_id, "tags": [{"key": "a", "value": "b"}]})
        assert mine.ok("GET", "runs/get", run_id=run_id)
    found = mine.ok("POST", "runs/search", {"experiment_ids": [experiment_id]})["runs"]
    assert {one["info"]["run_id"] for one in found} == {"mine", child}
    stolen = {"run_id": "other", "key": "m", "value": 1, "timestamp": 1}
    tag = {"key": "mlflow.parentRunId", "value": "other"}
    for method, path, body, query in (
        ("POST", "runs/log-metric", stolen, {}),
        ("POST", "runs/log-batch", {"run_id": "other"}, {}),
        ("POST", "runs/set-tag", {"run_id": "other", "key": "a"}, {}),
        ("POST", "runs/log-inputs", {"run_id": "other"}, {}),
        ("POST", "runs/update", {"run_id": "other", "status": "KILLED"}, {}),
        ("POST", "runs/delete", {"run_id": "other"}, {}),
        ("POST", "runs/create", {"experiment_id": experiment_id, "tags": [tag]}, {}),
        ("POST", "logged-models", {"experiment_id": experiment_id, "source_run_id": "other"}, {}),
        ("POST", "logged-models", {"experiment_id": experiment_id}, {}),
        ("POST", "experiments/create", {"name": "x"}, {}),
        ("GET", "runs/get", None, {"run_id": "other"}),
        ("GET", "metrics/get-history", None, {"run_id": "other", "metric_key": "m"}),
        ("GET", "metrics/get-history-bulk", None, {"run_id": ["mine", "other"], "metric_key": "m"}),
    ):
        refused = mine.call(method, A + path, body, **query)
        assert (refused.status, refused.code) == (403, "PERMISSION_DENIED"), (path, refused.content)
    assert mine.ok("GET", "experiments/get", experiment_id=experiment_id)


def test_the_token_comes_as_bearer_or_as_a_password(face: Any) -> None:
    stranger = dataclasses.replace(face, token="wrong")
    assert stranger.call("GET", f"{A}experiments/get", experiment_id="0").code == "UNAUTHENTICATED"
    basic = base64.b64encode(f"anybody:{face.token}".encode()).decode()
    headers = {"authorization": f"Basic {basic}"}
    assert face.call("GET", f"{A}experiments/get", headers=headers, experiment_id="0").status == 200
    assert face.call("GET", f"{A}experiments/get", headers={"authorization": "Basic ?"}).status == 401


def test_what_the_yard_does_not_speak_is_said_in_mlflow_s_words(face: Any) -> None:
    answer = face.call("POST", "api/3.0/mlflow/gateway/secrets/create", {})
    assert (answer.status, answer.code) == (404, "ENDPOINT_NOT_FOUND")
    assert face.call("POST", "v1/traces", content=b"x").code == "NOT_IMPLEMENTED"
    assert face.call("GET", "version").content == b"3.17.2"
    assert face.call("GET", "health").content == b"OK"


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "..", "a\nb", "x" * 500, "Ünï %2e%2e"])
def test_an_experiment_s_name_is_never_more_than_a_name(face: Any, name: str) -> None:
    made = face.ok("POST", "experiments/create", {"name": name})["experiment_id"]
    assert (
        face.ok("GET", "experiments/get-by-name", experiment_name=name)["experiment"]["experiment_id"] == made
    )
    run_id = begin(face, made)
    assert set(run_id) <= set("0123456789abcdef")
    assert face.own("GET", f"experiments/{made}")["name"] == name
    assert face.own("GET", f"runs/{run_id}")["experiment"] == name


def test_numbers_beyond_64_bits_and_bodies_that_are_no_messages_are_refused(face: Any) -> None:
    run_id = begin(face)
    big = 2**63
    for path, body in (
        ("runs/create", {"experiment_id": "0", "start_time": big}),
        ("runs/update", {"run_id": run_id, "end_time": big}),
        ("runs/log-metric", {"run_id": run_id, "key": "m", "value": 1, "timestamp": big}),
        ("runs/log-metric", {"run_id": run_id, "key": "m", "value": 1, "timestamp": 1, "step": -big - 1}),
        ("runs/log-metric", [1]),
        ("runs/log-batch", {"run_id": run_id, "metrics": [5]}),
        ("runs/search", {"experiment_ids": [{}]}),
    ):
        assert face.call("POST", A + path, body).code == "INVALID_PARAMETER_VALUE", (path, body)
    wrong = face.call("POST", f"{A}runs/create", content=b"a=b", headers={"content-type": "text/plain"})
    assert wrong.code == "BAD_REQUEST"


def test_a_bare_nan_in_json_is_taken_as_python_writes_it(face: Any) -> None:
    run_id = begin(face)
    body = f'{{"run_id": "{run_id}", "key": "m", "value": NaN, "timestamp": 1}}'.encode()
    headers = {"content-type": "application/json"}
    assert face.call("POST", f"{A}runs/log-metric", content=body, headers=headers).status == 200
    data = face.ok("GET", "runs/get", run_id=run_id)["run"]["data"]
    assert data["metrics"][0]["value"] == "NaN"


def test_pages_of_runs_and_of_a_history_hold_everything_once(face: Any) -> None:
    runs = {begin(face) for _ in range(5)}
    run_id = min(runs)
    points = [{"key": "m", "value": i, "timestamp": 100 - i, "step": i} for i in range(7)]
    face.ok("POST", "runs/log-batch", {"run_id": run_id, "metrics": points})
    seen: list[str] = []
    token = ""
    while token or not seen:
        body = {"experiment_ids": ["0"], "max_results": 2, "page_token": token}
        page = face.ok("POST", "runs/search", body)
        seen += [one["info"]["run_id"] for one in page["runs"]]
        token = page.get("next_page_token", "")
    assert sorted(seen) == sorted(runs)
    steps: list[int] = []
    token = ""
    while token or not steps:
        page = face.ok(
            "GET", "metrics/get-history", run_id=run_id, metric_key="m", max_results=3, page_token=token
        )
        steps += [one["step"] for one in page["metrics"]]
        token = page.get("next_page_token", "")
    assert steps == [6, 5, 4, 3, 2, 1, 0]
