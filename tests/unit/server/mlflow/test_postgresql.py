"""MLflow's face over PostgreSQL: what its clients do to a run, once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from whole_yard import emptied

from modelyard.server.mlflow.experiments import DEFAULT_ID


@pytest.mark.service("postgresql")
def test_everything_of_a_run_is_kept_and_found(
    start_server: Callable[..., Any], service: Callable[[str], str], face_of: Callable[[str], Any]
) -> None:
    face = face_of(start_server(database=emptied(service("postgresql"))).url)
    made = face.ok("POST", "runs/create", {"experiment_id": DEFAULT_ID, "run_name": "first"})["run"]["info"]
    run = {"run_id": made["run_id"]}
    metrics = [
        {"key": "acc", "value": v, "timestamp": i, "step": i} for i, v in enumerate([0.5, "NaN", "Infinity"])
    ]
    batch = {"metrics": metrics, "params": [{"key": "p", "value": "1"}], "tags": [{"key": "t", "value": "v"}]}
    face.ok("POST", "runs/log-batch", {**run, **batch})
    face.ok("POST", "runs/log-metric", {**run, "key": "acc", "value": 0.9, "timestamp": 9, "step": 9})
    dataset = {"name": "iris", "digest": "d", "source_type": "local", "source": "{}"}
    face.ok("POST", "runs/log-inputs", {**run, "datasets": [{"dataset": dataset}]})
    body = {"experiment_id": DEFAULT_ID, "name": "m", "source_run_id": made["run_id"]}
    model = face.ok("POST", "logged-models", body)["model"]["info"]["model_id"]
    one = {"key": "acc", "value": 0.9, "timestamp": 9, "step": 9, "model_id": model}
    face.ok("POST", "runs/log-metric", {**run, **one})
    face.ok("POST", "runs/log-metric", {**run, **one})
    face.ok("POST", "runs/outputs", {**run, "models": [{"model_id": model}]})
    for status in ("FINISHED", "RUNNING", "KILLED"):
        face.ok("POST", "runs/update", {**run, "status": status})
    wanted = (
        "metrics.acc > 0.8 and params.p = '1' and datasets.name = 'iris' and attributes.status = 'KILLED'"
    )
    found = face.ok("POST", "runs/search", {"experiment_ids": [DEFAULT_ID], "filter": wanted})["runs"]
    assert [r["info"]["run_name"] for r in found] == ["first"]
    assert found[0]["outputs"] == {"model_outputs": [{"model_id": model, "step": 0}]}
    history = face.ok("GET", "metrics/get-history", run_id=made["run_id"], metric_key="acc")["metrics"]
    assert [m["value"] for m in history] == [0.5, "NaN", "Infinity", 0.9]
    ids = {"experiment_ids": [DEFAULT_ID]}
    assert len(face.ok("POST", "logged-models/search", {**ids, "filter": "metrics.acc > 0.8"})["models"]) == 1
    face.ok("POST", "runs/delete", run)
    assert "runs" not in face.ok("POST", "runs/search", ids)
    face.ok("POST", "experiments/delete", {"experiment_id": made["experiment_id"]})
    gone = {"max_results": 5, "view_type": "DELETED_ONLY"}
    assert face.ok("POST", "experiments/search", gone)["experiments"][0]["name"] == "Default"
