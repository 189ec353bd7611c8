"""MLflow's runs: begun, told of, labelled, deleted and brought back. They are the yard's own, by the same ids."""

from __future__ import annotations

import uuid
from typing import Literal

from starlette.concurrency import run_in_threadpool

from modelyard.server.kernel.auth import Permission
from modelyard.server.kernel.errors import Conflict, ProblemError
from modelyard.server.kernel.http import Call, Routes
from modelyard.server.mlflow import errors, experiments, names, run_names, shapes
from modelyard.server.mlflow.access import RunAccess
from modelyard.server.mlflow.experiments import KeyValue
from modelyard.server.mlflow.protocol import Int64, Message, RunMessage, route
from modelyard.server.mlflow.shapes import NOTE, PARENT, RUN_NAME, USER, Json
from modelyard.server.runs.creation import Place
from modelyard.server.runs.tracking import Begin
from modelyard.wire.experiments import ExperimentInfo
from modelyard.wire.runs import RunStatus, RunUpdate

# By name or number, as protobuf's JSON has both.
Status = Literal["RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED", 1, 2, 3, 4, 5]
_STATUSES: dict[Status, RunStatus] = {
    "RUNNING": RunStatus.RUNNING, 1: RunStatus.RUNNING,
    "SCHEDULED": RunStatus.NOT_STARTED, 2: RunStatus.NOT_STARTED,
    "FINISHED": RunStatus.COMPLETED, 3: RunStatus.COMPLETED,
    "FAILED": RunStatus.FAILED, 4: RunStatus.FAILED,
    "KILLED": RunStatus.CANCELED, 5: RunStatus.CANCELED,
}  # fmt: skip


class CreateRun(Message):
    experiment_id: str = ""
    user_id: str = ""
    run_name: str = ""
    start_time: Int64 = 0
    tags: list[KeyValue] = []


class UpdateRun(RunMessage):
    status: Status | None = None
    end_time: Int64 | None = None
    run_name: str = ""


class SetTag(RunMessage):
    required = ("run_id", "key")
    key: str = ""
    value: str = ""


class DeleteTag(RunMessage):
    required = ("run_id", "key")
    key: str = ""


class LogParam(RunMessage):
    required = ("run_id", "key")
    key: str = ""
    value: str = ""


def add(r: Routes, access: RunAccess) -> None:
    _add_life(r, access)
    _add_labels(r, access)
    runs = access.runs

    @route(r, "POST", "2.0/mlflow/runs/create", Permission.RUN_CREATE)
    async def create(call: Call, body: CreateRun) -> Json:
        tags = {tag.key: tag.value for tag in body.tags}
        name = body.run_name or tags.get(RUN_NAME, "")
        if body.run_name and tags.get(RUN_NAME, name) != name:
            raise errors.invalid(
                "Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different values "
                f"(run_name='{name}', mlflow.runName='{tags[RUN_NAME]}')."
            )
        experiment_id = body.experiment_id or experiments.DEFAULT_ID
        if experiment_id == experiments.DEFAULT_ID:
            experiment_id = (await _experiment(call, experiment_id)).id
        parent_id = tags.get(PARENT)
        is_known = bool(parent_id) and await run_in_threadpool(
            runs.exists, call.workspace_id, parent_id or ""
        )
        if is_known:
            del tags[PARENT]
        else:
            parent_id = None  # MLflow takes any text for it, so it stays the tag that it is
        begin = Begin(
            run_id=uuid.uuid4().hex,
            experiment_id=experiment_id,
            display_name=name or run_names.new_name(),
            description=tags.pop(NOTE, ""),
            parent_id=parent_id,
            started_at=body.start_time / 1000 if body.start_time else None,
            user=body.user_id or tags.get(USER, ""),
            tags={key: value for key, value in tags.items() if key != RUN_NAME},
        )
        place = Place(call.workspace_id, call.path["workspace"], call.principal)
        try:
            info = await runs.tracking.begin(place, begin)
        except ProblemError:
            # What is wrong with the experiment comes first, in MLflow's words.
            await _experiment(call, experiment_id)
            raise
        return {"run": shapes.new_run(info)}

    async def _experiment(call: Call, experiment_id: str) -> ExperimentInfo:
        return await run_in_threadpool(experiments.find_active, runs.experiments, call, experiment_id)

    @route(r, "GET", "2.0/mlflow/runs/get", Permission.RUN_READ)
    def get(call: Call, body: RunMessage) -> Json:
        found = access.found(call, body.run_id)
        return {"run": shapes.run(found, runs.tracking.inputs_of([body.run_id]).get(body.run_id))}


