"""MLflow 3's logged models: made by a run, with a status, tags, parameters and metrics of their own."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from modelyard.server.kernel.auth import Kind, Permission
from modelyard.server.kernel.errors import Forbidden
from modelyard.server.kernel.http import Call, Routes
from modelyard.server.mlflow import errors, experiments, filters, paging, run_names, shapes
from modelyard.server.mlflow.access import RunAccess
from modelyard.server.mlflow.experiments import KeyValue
from modelyard.server.mlflow.protocol import Int64, Message, route
from modelyard.server.mlflow.shapes import Json
from modelyard.server.runs.logged_models_store import LoggedModel, ModelMetric

_DEFAULT_MAX = 100
_FORBIDDEN = ("/", ":", ".", "%", '"', "'")
# By name or number, as protobuf's JSON has both.
Status = Literal[
    "LOGGED_MODEL_STATUS_UNSPECIFIED",
    "LOGGED_MODEL_PENDING",
    "LOGGED_MODEL_READY",
    "LOGGED_MODEL_UPLOAD_FAILED",
    0,
    1,
    2,
    3,
]
_STATUSES: dict[Status, str] = {
    "LOGGED_MODEL_STATUS_UNSPECIFIED": "UNSPECIFIED", 0: "UNSPECIFIED",
    "LOGGED_MODEL_PENDING": "PENDING", 1: "PENDING",
    "LOGGED_MODEL_READY": "READY", 2: "READY",
    "LOGGED_MODEL_UPLOAD_FAILED": "FAILED", 3: "FAILED",
}  # fmt: skip

_TIMES = {
    "creation_timestamp_ms": "created_at",
    "creation_timestamp": "created_at",
    "creation_time": "created_at",
    "last_updated_timestamp_ms": "updated_at",
    "last_updated_timestamp": "updated_at",
    "last_updated_time": "updated_at",
}
_TEXTS = {
    "name": "name",
    "model_id": "id",
    "model_type": "type",
    "status": "status",
    "source_run_id": "source_run_id",
    "experiment_id": "experiment_id",
}
_ATTRIBUTES = {*_TIMES, *_TEXTS}
_KINDS = {kind: kind.rstrip("s") for kind in ("metrics", "params", "tags", "metric", "param", "tag")}


class CreateModel(Message):
    required = ("experiment_id",)
    experiment_id: str = ""
    name: str | None = None
    model_type: str = ""
    source_run_id: str = ""
    params: list[KeyValue] = []
    tags: list[KeyValue] = []


class FinalizeModel(Message):
    required = ("status",)
    status: Status | None = None


class GetModel(Message):
    allow_deleted: bool = False


class SetTags(Message):
    tags: list[KeyValue] = []


class LogParams(Message):
    params: list[KeyValue] = []


class DatasetFilter(msgspec.Struct):
    dataset_name: str = ""
    dataset_digest: str = ""


class OrderBy(msgspec.Struct):
    field_name: str = ""
    ascending: bool = True
    dataset_name: str = ""
    dataset_digest: str = ""


class SearchModels(Message):
    experiment_ids: list[str] = []
    filter: str = ""
    datasets: list[DatasetFilter] = []
    max_results: Int64 = 0
    order_by: list[OrderBy] = []
    page_token: str = ""


def add(r: Routes, access: RunAccess) -> None:
    models = access.runs.logged_models
    _add_changes(r, access)

    @route(r, "POST", "2.0/mlflow/logged-models/search", Permission.READ)
    def search(call: Call, body: SearchModels) -> Json:
        if any(not one.dataset_name for one in body.datasets):
            raise errors.invalid("`dataset_name` in the `datasets` clause must be specified.")
        ids = experiments.known_ids(access.runs.experiments, call, body.experiment_ids)
        found = _selected(models.of_experiments(call.workspace_id, ids), body)
        rows, token = paging.page(found, body.page_token, body.max_results or _DEFAULT_MAX)
        answer = shapes.without_empty({"models": [shape(row) for row in rows]})
        return {**answer, "next_page_token": token} if token else answer

    @route(r, "POST", "2.0/mlflow/logged-models", Permission.MODEL_REGISTER)
    def create(call: Call, body: CreateModel) -> Json:
        name = body.name
        if name is not None and (not name or any(c in name for c in _FORBIDDEN)):
            raise errors.invalid(
                f"Invalid model name ({name!r}) provided. Model name must be a non-empty string and cannot contain the "
                f"following characters: {_FORBIDDEN}"
            )
        found = experiments.find_active(access.runs.experiments, call, body.experiment_id)
        check_maker(access, call, body.source_run_id)
        made = models.create(
            call.workspace_id, found.id, name or run_names.new_name(), body.model_type, body.source_run_id,
            {t.key: t.value for t in body.tags}, {p.key: p.value for p in body.params}, call.principal.name,
        )  # fmt: skip
        return {"model": shape(made)}

    @route(r, "GET", "2.0/mlflow/logged-models/{model_id}", Permission.READ)
    def get(call: Call, body: GetModel) -> Json:
        return {"model": shape(models.get(call.workspace_id, call.path["model_id"], body.allow_deleted))}


def _add_changes(r: Routes, access: RunAccess) -> None:
    models = access.runs.logged_models
    one = "2.0/mlflow/logged-models/{model_id}"

    def changing(call: Call) -> LoggedModel:
        """The model, if the caller may change it. Raises RESOURCE_DOES_NOT_EXIST, PERMISSION_DENIED."""
        found = models.get(call.workspace_id, call.path["model_id"], deleted=True)
        check_maker(access, call, found.source_run_id)
        return found

    @route(r, "PATCH", one, Permission.MODEL_REGISTER)
    def finalize(call: Call, body: FinalizeModel) -> Json:
        assert body.status is not None
        found = changing(call)
        return {"model": shape(models.set_status(call.workspace_id, found.id, _STATUSES[body.status]))}

    @route(r, "DELETE", one, Permission.MODEL_REGISTER)
    def delete(call: Call) -> Json:
        models.delete(call.workspace_id, changing(call).id, call.principal.name)
        return {}

    @route(r, "PATCH", f"{one}/tags", Permission.MODEL_REGISTER)
    def set_tags(call: Call, body: SetTags) -> Json:
        models.change(call.workspace_id, changing(call).id, {t.key: t.value for t in body.tags})
        return {}

    @route(r, "DELETE", f"{one}/tags/{{tag_key:path}}", Permission.MODEL_REGISTER)
    def delete_tag(call: Call) -> Json:
        found, key = changing(call), call.path["tag_key"]
        if key not in found.tags:
            raise errors.not_found(f"No tag with key {key!r} found for model with ID {found.id!r}.")
        models.change(call.workspace_id, found.id, {}, [key])
        return {}

    @route(r, "POST", f"{one}/params", Permission.MODEL_REGISTER)
    def log_params(call: Call, body: LogParams) -> Json:
        params = {p.key: p.value for p in body.params}
        models.change(call.workspace_id, changing(call).id, {}, add_params=params)
        return {}


def check_maker(access: RunAccess, call: Call, run_id: str) -> None:
    """A run may make and change models of itself and of the runs below it."""
    if call.principal.kind is not Kind.RUN:
        return
    if not run_id:
        raise Forbidden(
            "other_run", f"{call.principal.name} may log models of itself and its child runs only."
        )
    access.check(call, run_id)


def shape(model: LoggedModel) -> Json:
    status = next(name for name, ours in _STATUSES.items() if ours == model.status)
    info: Json = {
        "model_id": model.id,
        "experiment_id": model.experiment_id,
        "name": model.name,
        "creation_timestamp_ms": shapes.milliseconds(model.created_at),
        "last_updated_timestamp_ms": shapes.milliseconds(model.updated_at),
        "artifact_uri": shapes.model_root(model.experiment_id, model.id),
        "status": status,
        "model_type": model.type,
        "source_run_id": model.source_run_id,
        "tags": shapes.pairs(model.tags),
    }
    data = {"params": shapes.pairs(model.params), "metrics": [_metric(m) for m in model.metrics]}
    return {"info": shapes.without_empty(info), "data": shapes.without_empty(data)}


def _metric(metric: ModelMetric) -> Json:
    message: Json = {
        **shapes.point(metric.name, metric.value, metric.time_ms, metric.step),
        "model_id": metric.model_id,
        "run_id": metric.run_id,
    }
    if metric.dataset_name:
        message["dataset_name"] = metric.dataset_name
    if metric.dataset_digest:
        message["dataset_digest"] = metric.dataset_digest
    return message


def _selected(found: list[LoggedModel], body: SearchModels) -> list[LoggedModel]:
    clauses = filters.parse(body.filter, _ATTRIBUTES, _KINDS)
    for clause in clauses:
        is_attribute = clause.kind == filters.ATTRIBUTE
        numeric = clause.kind == "metric" or (is_attribute and clause.key in _TIMES)
        filters.check_ops(clause, numeric, lists=not numeric)
    metrics = [clause for clause in clauses if clause.kind == "metric"]
    others = [clause for clause in clauses if clause.kind != "metric"]
    rows = [
        model
        for model in found
        if all(filters.holds(c, _value(model, c.kind, c.key)) for c in others)
        and all(_measured(model, c, body.datasets) for c in metrics)
        and (metrics or not body.datasets or any(_on(m, body.datasets) for m in model.metrics))
    ]
    keys: list[Any] = [(_sort_key(order), not order.ascending) for order in body.order_by]
    fields = [order.field_name for order in body.order_by]
    if not any(_TIMES.get(name) == "created_at" for name in fields):
        keys.append((lambda model: model.created_at, True))
    if "model_id" not in fields:
        keys.append((lambda model: model.id, False))
    return filters.in_order(rows, keys)


def _value(model: LoggedModel, kind: str, key: str) -> Any:
    if kind == "param":
        return model.params.get(key)
    if kind == "tag":
        return model.tags.get(key)
    if key in _TIMES:
        return shapes.milliseconds(getattr(model, _TIMES[key]))
    return getattr(model, _TEXTS[key])


def _measured(model: LoggedModel, clause: filters.Clause, datasets: list[DatasetFilter]) -> bool:
    return any(
        m.name == clause.key and filters.holds(clause, m.value) and (not datasets or _on(m, datasets))
        for m in model.metrics
    )


def _on(metric: ModelMetric, datasets: list[DatasetFilter]) -> bool:
    return any(
        metric.dataset_name == one.dataset_name and one.dataset_digest in ("", metric.dataset_digest)
        for one in datasets
    )


def _sort_key(order: OrderBy) -> Any:
    entity, dot, name = order.field_name.partition(".")
    if not dot:
        if order.field_name not in _ATTRIBUTES:
            raise errors.invalid(f"Invalid order by field name: {order.field_name}")
        return lambda model: _value(model, filters.ATTRIBUTE, order.field_name)
    if entity != "metrics":
        raise errors.invalid(f"Invalid order by field name: {order.field_name}. Only metrics are supported.")

    def latest(model: LoggedModel) -> float | None:
        wanted = [
            m
            for m in model.metrics
            if m.name == name
            and order.dataset_name in ("", m.dataset_name)
            and order.dataset_digest in ("", m.dataset_digest)
        ]
        return max(wanted, key=lambda m: (m.time_ms, m.step)).value if wanted else None

    return latest
