"""Our records as MLflow's messages, as protobuf writes them in JSON: what is not set is left out, and empty lists too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelyard.wire.experiments import ExperimentInfo

NOTE = "mlflow.note.content"  # MLflow's name for a description

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