def _add_life(r: Routes, access: RunAccess) -> None:
    runs = access.runs

    @route(r, "POST", "2.0/mlflow/runs/update", Permission.RUN_WRITE)
    async def update(call: Call, body: UpdateRun) -> Json:
        async with access.changing(call, body.run_id):
            if body.run_name:
                change = RunUpdate(display_name=body.run_name)
                await run_in_threadpool(
                    runs.update, call.workspace_id, body.run_id, change, call.principal.name
                )
            then = None if body.status is None else _STATUSES[body.status]
            ended_at = None if body.end_time is None else body.end_time / 1000
            info = await runs.tracking.set_status(
                call.workspace_id, body.run_id, then, ended_at, call.principal.name
            )
        return {"run_info": shapes.run_info(info)}

    @route(r, "POST", "2.0/mlflow/runs/delete", Permission.RUN_WRITE)
    def delete(call: Call, body: RunMessage) -> Json:
        if access.found(call, body.run_id).info.deleted_at is None:
            runs.trash(call.workspace_id, body.run_id, call.principal.name)
        return {}

    @route(r, "POST", "2.0/mlflow/runs/restore", Permission.RUN_WRITE)
    def restore(call: Call, body: RunMessage) -> Json:
        if access.found(call, body.run_id).info.deleted_at is not None:
            runs.restore(call.workspace_id, body.run_id, call.principal.name)
        return {}


def _add_labels(r: Routes, access: RunAccess) -> None:
    runs = access.runs

    @route(r, "POST", "2.0/mlflow/runs/set-tag", Permission.RUN_WRITE)
    async def set_tag(call: Call, body: SetTag) -> Json:
        async with access.changing(call, body.run_id):
            update = changed([], [KeyValue(body.key, body.value)])
            await runs.tracking.log(call.workspace_id, body.run_id, (), update, (), call.principal.name)
        return {}

    @route(r, "POST", "2.0/mlflow/runs/delete-tag", Permission.RUN_WRITE)
    def delete_tag(call: Call, body: DeleteTag) -> Json:
        with access.active(call, body.run_id):
            info = runs.get(call.workspace_id, body.run_id)
            change = RunUpdate(remove_tags=[body.key])
            if body.key == NOTE and info.description:
                change = RunUpdate(description="")
            elif body.key not in info.tags:
                raise errors.not_found(f"No tag with name: {body.key} in run with id {body.run_id}")
            runs.update(call.workspace_id, body.run_id, change, call.principal.name)
        return {}

    @route(r, "POST", "2.0/mlflow/runs/log-parameter", Permission.RUN_WRITE)
    async def log_param(call: Call, body: LogParam) -> Json:
        async with access.changing(call, body.run_id):
            update = changed([KeyValue(body.key, body.value)], [])
            try:
                await runs.tracking.log(call.workspace_id, body.run_id, (), update, (), call.principal.name)
            except Conflict as error:
                raise param_refusal(error, body.run_id, alone=True) from None
        return {}


def changed(params: list[KeyValue], tags: list[KeyValue], in_batch: bool = False) -> RunUpdate:
    """What setting these parameters and tags changes of a run. Raises INVALID_PARAMETER_VALUE."""
    add_params: dict[str, str] = {}
    for index, param in enumerate(params):
        names.check_key(param.key, f"params[{index}].key" if in_batch else "key")
        names.check_length("Param key", param.key, names.MAX_KEY)
        add_params[param.key] = names.shortened(param.value, names.MAX_PARAM_VALUE)
    set_tags: dict[str, str] = {}
    for index, tag in enumerate(tags):
        path = f"tags[{index}].key" if in_batch else "key"
        names.check_key(tag.key, path)
        names.check_length(path, tag.key, names.MAX_KEY)
        set_tags[tag.key] = names.shortened(tag.value, names.MAX_TAG_VALUE)
    name, note = set_tags.pop(RUN_NAME, None), set_tags.pop(NOTE, None)
    return RunUpdate(add_params=add_params, set_tags=set_tags, display_name=name, description=note)


def param_refusal(error: Conflict, run_id: str, alone: bool) -> Exception:
    """Another value for a parameter, in MLflow's words; clients look for them."""
    if error.code != "param_is_immutable":
        return error
    taken = error.extra["params"]
    if not alone:
        return errors.invalid(
            f"Changing param values is not allowed. Params were already logged='{taken}' for run ID='{run_id}'."
        )
    one = taken[0]
    return errors.invalid(
        f"Changing param values is not allowed. Param with key='{one['key']}' was already logged with "
        f"value='{one['old_value']}' for run ID='{run_id}'. Attempted logging new value '{one['new_value']}'."
    )
