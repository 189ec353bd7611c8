"""Our records as MLflow's messages, as protobuf writes them in JSON: what is not set is left out, and empty lists too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelyard.server.mlflow.protocol import number
from modelyard.server.runs import lifecycle, tracking
from modelyard.server.runs.inputs_store import Dataset, Inputs
from modelyard.server.runs.search.service import FoundRun, Summary
from modelyard.wire.experiments import ExperimentInfo
from modelyard.wire.runs import RunInfo

# What MLflow keeps as tags and we as fields of a run or an experiment.
NOTE = "mlflow.note.content"
RUN_NAME = "mlflow.runName"
PARENT = "mlflow.parentRunId"
USER = "mlflow.user"
SOURCE_NAME = "mlflow.source.name"
SOURCE_TYPE = "mlflow.source.type"

Json = dict[str, Any]


def milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def pairs(given: Mapping[str, str]) -> list[Json]:
    return [{"key": key, "value": value} for key, value in given.items()]


def without_empty(message: Json) -> Json:
    """Repeated fields that hold nothing are not written."""
    return {name: value for name, value in message.items() if value != []}


def experiment_root(experiment_id: str) -> str:
    """Where MLflow's clients find the files of an experiment; the yard itself keeps them, wherever its blobs are."""
    return f"mlflow-artifacts:/{experiment_id}"


def run_root(experiment_id: str, run_id: str) -> str:
    return f"{experiment_root(experiment_id)}/{run_id}/artifacts"


def model_root(experiment_id: str, model_id: str) -> str:
    return f"{experiment_root(experiment_id)}/models/{model_id}/artifacts"


def trace_root(experiment_id: str, trace_id: str) -> str:
    return f"{experiment_root(experiment_id)}/traces/{trace_id}/artifacts"


def experiment(info: ExperimentInfo) -> Json:
    tags = {**info.tags, NOTE: info.description} if info.description else info.tags
    return without_empty(
        {
            "experiment_id": info.id,
            "name": info.name,
            "artifact_location": experiment_root(info.id),
            "lifecycle_stage": "active" if info.deleted_at is None else "deleted",
            "creation_time": milliseconds(info.created_at),
            "last_update_time": milliseconds(info.updated_at or info.created_at),
            "tags": pairs(tags),
        }
    )


def run_info(info: RunInfo) -> Json:
    started_at = info.started_at if info.started_at is not None else info.created_at
    message: Json = {
        "run_id": info.id,
        "run_uuid": info.id,
        "run_name": info.display_name,
        "experiment_id": info.experiment_id,
        "user_id": info.user,
        "status": lifecycle.MLFLOW[info.status.value],
        "start_time": milliseconds(started_at),
        "artifact_uri": run_root(info.experiment_id, info.id),
        "lifecycle_stage": "active" if info.deleted_at is None else "deleted",
    }
    if info.ended_at is not None:
        message["end_time"] = milliseconds(info.ended_at)
    return message


def new_run(info: RunInfo) -> Json:
    data = {"tags": pairs(run_tags(info))}
    return {"info": run_info(info), "data": data, "inputs": {}}


def run(found: FoundRun, inputs: Inputs | None) -> Json:
    info = found.info
    metrics = [latest for m in found.metrics if (latest := _latest(m)) is not None]
    data = {"metrics": metrics, "params": pairs(info.params), "tags": pairs(run_tags(info))}
    read, made = _inputs(inputs or Inputs())
    return {"info": run_info(info), "data": without_empty(data), "inputs": read, "outputs": made}


def _inputs(inputs: Inputs) -> tuple[Json, Json]:
    datasets = [without_empty({"tags": pairs(one.tags), "dataset": _dataset(one)}) for one in inputs.datasets]
    models = [{"model_id": model_id} for model_id in inputs.models]
    outputs = [{"model_id": model.model_id, "step": model.step} for model in inputs.outputs]
    return (
        without_empty({"dataset_inputs": datasets, "model_inputs": models}),
        without_empty({"model_outputs": outputs}),
    )


def _dataset(one: Dataset) -> Json:
    optional = {"schema": one.schema, "profile": one.profile}
    return {
        "name": one.name,
        "digest": one.digest,
        "source_type": one.source_type,
        "source": one.source,
        **{name: text for name, text in optional.items() if text},
    }


def run_tags(info: RunInfo) -> dict[str, str]:
    """The run's tags, and what we keep elsewhere as the tags that MLflow's clients look for."""
    told = {key: value for key, value in info.properties.items() if key.startswith("mlflow.")}
    ours = {RUN_NAME: info.display_name, NOTE: info.description, PARENT: info.parent_id or ""}
    if info.user and info.type != tracking.TYPE:
        told[USER] = info.user
    if info.spec is not None:
        told[SOURCE_NAME] = info.spec.script or " ".join(info.spec.command)
        told[SOURCE_TYPE] = "JOB"
    return {**told, **info.tags, **{key: value for key, value in ours.items() if value}}


def _latest(summary: Summary) -> Json | None:
    """None where nothing that was logged under the name is a number."""
    if summary.last is None:
        return None
    # Points without a step are numbered as they came, which is how they are drawn.
    step = summary.count - 1 if summary.last_step is None else summary.last_step
    return point(summary.name, summary.last, summary.last_ms or 0, step)


def point(key: str, value: float, time_ms: int, step: int) -> Json:
    return {"key": key, "value": number(value), "timestamp": time_ms, "step": step}
