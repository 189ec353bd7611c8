"""MLflow's experiments: the yard's own, by id. What MLflow deletes lies in the trash."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from modelyard.server.kernel.auth import Permission
from modelyard.server.kernel.errors import Conflict, NotFound
from modelyard.server.kernel.http import Call, Routes
from modelyard.server.mlflow import errors, filters, names, paging, shapes
from modelyard.server.mlflow.protocol import Int64, Message, route
from modelyard.server.mlflow.shapes import NOTE, Json
from modelyard.server.runs.experiments import Experiments
from modelyard.wire.experiments import ExperimentCreate, ExperimentInfo, ExperimentUpdate

# MLflow has one experiment from the start, with this id; here it is made when it is first asked for.
DEFAULT_ID, DEFAULT_NAME = "0", "Default"

_VIEWS = {"ACTIVE_ONLY": ["active"], "DELETED_ONLY": ["trash"], "ALL": ["all", "trash"]}
_NUMBERS = {"creation_time", "last_update_time"}
_ATTRIBUTES = {"name", "experiment_id", *_NUMBERS}
_KINDS = {"tag": "tag", "tags": "tag"}
_NEWEST_FIRST = ("creation_time DESC", "experiment_id ASC")

ViewType = Literal["ACTIVE_ONLY", "DELETED_ONLY", "ALL", 1, 2, 3]
_VIEW_NAMES: dict[ViewType, str] = {1: "ACTIVE_ONLY", 2: "DELETED_ONLY", 3: "ALL"}


def view_name(view: ViewType) -> str:
    return _VIEW_NAMES.get(view, str(view))


class KeyValue(msgspec.Struct):
    key: str = ""
    value: str = ""


class CreateExperiment(Message):
    """`artifact_location` is not followed: the yard keeps the files."""

    required = ("name",)
    name: str = ""
    artifact_location: str = ""
    tags: list[KeyValue] = []


class ExperimentOf(Message):
    required = ("experiment_id",)
    experiment_id: str = ""


class ExperimentByName(Message):
    required = ("experiment_name",)
    experiment_name: str = ""


class UpdateExperiment(Message):
    required = ("experiment_id", "new_name")
    experiment_id: str = ""
    new_name: str = ""


class SetExperimentTag(Message):
    required = ("experiment_id", "key")
    experiment_id: str = ""
    key: str = ""
    value: str = ""


class DeleteExperimentTag(Message):
    required = ("experiment_id", "key")
    experiment_id: str = ""
    key: str = ""


class SearchExperiments(Message):
    """A client always says how many it wants."""

    max_results: Int64 = 0
    page_token: str = ""
    filter: str = ""
    order_by: list[str] = []
    view_type: ViewType = "ACTIVE_ONLY"


def add(r: Routes, experiments: Experiments) -> None:
    _add_making(r, experiments)
    _add_tags(r, experiments)

    @route(r, "GET", "2.0/mlflow/experiments/get", Permission.READ)
    def get(call: Call, body: ExperimentOf) -> Json:
        return {"experiment": shapes.experiment(find(experiments, call, body.experiment_id))}

    @route(r, "GET", "2.0/mlflow/experiments/get-by-name", Permission.READ)
    def get_by_name(call: Call, body: ExperimentByName) -> Json:
        found = experiments.by_name(call.workspace_id, body.experiment_name)
        if found is None and body.experiment_name == DEFAULT_NAME:
            found = _default(experiments, call)
        if found is None:
            raise errors.not_found(f"Could not find experiment with name '{body.experiment_name}'")
        return {"experiment": shapes.experiment(found)}

    @route(r, "POST", "2.0/mlflow/experiments/search", Permission.READ)
    @route(r, "GET", "2.0/mlflow/experiments/search", Permission.READ)
    def search(call: Call, body: SearchExperiments) -> Json:
        paging.check_max_results(body.max_results)
        found = [
            info for view in _VIEWS[view_name(body.view_type)] for info in experiments.list(call.workspace_id, view, [])
        ]  # fmt: skip
        rows, token = paging.page(_selected(found, body), body.page_token, body.max_results)
        answer = shapes.without_empty({"experiments": [shapes.experiment(row) for row in rows]})
        return {**answer, "next_page_token": token} if token else answer


def _add_making(r: Routes, experiments: Experiments) -> None:
    @route(r, "POST", "2.0/mlflow/experiments/create", Permission.CONTRIBUTE)
    def create(call: Call, body: CreateExperiment) -> Json:
        names.check_experiment_name(body.name)
        for tag in body.tags:
            names.check_experiment_tag(tag.key, tag.value)
        tags = {tag.key: tag.value for tag in body.tags}
        given = ExperimentCreate(body.name, description=tags.pop(NOTE, ""), tags=tags)
        if body.name == DEFAULT_NAME:
            raise errors.exists(f"Experiment(name={body.name}) already exists.")
        try:
            made = experiments.create(call.workspace_id, given, call.principal.name)
        except Conflict:
            raise errors.exists(f"Experiment(name={body.name}) already exists.") from None
        return {"experiment_id": made.id}

    @route(r, "POST", "2.0/mlflow/experiments/update", Permission.CONTRIBUTE)
    def update(call: Call, body: UpdateExperiment) -> Json:
        names.check_experiment_name(body.new_name)
        found = find(experiments, call, body.experiment_id)
        if found.deleted_at is not None:
            raise errors.Refusal("INVALID_STATE", "Cannot rename a non-active experiment.")
        change = ExperimentUpdate(name=body.new_name)
        try:
            experiments.update(call.workspace_id, found.id, change, call.principal.name)
        except Conflict:
            message = f"Experiment(name={body.new_name}) already exists."
            raise errors.Refusal("BAD_REQUEST", message) from None
        return {}

    @route(r, "POST", "2.0/mlflow/experiments/delete", Permission.CONTRIBUTE)
    def delete(call: Call, body: ExperimentOf) -> Json:
        found = find(experiments, call, body.experiment_id)
        if found.deleted_at is not None:
            raise _no_such(body.experiment_id)
        experiments.trash(call.workspace_id, found.id, force=True, actor=call.principal.name)
        return {}

    @route(r, "POST", "2.0/mlflow/experiments/restore", Permission.CONTRIBUTE)
    def restore(call: Call, body: ExperimentOf) -> Json:
        found = find(experiments, call, body.experiment_id)
        if found.deleted_at is None:
            raise _no_such(body.experiment_id)
        experiments.restore(call.workspace_id, found.id, actor=call.principal.name)
        return {}


def _add_tags(r: Routes, experiments: Experiments) -> None:
    @route(r, "POST", "2.0/mlflow/experiments/set-experiment-tag", Permission.CONTRIBUTE)
    def set_tag(call: Call, body: SetExperimentTag) -> Json:
        names.check_experiment_tag(body.key, body.value)
        found = find_active(experiments, call, body.experiment_id)
        change = ExperimentUpdate(set_tags={body.key: body.value})
        if body.key == NOTE:
            change = ExperimentUpdate(description=body.value)
        experiments.update(call.workspace_id, found.id, change, call.principal.name)
        return {}

    @route(r, "POST", "2.0/mlflow/experiments/delete-experiment-tag", Permission.CONTRIBUTE)
    def delete_tag(call: Call, body: DeleteExperimentTag) -> Json:
        found = find_active(experiments, call, body.experiment_id)
        change = ExperimentUpdate(remove_tags=[body.key])
        if body.key == NOTE and found.description:
            change = ExperimentUpdate(description="")
        elif body.key not in found.tags:
            raise errors.not_found(f"No tag with name: {body.key} in experiment with id {body.experiment_id}")
        experiments.update(call.workspace_id, found.id, change, call.principal.name)
        return {}


def find(experiments: Experiments, call: Call, experiment_id: str) -> ExperimentInfo:
    """Also one in the trash, as MLflow has it; "0" is the default experiment."""
    if experiment_id == DEFAULT_ID:
        return _default(experiments, call)
    try:
        return experiments.by_id(call.workspace_id, experiment_id)
    except NotFound:
        raise _no_such(experiment_id) from None


def known_ids(experiments: Experiments, call: Call, experiment_ids: Sequence[str]) -> list[str]:
    """For a search, which finds nothing in an experiment that is not there."""
    return [find(experiments, call, one).id if one == DEFAULT_ID else one for one in experiment_ids]


def find_active(experiments: Experiments, call: Call, experiment_id: str) -> ExperimentInfo:
    found = find(experiments, call, experiment_id)
    if found.deleted_at is not None:
        raise errors.invalid(
            f"The experiment {experiment_id} must be in the 'active' state. Current state is deleted."
        )
    return found


def _default(experiments: Experiments, call: Call) -> ExperimentInfo:
    return experiments.get_or_create(call.workspace_id, ExperimentCreate(DEFAULT_NAME), call.principal.name)


def _no_such(experiment_id: str) -> errors.Refusal:
    return errors.not_found(f"No Experiment with id={experiment_id[:80]} exists")


def _selected(found: list[ExperimentInfo], body: SearchExperiments) -> Sequence[ExperimentInfo]:
    clauses = filters.parse(body.filter, _ATTRIBUTES, _KINDS)
    for clause in clauses:
        filters.check_ops(
            clause, clause.key in _NUMBERS and clause.kind == filters.ATTRIBUTE, clause.key == "experiment_id"
        )
    orders = [filters.parse_order(text, _ATTRIBUTES, _KINDS) for text in body.order_by or _NEWEST_FIRST]
    if any(order.kind != filters.ATTRIBUTE for order in orders):
        raise errors.invalid("Invalid order_by entity: tag")
    if all(order.key != "experiment_id" for order in orders):
        orders.append(filters.Order(filters.ATTRIBUTE, "experiment_id", True))
    rows = [
        info
        for info in found
        if all(filters.holds(clause, _value(info, clause.kind, clause.key)) for clause in clauses)
    ]
    keys: list[Any] = [
        (lambda info, o=order: _value(info, o.kind, o.key), order.descending) for order in orders
    ]
    return filters.in_order(rows, keys)


def _value(info: ExperimentInfo, kind: str, key: str) -> Any:
    if kind == "tag":
        return info.description or None if key == NOTE else info.tags.get(key)
    return {
        "name": info.name,
        "experiment_id": info.id,
        "creation_time": shapes.milliseconds(info.created_at),
        "last_update_time": shapes.milliseconds(info.updated_at or info.created_at),
    }[key]
