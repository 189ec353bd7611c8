"""The same calls to a real `mlflow server` and to the yard: same status, same error code and words, same values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from mlflow_calls import Side, pick

API = "/api/2.0/mlflow"


@dataclass(frozen=True)
class Call:
    """`save`: name -> where in the answer the id is that goes by it. `words` False: messages may differ."""

    method: str
    path: str
    body: Any = None
    save: tuple[tuple[str, str], ...] = ()
    words: bool = True


def post(path: str, body: Any = None, words: bool = True, **save: str) -> Call:
    return Call("POST", API + path, {} if body is None else body, tuple(save.items()), words)


def get(path: str, words: bool = True) -> Call:
    return Call("GET", API + path, words=words)


RUN = {"run_id": "{run}"}
M = {**RUN, "key": "m"}

EXPERIMENTS = [
    post("/experiments/create", {"name": "experiments"}, words=False),
    post("/experiments/create", {}),
    post("/experiments/create", {"name": 5}),
    post("/experiments/create", {"name": ""}),
    post("/experiments/create", {"name": "x" * 501}),
    post("/experiments/create", {"name": "y", "tags": [{"key": "a/../b", "value": ""}]}),
    post("/experiments/create", {"name": "Wörter / mit: allem? 'q' \"d\"", "tags": [{"key": "k", "value": "v"}]}, two="experiment_id"),
    get("/experiments/get?experiment_id={exp}"),
    get("/experiments/get?experiment_id={two}"),
    get("/experiments/get?experiment_id=987654"),
    get("/experiments/get"),
    get("/experiments/get-by-name?experiment_name=experiments"),
    get("/experiments/get-by-name?experiment_name=none"),
    get("/experiments/get-by-name?experiment_name="),
    post("/experiments/set-experiment-tag", {"experiment_id": "{exp}", "key": "team", "value": "a"}),
    post("/experiments/set-experiment-tag", {"experiment_id": "{exp}", "key": "mlflow.note.content", "value": "N"}),
    post("/experiments/set-experiment-tag", {"experiment_id": "{exp}", "key": "bad?", "value": "a"}),
    post("/experiments/set-experiment-tag", {"experiment_id": "{exp}", "value": "a"}),
    post("/experiments/delete-experiment-tag", {"experiment_id": "{exp}", "key": "team"}),
    post("/experiments/delete-experiment-tag", {"experiment_id": "{exp}", "key": "team"}),
    post("/experiments/set-experiment-tag", {"experiment_id": "{exp}", "key": "team", "value": "A b"}),
    post("/experiments/search", {"max_results": 10, "filter": "name = 'experiments'"}),
    post("/experiments/search", {"max_results": 10, "filter": "tags.team ILIKE 'a%' AND name LIKE 'e%'"}),
    post("/experiments/search", {"max_results": 10, "filter": "tag.`k` = 'v'"}),
    post("/experiments/search", {"max_results": 10, "filter": "creation_time > 5 and name != 'Default'", "order_by": ["name DESC"]}),
    post("/experiments/search", {"max_results": 1, "filter": "name != 'Default'", "order_by": ["name"]}),
    post("/experiments/search", {"max_results": 0}),
    post("/experiments/search", {}),
    post("/experiments/search", {"max_results": 50_001}),
    post("/experiments/search", {"max_results": 10, "filter": "nope = 'x'"}, words=False),
    post("/experiments/search", {"max_results": 10, "filter": "name ="}, words=False),
    post("/experiments/search", {"max_results": 10, "filter": "name = 'a' OR name = 'b'"}, words=False),
    post("/experiments/search", {"max_results": 10, "filter": "name > 'a'"}, words=False),
    post("/experiments/search", {"max_results": 10, "page_token": "!"}, words=False),
    post("/experiments/search", {"max_results": 10, "order_by": ["name UPWARDS"]}, words=False),
    post("/experiments/update", {"experiment_id": "{two}", "new_name": "zwei"}),
    post("/experiments/update", {"experiment_id": "{two}"}),
    post("/experiments/update", {"experiment_id": "{two}", "new_name": "experiments"}, words=False),
    post("/experiments/delete", {"experiment_id": "{two}"}),
    post("/experiments/delete", {"experiment_id": "{two}"}),
    get("/experiments/get?experiment_id={two}"),
    post("/experiments/update", {"experiment_id": "{two}", "new_name": "drei"}),
    post("/experiments/set-experiment-tag", {"experiment_id": "{two}", "key": "team", "value": "a"}),
    post("/runs/create", {"experiment_id": "{two}"}),
    post("/experiments/search", {"max_results": 10, "view_type": "DELETED_ONLY"}),
    post("/experiments/restore", {"experiment_id": "{two}"}),
    post("/experiments/restore", {"experiment_id": "{two}"}),
    get("/experiments/get?experiment_id={two}"),
]  # fmt: skip

RUNS = [
    post("/runs/create", {"experiment_id": "{exp}", "start_time": "1700000000001", "run_name": "kid",
         "tags": [{"key": "mlflow.parentRunId", "value": "{run}"}, {"key": "t", "value": "v"}]}, kid="run.info.run_id"),
    post("/runs/create", {"experiment_id": "{exp}", "start_time": 1, "tags": [{"key": "mlflow.runName", "value": "n"}]}, c="run.info.run_id"),
    post("/runs/create", {"experiment_id": "{exp}", "run_name": "a", "tags": [{"key": "mlflow.runName", "value": "b"}]}),
    post("/runs/create", {"experiment_id": "987654"}),
    post("/runs/create", {"experiment_id": 5.5}),
    get("/runs/get?run_id={run}"),
    get("/runs/get?run_uuid={run}"),
    get("/runs/get?run_id=nope"),
    get("/runs/get"),
    post("/runs/log-parameter", {**RUN, "key": "p", "value": "1"}),
    post("/runs/log-parameter", {**RUN, "key": "p", "value": "1"}),
    post("/runs/log-parameter", {**RUN, "key": "p", "value": "2"}),
    post("/runs/log-parameter", {**RUN, "key": "none"}),
    post("/runs/log-parameter", {**RUN, "value": "none"}),
    post("/runs/log-parameter", {**RUN, "key": "long", "value": "x" * 6001}),
    post("/runs/log-parameter", {**RUN, "key": "k" * 251, "value": "x"}),
    post("/runs/log-parameter", {**RUN, "key": "/abs", "value": "x"}),
    post("/runs/log-parameter", {"run_id": "nope", "key": "p", "value": "2"}),
    post("/runs/set-tag", {**RUN, "key": "tag", "value": "experiments"}),
    post("/runs/set-tag", {**RUN, "key": "tag", "value": "two"}),
    post("/runs/set-tag", {**RUN, "key": "long", "value": "y" * 8001}),
    post("/runs/set-tag", {**RUN, "key": "mlflow.runName", "value": "renamed"}),
    post("/runs/set-tag", {**RUN, "key": "mlflow.note.content", "value": "# Note"}),
    post("/runs/set-tag", {**RUN, "key": "a//b", "value": "x"}),
    post("/runs/set-tag", {"run_id": "nope", "key": "a", "value": "x"}),
    post("/runs/delete-tag", {**RUN, "key": "tag"}),
    post("/runs/delete-tag", {**RUN, "key": "tag"}),
    post("/runs/delete-tag", {"run_id": "nope", "key": "tag"}),
    get("/runs/get?run_id={run}"),
    get("/runs/get?run_id={kid}"),
    post("/runs/update", {**RUN, "status": "FINISHED", "end_time": 1700000001000, "run_name": "again"}),
    post("/runs/log-parameter", {**RUN, "key": "late", "value": "1"}),
    post("/runs/update", {**RUN, "status": 4, "end_time": "1700000005000"}),
    post("/runs/update", {**RUN, "status": "KILLED", "end_time": 1700000006000}),
    post("/runs/update", {"run_id": "nope", "status": "KILLED"}),
    post("/runs/update", {"status": "KILLED"}),
    get("/runs/get?run_id={run}"),
    post("/runs/delete", {"run_id": "{c}"}),
    post("/runs/delete", {"run_id": "{c}"}),
    get("/runs/get?run_id={c}"),
    post("/runs/log-parameter", {"run_id": "{c}", "key": "p", "value": "2"}),
    post("/runs/set-tag", {"run_id": "{c}", "key": "a", "value": "x"}),
    post("/runs/log-metric", {"run_id": "{c}", "key": "m", "value": 1, "timestamp": 1}),
    post("/runs/log-batch", {"run_id": "{c}", "tags": [{"key": "m", "value": "1"}]}),
    post("/runs/update", {"run_id": "{c}", "status": "FINISHED"}),
    post("/runs/search", {"experiment_ids": ["{exp}"], "run_view_type": "DELETED_ONLY"}),
    post("/runs/restore", {"run_id": "{c}"}),
    post("/runs/restore", {"run_id": "{c}"}),
    post("/runs/delete", {"run_id": "nope"}),
    post("/runs/restore", {"run_id": "nope"}),
]  # fmt: skip

METRICS = [
    post("/runs/log-metric", {**M, "value": 1.5, "timestamp": 10, "step": 1}),
    post("/runs/log-metric", {**M, "value": "NaN", "timestamp": 11, "step": 2}),
    post("/runs/log-metric", {**M, "value": 2, "timestamp": "12", "step": "1"}),
    post("/runs/log-metric", {**M, "value": 2, "timestamp": 12, "step": 1}),
    post("/runs/log-metric", {**M, "value": 9, "timestamp": 3, "step": -4}),
    post("/runs/log-metric", {"run_uuid": "{run}", "key": "other/metric: x", "value": "7", "timestamp": 12}),
    post("/runs/log-metric", {**M, "timestamp": 12}),
    post("/runs/log-metric", {**M, "value": 1}),
    post("/runs/log-metric", {**M, "value": None, "timestamp": 12}),
    post("/runs/log-metric", {**M, "value": "abc", "timestamp": 12}),
    post("/runs/log-metric", {**M, "value": 1, "timestamp": "abc"}),
    post("/runs/log-metric", {**M, "value": 1, "timestamp": -1}),
    post("/runs/log-metric", {**RUN, "key": "../m", "value": 1, "timestamp": 1}),
    post("/runs/log-metric", {**RUN, "key": "m?", "value": 1, "timestamp": 1}),
    post("/runs/log-metric", {**RUN, "key": "m" * 251, "value": 1, "timestamp": 1}),
    post("/runs/log-metric", {"run_id": "nope", "key": "m", "value": 1, "timestamp": 1}),
    post("/runs/log-metric", {"run_id": "../../etc", "key": "m", "value": 1, "timestamp": 1}),
    post("/runs/log-batch", {**RUN, "metrics": [{"key": "b", "value": 1, "timestamp": 1}, {"key": "b", "value": 2, "timestamp": 2, "step": 5}],
         "params": [{"key": "q", "value": "z"}], "tags": [{"key": "u", "value": "w"}]}),
    post("/runs/log-batch", {**RUN, "metrics": [{"key": f"n{i}", "value": i, "timestamp": i, "step": i} for i in range(3)]}),
    post("/runs/log-batch", {**RUN, "metrics": [{"key": "same", "value": 1, "timestamp": 1}] * 3}),
    post("/runs/log-batch", {**RUN, "params": [{"key": "q", "value": "zz"}]}),
    post("/runs/log-batch", {**RUN, "params": [{"key": "r", "value": "z"}, {"key": "r", "value": "z"}]}),
    post("/runs/log-batch", {**RUN, "metrics": [{"key": "b", "timestamp": 1}]}),
    post("/runs/log-batch", {**RUN, "metrics": [{"value": 1, "timestamp": 1}]}),
    post("/runs/log-batch", {**RUN, "params": [{"value": "1"}]}),
    post("/runs/log-batch", {**RUN, "tags": [{"key": "ok", "value": "1"}, {"key": "not ok?", "value": "1"}]}),
    post("/runs/log-batch", {**RUN, "metrics": [{"key": "b", "value": 1, "timestamp": 1}] * 1001}),
    post("/runs/log-batch", {**RUN, "params": [{"key": f"b{i}", "value": "1"} for i in range(101)]}),
    post("/runs/log-batch", {**RUN, "tags": [{"key": f"b{i}", "value": "1"} for i in range(101)]}),
    post("/runs/log-batch", {**RUN, "metrics": [{"key": "b", "value": 1, "timestamp": 1}] * 1000, "tags": [{"key": "b", "value": "1"}]}),
    post("/runs/log-batch", {**RUN, "metrics": 5}),
    post("/runs/log-batch", {}),
    post("/runs/log-batch", {"run_id": "nope", "metrics": [{"key": "b", "value": 1, "timestamp": 1}]}),
    get("/runs/get?run_id={run}"),
    get("/metrics/get-history?run_id={run}&metric_key=m"),
    get("/metrics/get-history?run_id={run}&metric_key=same"),
    get("/metrics/get-history?run_id={run}&metric_key=m&max_results=3"),
    get("/metrics/get-history?run_id={run}&metric_key=m&max_results=0"),
    get("/metrics/get-history?run_id={run}&metric_key=none"),
    get("/metrics/get-history?run_id=nope&metric_key=m"),
    get("/metrics/get-history?run_id={run}"),
    get("/metrics/get-history-bulk-interval?run_ids={run}&metric_key=m&max_results=2"),
    get("/metrics/get-history-bulk-interval?run_ids={run}&metric_key=m&max_results=1"),
    get("/metrics/get-history-bulk-interval?run_ids={run}&metric_key=m&start_step=1&end_step=1"),
    get("/metrics/get-history-bulk-interval?run_ids={run}&metric_key=m&start_step=1"),
    get("/metrics/get-history-bulk-interval?run_ids={run}&metric_key=m&start_step=3&end_step=1"),
    get("/metrics/get-history-bulk-interval?run_ids={run}&metric_key=m&max_results=2501"),
    get("/metrics/get-history-bulk-interval?run_ids={run}"),
    Call("GET", "/ajax-api/2.0/mlflow/metrics/get-history-bulk?run_id={run}&run_id=nope&metric_key=m"),
    Call("GET", "/ajax-api/2.0/mlflow/metrics/get-history-bulk?run_id={run}"),
    Call("GET", "/ajax-api/2.0/mlflow/metrics/get-history-bulk?metric_key=m"),
]  # fmt: skip


def _find(filter_: str, **more: Any) -> Call:
    return post("/runs/search", {"experiment_ids": ["{exp}"], "filter": filter_, **more})


SEARCHES = [
    *(
        post("/runs/create", {"experiment_id": "{exp}", "start_time": 1000 + i, "run_name": f"run {i}", "user_id": "me"}, **{f"r{i}": "run.info.run_id"})
        for i in range(3)
    ),
    *(
        post("/runs/log-batch", {"run_id": f"{{r{i}}}", "metrics": [{"key": "acc", "value": v, "timestamp": 1}, {"key": "a.b-c d", "value": i, "timestamp": 1}],
             "params": [{"key": "lr", "value": str(10**i)}], "tags": [{"key": "team", "value": "aB"[i % 2]}]})
        for i, v in enumerate([0.5, "NaN", 0.9])
    ),
    post("/runs/update", {"run_id": "{r0}", "status": "FINISHED", "end_time": 5000}),
    _find("metrics.acc > 0.6"),
    _find("metrics.acc != 0.5"),
    _find('metrics."a.b-c d" >= 1', order_by=["metrics.acc DESC"]),
    _find("params.lr = '10' and tags.team = 'B'"),
    _find("params.lr LIKE '1%'", order_by=["params.lr DESC"]),
    _find("tags.team ILIKE 'b'"),
    _find("status = 'RUNNING' and start_time > 1000", order_by=["start_time ASC"]),
    _find("attributes.run_name = 'run 1'"),
    _find("run_id IN ('{r0}', '{r2}')", order_by=["attribute.start_time"]),
    _find("tags.`mlflow.runName` = 'run 2'"),
    _find("user_id = 'me'", order_by=["metrics.acc ASC"]),
    _find("user_id = 'me'", order_by=["metrics.acc DESC"]),
    _find("user_id = 'me'", max_results=2),
    _find("end_time > 1"),
    _find("acc > 1"),
    _find("metrics.acc = 'x'"),
    _find("", max_results=0),
    _find("", max_results=50_001),
    _find("", order_by=["metrics.acc SIDEWAYS"]),
    post("/runs/search", {"experiment_ids": []}),
    post("/runs/search", {"experiment_ids": "5"}),
]  # fmt: skip


@pytest.fixture(scope="module")
def sides(untouched_servers: tuple[str, tuple[str, str]]) -> tuple[Side, Side]:
    theirs, ours = untouched_servers
    return Side(theirs), Side(*ours)


def _begin(side: Side, story: str) -> None:
    """An experiment of this name, and a run in it."""
    _, made = side.send("POST", f"{API}/experiments/create", {"name": story})
    side.ids = {"exp": made["experiment_id"]}
    body = {"experiment_id": "{exp}", "start_time": 1700000000000, "run_name": "first", "user_id": "me"}
    _, made = side.send("POST", f"{API}/runs/create", body)
    side.ids["run"] = made["run"]["info"]["run_id"]


MODEL = "/logged-models/{model}"
_DATASET = {"name": "iris", "digest": "abc", "source_type": "local", "source": "{}"}

MODELS = [
    post("/logged-models", {"experiment_id": "{exp}", "name": "mod", "source_run_id": "{run}", "model_type": "agent",
         "params": [{"key": "a", "value": "1"}], "tags": [{"key": "t", "value": "v"}]}, model="model.info.model_id"),
    post("/logged-models", {"experiment_id": "{exp}"}, other="model.info.model_id"),
    post("/logged-models", {"name": "mod"}),
    post("/logged-models", {"experiment_id": "{exp}", "name": "a/b"}),
    post("/logged-models", {"experiment_id": "987654", "name": "ab"}),
    get(MODEL),
    get("/logged-models/none"),
    Call("PATCH", API + MODEL, {"model_id": "{model}", "status": "LOGGED_MODEL_READY"}),
    Call("PATCH", API + MODEL, {"model_id": "{model}", "status": 3}),
    Call("PATCH", API + MODEL, {"model_id": "{model}"}),
    Call("PATCH", API + "/logged-models/none", {"model_id": "none", "status": 2}),
    Call("PATCH", API + MODEL + "/tags", {"tags": [{"key": "x", "value": "y"}, {"key": "x", "value": "z"}]}),
    Call("DELETE", API + MODEL + "/tags/t"),
    Call("DELETE", API + MODEL + "/tags/t"),
    Call("DELETE", API + "/logged-models/none/tags/t"),
    post(MODEL + "/params", {"model_id": "{model}", "params": [{"key": "p", "value": "q"}]}),
    post("/runs/log-metric", {**RUN, "key": "acc", "value": 0.5, "timestamp": 5, "step": 1, "model_id": "{model}", "dataset_name": "d", "dataset_digest": "e"}),
    post("/runs/log-batch", {**RUN, "metrics": [{"key": "acc", "value": 0.7, "timestamp": 6, "step": 2, "model_id": "{model}"}]}),
    get(MODEL),
    post("/runs/outputs", {**RUN, "models": [{"model_id": "{model}", "step": 3}]}),
    post("/runs/outputs", RUN),
    post("/runs/log-inputs", {**RUN, "datasets": [{"tags": [{"key": "mlflow.data.context", "value": "train"}], "dataset": _DATASET}]}),
    post("/runs/log-inputs", {**RUN, "datasets": [{"dataset": {**_DATASET, "schema": "{}", "profile": "{}"}}, {"dataset": {**_DATASET, "name": "second"}}]}),
    post("/runs/log-inputs", {"run_id": "nope", "datasets": []}),
    get("/runs/get?run_id={run}"),
    _find("datasets.name = 'second'"),
    _find("dataset.digest LIKE 'a%' and datasets.context = 'train'"),
    _find("datasets.name = 'third'"),
    Call("POST", "/ajax-api/2.0/mlflow/experiments/search-datasets", {"experiment_ids": ["{exp}"]}),
    Call("POST", "/ajax-api/2.0/mlflow/experiments/search-datasets", {}),
    post("/logged-models/search", {"experiment_ids": ["{exp}"], "filter": "name = 'mod' and metrics.acc > 0.6"}),
    post("/logged-models/search", {"experiment_ids": ["{exp}"], "filter": "params.a = '1' AND tags.x = 'z'"}),
    post("/logged-models/search", {"experiment_ids": ["{exp}"], "order_by": [{"field_name": "metrics.acc", "ascending": False}], "max_results": 1}),
    post("/logged-models/search", {"experiment_ids": ["{exp}"], "filter": "metrics.acc > 0.6", "datasets": [{"dataset_name": "d", "dataset_digest": "e"}]}),
    post("/logged-models/search", {"experiment_ids": ["{exp}"], "filter": "metrics.acc < 0.6", "datasets": [{"dataset_name": "d", "dataset_digest": "e"}]}),
    post("/logged-models/search", {"experiment_ids": ["{exp}"], "order_by": [{"field_name": "bogus"}]}),
    post("/logged-models/search", {"experiment_ids": ["{exp}"], "datasets": [{}]}),
    Call("DELETE", API + MODEL),
    get(MODEL),
    get(MODEL + "?allow_deleted=true"),
    post("/runs/log-inputs", {**RUN, "models": [{"model_id": "{other}"}]}),
    get("/runs/get?run_id={run}"),
    post("/runs/log-model", {**RUN, "model_json": "{"}),
    post("/runs/log-model", {**RUN, "model_json": '{"flavors": {}}'}, words=False),
    post("/runs/log-model", {**RUN, "model_json": '{"artifact_path": "m", "flavors": {"f": {}}, "utc_time_created": "2020-01-01", "run_id": "{run}"}'}),
]  # fmt: skip

V3 = "/api/3.0/mlflow/traces"
_TRACE = "tr-" + "0123456789abcdef" * 2
_IN_EXPERIMENT = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "{exp}"}}
_INFO = {
    "trace_id": _TRACE, "trace_location": _IN_EXPERIMENT, "request_preview": "[1]", "response_preview": "2",
    "request_time": "2026-11-24T18:00:00.123Z", "execution_duration": "1.5s", "state": "OK",
    "trace_metadata": {"mlflow.user": "me"}, "tags": {"mlflow.traceName": "f"}, "client_request_id": "c1",
}  # fmt: skip

TRACES = [
    Call("POST", V3, {"trace": {"trace_info": _INFO}}),
    Call("POST", V3, {"trace": {"trace_info": _INFO}}),
    Call("GET", f"{V3}/{_TRACE}"),
    Call("GET", f"{V3}/none"),
    Call("POST", f"{V3}/batchGetInfos", {"trace_ids": [_TRACE, "none"]}),
    Call("POST", f"{V3}/search", {"locations": [_IN_EXPERIMENT], "max_results": 5}),
    Call("POST", f"{V3}/search", {"locations": [_IN_EXPERIMENT], "filter": "tags.`mlflow.traceName` = 'f' and status = 'OK'", "order_by": ["timestamp_ms DESC"]}),
    Call("POST", f"{V3}/search", {"locations": [_IN_EXPERIMENT], "filter": "execution_time > 2000"}),
    Call("POST", f"{V3}/search", {"locations": [_IN_EXPERIMENT], "filter": "bogus = 'f'"}, words=False),
    Call("POST", f"{V3}/search", {"locations": []}),
    Call("POST", f"{V3}/search", {"locations": [_IN_EXPERIMENT], "max_results": 501}),
    Call("PATCH", f"{V3}/{_TRACE}/tags", {"key": "k", "value": "v"}),
    Call("PATCH", f"{V3}/{_TRACE}/tags", {"value": "v"}),
    Call("DELETE", f"{V3}/{_TRACE}/tags", {"key": "k"}),
    Call("DELETE", f"{V3}/{_TRACE}/tags", {"key": "k"}, words=False),
    post("/traces", {"experiment_id": "{exp}", "timestamp_ms": 5, "request_metadata": [{"key": "a", "value": "b"}], "tags": [{"key": "t", "value": "v"}]},
         old="trace_info.request_id"),
    Call("PATCH", f"{API}/traces/{{old}}", {"request_id": "{old}", "timestamp_ms": 25, "status": "OK", "request_metadata": [{"key": "c", "value": "d"}],
         "tags": [{"key": "u", "value": "v"}]}),
    get("/traces/{old}/info"),
    get("/traces?experiment_ids={exp}&max_results=1"),
    post("/traces/link-to-run", {"trace_ids": ["{old}"], "run_id": "{run}"}),
    Call("POST", f"{V3}/search", {"locations": [_IN_EXPERIMENT], "filter": "run_id = '{run}'"}),
    Call("POST", f"{V3}/delete-traces", {"experiment_id": "{exp}"}),
    Call("POST", f"{V3}/delete-traces", {"experiment_id": "{exp}", "request_ids": ["{old}"]}),
    post("/traces/delete-traces", {"experiment_id": "{exp}", "max_timestamp_millis": 1895545689678, "max_traces": 10}),
]  # fmt: skip

_FILES = "/api/2.0/mlflow-artifacts/artifacts"
_ROOT = "{exp}/{run}/artifacts"

ARTIFACTS = [
    Call("PUT", f"{_FILES}/{_ROOT}/d/a.json", {"k": 1}),
    Call("PUT", f"{_FILES}/{_ROOT}/b%20c.json", [1]),
    Call("PUT", f"{_FILES}/{_ROOT}/d/sub/x.json", [1, 2]),
    Call("GET", f"{_FILES}?path={_ROOT}"),
    Call("GET", f"{_FILES}?path={_ROOT}/d"),
    Call("GET", f"{_FILES}?path={_ROOT}/none"),
    Call("GET", f"{_FILES}/{_ROOT}/d/a.json"),
    Call("GET", f"{_FILES}/{_ROOT}/none", words=False),
    get("/artifacts/list?run_id={run}"),
    get("/artifacts/list?run_id={run}&path=d"),
    get("/artifacts/list?run_uuid={run}&path=d/sub"),
    get("/artifacts/list?run_id={run}&path=../d", words=False),
    get("/artifacts/list?run_id={run}&path=%252e%252e%252fd", words=False),
    get("/artifacts/list?run_id=none"),
    get("/artifacts/list"),
    Call("GET", "/get-artifact?run_id={run}&path=d/a.json"),
    Call("GET", "/get-artifact?run_id={run}&path=none", words=False),
    Call("GET", "/get-artifact?run_id={run}&path=../../x", words=False),
    Call("GET", f"{_FILES}/{_ROOT}/%2e%2e/%2e%2e/x", words=False),
    Call("PUT", f"{_FILES}/{_ROOT}/..%2fx", [1], words=False),
    Call("DELETE", f"{_FILES}/{_ROOT}/%252e%252e/x", words=False),
    Call("GET", f"{_FILES}?path=../..", words=False),
    Call("GET", f"/api/2.0/mlflow-artifacts/presigned/{_ROOT}/d/a.json"),
    post("/artifacts/presigned-upload-url", {**RUN, "path": "x"}),
    post("/artifacts/presigned-download-url", {**RUN, "path": "x"}),
    Call("DELETE", f"{_FILES}/{_ROOT}/d/sub"),
    Call("DELETE", f"{_FILES}/{_ROOT}/d/sub"),
    Call("GET", f"{_FILES}?path={_ROOT}/d"),
]  # fmt: skip

_MODEL = {"name": "churn"}
_VERSION = {**_MODEL, "version": "1"}
_SOURCE = f"mlflow-artifacts:/{_ROOT}/model"


def patch(path: str, body: Any, words: bool = True) -> Call:
    return Call("PATCH", API + path, body, words=words)


def delete(path: str, body: Any, words: bool = True) -> Call:
    return Call("DELETE", API + path, body, words=words)


REGISTRY = [
    post("/registered-models/create", {**_MODEL, "description": "d", "tags": [{"key": "t", "value": "1"}]}),
    post("/registered-models/create", _MODEL),
    post("/registered-models/create", {}),
    post("/registered-models/create", {"name": "a/b"}),
    post("/registered-models/create", {"name": " "}, words=False),
    post("/registered-models/create", {"name": "x", "tags": [{"key": "a?", "value": ""}]}),
    post("/registered-models/create", {"name": "greet", "tags": [{"key": "mlflow.prompt.is_prompt", "value": "true"}]}),
    post("/registered-models/create", {"name": "greet"}),
    get("/registered-models/get?name=churn"),
    get("/registered-models/get?name=none"),
    get("/registered-models/get"),
    patch("/registered-models/update", {**_MODEL, "description": "new"}),
    patch("/registered-models/update", {"name": "none", "description": "new"}),
    Call("PUT", f"{_FILES}/{_ROOT}/model/MLmodel", {"flavors": {}}),
    post("/model-versions/create", {**_MODEL, "source": _SOURCE, **RUN, "description": "v", "tags": [{"key": "a", "value": "b"}]}),
    post("/model-versions/create", {**_MODEL, "source": "runs:/{run}/model", **RUN}),
    post("/model-versions/create", {**_MODEL, "source": "models:/churn/1"}),
    post("/model-versions/create", {**_MODEL, "source": "s3://bucket/model"}),
    post("/model-versions/create", {**_MODEL, "source": "runs:/{run}/model"}),
    post("/model-versions/create", {**_MODEL, "source": "runs:/none/model", **RUN}),
    post("/model-versions/create", {**_MODEL, "source": "mlflow-artifacts:/..%2f..%2fetc", **RUN}),
    post("/model-versions/create", {**_MODEL, "source": "file:///etc", **RUN}, words=False),
    post("/model-versions/create", {**_MODEL, "source": "/etc/passwd"}),
    post("/model-versions/create", {**_MODEL, "source": "dummy-source"}, words=False),
    post("/model-versions/create", {**_MODEL}),
    post("/model-versions/create", {"name": "none", "source": "s3://bucket/model"}),
    get("/model-versions/get?name=churn&version=1"),
    get("/model-versions/get?name=churn&version=99"),
    get("/model-versions/get?name=churn&version=x"),
    get("/model-versions/get?name=churn"),
    patch("/model-versions/update", {**_VERSION, "description": "changed"}),
    post("/model-versions/transition-stage", {**_VERSION, "stage": "production", "archive_existing_versions": False}),
    post("/model-versions/transition-stage", {**_MODEL, "version": "2", "stage": "Production", "archive_existing_versions": True}),
    post("/model-versions/transition-stage", {**_VERSION, "stage": "Live", "archive_existing_versions": False}),
    post("/model-versions/transition-stage", {**_MODEL, "version": "99", "stage": "Staging", "archive_existing_versions": False}),
    post("/registered-models/get-latest-versions", {**_MODEL, "stages": ["Production"]}),
    post("/registered-models/get-latest-versions", {"name": "none"}),
    post("/registered-models/alias", {**_VERSION, "alias": "champion"}),
    post("/registered-models/alias", {**_VERSION, "alias": "latest"}, words=False),
    post("/registered-models/alias", {**_VERSION, "alias": "v1"}, words=False),
    post("/registered-models/alias", {**_VERSION, "alias": "a b"}, words=False),
    post("/registered-models/alias", {**_MODEL, "version": "99", "alias": "a"}),
    get("/registered-models/alias?name=churn&alias=champion"),
    get("/registered-models/alias?name=churn&alias=none"),
    get("/registered-models/get?name=churn"),
    post("/registered-models/set-tag", {**_MODEL, "key": "team", "value": "x"}),
    post("/registered-models/set-tag", {**_MODEL, "value": "x"}),
    delete("/registered-models/delete-tag", {**_MODEL, "key": "t"}),
    post("/model-versions/set-tag", {**_VERSION, "key": "k", "value": "v"}),
    post("/model-versions/set-tag", {**_MODEL, "version": "99", "key": "k", "value": "v"}),
    delete("/model-versions/delete-tag", {**_VERSION, "key": "a"}),
    get("/model-versions/search?filter=name%20%3D%20%27churn%27&order_by=version_number%20ASC"),
    get("/model-versions/search?filter=run_id%20%3D%20%27{run}%27&order_by=version_number%20ASC&max_results=1"),
    get("/model-versions/search?filter=tags.k%20%3D%20%27v%27"),
    get("/model-versions/search?filter=size%20%3D%20%27v%27", words=False),
    get("/model-versions/search?max_results=0", words=False),
    get("/registered-models/search?filter=name%20ILIKE%20%27CH%25%27"),
    get("/registered-models/search?filter=tags.%60mlflow.prompt.is_prompt%60%20%3D%20%27true%27"),
    get("/registered-models/search?order_by=name%20DESC"),
    get("/registered-models/search?order_by=size", words=False),
    get("/registered-models/search?max_results=1001", words=False),
    delete("/registered-models/alias", {**_MODEL, "alias": "champion"}),
    delete("/registered-models/alias", {**_MODEL, "alias": "champion"}),
    post("/registered-models/rename", {**_MODEL, "new_name": "leave"}),
    post("/registered-models/rename", {**_MODEL, "new_name": "leave"}),
    post("/registered-models/rename", {"name": "leave", "new_name": "greet"}, words=False),
    get("/registered-models/get?name=leave"),
    delete("/model-versions/delete", {"name": "leave", "version": "1"}),
    delete("/model-versions/delete", {"name": "leave", "version": "1"}),
    delete("/registered-models/delete", {"name": "leave"}),
    delete("/registered-models/delete", {"name": "leave"}),
]  # fmt: skip

STORIES = {
    "experiments": EXPERIMENTS,
    "runs": RUNS,
    "metrics": METRICS,
    "searches": SEARCHES,
    "models": MODELS,
    "traces": TRACES,
    "artifacts": ARTIFACTS,
    "registry": REGISTRY,
}


@pytest.mark.parametrize("story", STORIES)
def test_the_yard_answers_as_mlflow_does(sides: tuple[Side, Side], story: str) -> None:
    for side in sides:
        _begin(side, story)
    different = []
    for call in STORIES[story]:
        answers = []
        for side in sides:
            status, answer = side.send(call.method, call.path, call.body)
            for name, where in call.save:
                side.ids[name] = pick(answer, where)
            answer = side.comparable(answer)
            if not call.words or (status >= 400 and call.path.endswith("/runs/search")):
                answer.pop("message", None)
            answers.append((status, answer))
        if answers[0] != answers[1]:
            asked = f"{call.method} {call.path} {str(call.body)[:300]}"
            different.append(
                f"{asked}\n  MLflow: {str(answers[0])[:1500]}\n  yard:   {str(answers[1])[:1500]}"
            )
    assert not different, "\n".join(different)
