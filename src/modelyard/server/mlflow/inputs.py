"""What runs read and make, in MLflow's words: data sets, models, and the models of MLflow 1 and 2 that only a tag told of."""

from __future__ import annotations

import dataclasses
import json

import msgspec

from modelyard.server.kernel.auth import Permission
from modelyard.server.kernel.http import Call, Routes
from modelyard.server.mlflow import errors, experiments, names, shapes
from modelyard.server.mlflow.access import RunAccess
from modelyard.server.mlflow.experiments import KeyValue
from modelyard.server.mlflow.protocol import Int64, Message, RunMessage, route
from modelyard.server.mlflow.shapes import Json
from modelyard.server.runs.inputs_store import Dataset, ModelOutput
from modelyard.wire.runs import RunUpdate

MAX_DATASETS = 1000  # in one call, as MLflow has it
_LONGEST = {"name": 500, "digest": 36, "source": 65_535, "schema": 1_048_575, "profile": 16_777_215}
_MAX_SUMMARIES = 1000
_MAX_EXPERIMENTS = 20
_HISTORY = "mlflow.log-model.history"
_MODEL_FIELDS = ("run_id", "artifact_path", "utc_time_created", "flavors")


class DatasetMessage(msgspec.Struct):
    name: str = ""
    digest: str = ""
    source_type: str = ""
    source: str = ""
    schema: str = ""
    profile: str = ""


class DatasetInput(msgspec.Struct):
    tags: list[KeyValue] = []
    dataset: DatasetMessage = msgspec.field(default_factory=DatasetMessage)


class ModelInput(msgspec.Struct):
    model_id: str = ""


class ModelOutputMessage(msgspec.Struct):
    model_id: str = ""
    step: Int64 = 0


class LogInputs(RunMessage):
    datasets: list[DatasetInput] = []
    models: list[ModelInput] = []


class LogOutputs(RunMessage):
    required = ("run_id", "models")
    models: list[ModelOutputMessage] | None = None


class LogModel(RunMessage):
    required = ("run_id", "model_json")
    model_json: str = ""


class SearchDatasets(Message):
    experiment_ids: list[str] = []


def add(r: Routes, access: RunAccess) -> None:
    tracking = access.runs.tracking

    @route(r, "POST", "2.0/mlflow/runs/log-inputs", Permission.RUN_WRITE)
    def log_inputs(call: Call, body: LogInputs) -> Json:
        _check_datasets(body.datasets)
        datasets = [
            Dataset(**msgspec.structs.asdict(one.dataset), tags={tag.key: tag.value for tag in one.tags})
            for one in body.datasets
        ]
        with access.active(call, body.run_id):
            model_ids = [model.model_id for model in body.models]
            tracking.log_inputs(call.workspace_id, body.run_id, datasets, model_ids)
        return {}

    @route(r, "POST", "2.0/mlflow/runs/outputs", Permission.RUN_WRITE)
    def log_outputs(call: Call, body: LogOutputs) -> Json:
        with access.active(call, body.run_id):
            models = [ModelOutput(model.model_id, model.step) for model in body.models or []]
            tracking.log_outputs(call.workspace_id, body.run_id, models)
        return {}

    @route(r, "POST", "2.0/mlflow/runs/log-model", Permission.RUN_WRITE)
    def log_model(call: Call, body: LogModel) -> Json:
        model = _model(body.model_json)
        with access.active(call, body.run_id):
            info = access.runs.get(call.workspace_id, body.run_id)
            history = json.loads(info.tags.get(_HISTORY, "[]"))
            told = {name: model[name] for name in (*_MODEL_FIELDS, "model_uuid") if name in model}
            tag = names.shortened(json.dumps([*history, told]), names.MAX_TAG_VALUE)
            change = RunUpdate(set_tags={_HISTORY: tag})
            access.runs.update(call.workspace_id, body.run_id, change, call.principal.name)
        return {}

    @route(r, "POST", "2.0/mlflow/experiments/search-datasets", Permission.READ)
    def search_datasets(call: Call, body: SearchDatasets) -> Json:
        if not body.experiment_ids:
            raise errors.invalid("SearchDatasets request must specify at least one experiment_id.")
        if len(body.experiment_ids) > _MAX_EXPERIMENTS:
            raise errors.invalid(
                f"SearchDatasets request cannot specify more than {_MAX_EXPERIMENTS} experiment_ids. Received "
                f"{len(body.experiment_ids)} experiment_ids."
            )
        ids = experiments.known_ids(access.runs.experiments, call, body.experiment_ids)
        uses = tracking.dataset_uses(call.workspace_id, ids)
        summaries = dict.fromkeys(dataclasses.replace(use, run_id="") for use in uses)
        found = [
            {
                "experiment_id": one.experiment_id,
                "name": one.name,
                "digest": one.digest,
                **({"context": one.context} if one.context is not None else {}),
            }
            for one in list(summaries)[:_MAX_SUMMARIES]
        ]
        return shapes.without_empty({"dataset_summaries": found})


def _check_datasets(datasets: list[DatasetInput]) -> None:
    if len(datasets) > MAX_DATASETS:
        raise errors.invalid(
            f"A run logging request can contain at most {MAX_DATASETS} datasets, got {len(datasets)}."
        )
    for index, one in enumerate(datasets):
        for field, most in _LONGEST.items():
            names.check_length(f"datasets[{index}].dataset.{field}", getattr(one.dataset, field), most)


def _model(text: str) -> Json:
    try:
        model = json.loads(text)
    except (ValueError, RecursionError):
        raise errors.invalid(f"Malformed model info. \n {text[:1000]} \n is not a valid JSON.") from None
    missing = set(_MODEL_FIELDS) - set(model) if isinstance(model, dict) else set(_MODEL_FIELDS)
    if missing:
        raise errors.invalid(f"Model json is missing mandatory fields: {missing}")
    return dict(model)
