"""The routes of traces: MLflow 3's, and those of 2.14 to 2.x, whose traces begin and end by two calls.

Spans come and go as a file at the trace's artifact URI; that is what MLflow's clients do where a server takes no
OpenTelemetry, which would need protobuf.
"""

from __future__ import annotations

import dataclasses
import datetime
import re
import uuid
from typing import Any

import msgspec

from modelyard.server.kernel.auth import Kind, Permission
from modelyard.server.kernel.errors import Forbidden
from modelyard.server.kernel.http import Call, Routes
from modelyard.server.mlflow import errors, experiments, filters, paging, shapes
from modelyard.server.mlflow.access import RunAccess
from modelyard.server.mlflow.experiments import KeyValue
from modelyard.server.mlflow.protocol import UNDER, Int64, Message, route
from modelyard.server.mlflow.shapes import Json
from modelyard.server.mlflow.traces import Traces
from modelyard.server.mlflow.traces_store import Trace

_MAX_PAGE = 500
_DEFAULT_PAGE = 100
_LOCATION = "mlflow.artifactLocation"
_NAME = "mlflow.traceName"
_RUN = "mlflow.sourceRun"
_FINALIZED = {"mlflow.trace.infoFinalized": "true"}
_DURATION = re.compile(r"(-?\d+(?:\.\d+)?)s")
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_NUMBERS = {
    "timestamp": "started_ms",
    "timestamp_ms": "started_ms",
    "execution_time": "duration_ms",
    "execution_time_ms": "duration_ms",
}
_TEXTS = {"request_id": "id", "trace_id": "id", "status": "state", "client_request_id": "client_request_id"}
_ATTRIBUTES = {*_NUMBERS, *_TEXTS, "end_time", "end_time_ms", "name", "run_id", "experiment_id"}
_KINDS = {
    "tag": "tag",
    "tags": "tag",
    "trace": filters.ATTRIBUTE,
    "metadata": "metadata",
    "request_metadata": "metadata",
}
_V2_STATUS = {"STATE_UNSPECIFIED": "TRACE_STATUS_UNSPECIFIED"}


class ExperimentLocation(msgspec.Struct):
    experiment_id: str = ""


class Location(msgspec.Struct):
    mlflow_experiment: ExperimentLocation = msgspec.field(default_factory=ExperimentLocation)


class TraceInfo(msgspec.Struct):
    trace_id: str = ""
    trace_location: Location = msgspec.field(default_factory=Location)
    client_request_id: str = ""
    request_preview: str = ""
    response_preview: str = ""
    request_time: str = ""
    execution_duration: str = ""
    state: str = "STATE_UNSPECIFIED"
    trace_metadata: dict[str, str] = {}
    tags: dict[str, str] = {}
    assessments: list[Any] = []


class NewTrace(msgspec.Struct):
    trace_info: TraceInfo | None = None


class StartTrace(Message):
    trace: NewTrace = msgspec.field(default_factory=NewTrace)


class StartOld(Message):
    required = ("experiment_id",)
    experiment_id: str = ""
    timestamp_ms: Int64 = 0
    request_metadata: list[KeyValue] = []
    tags: list[KeyValue] = []


class EndOld(Message):
    timestamp_ms: Int64 = 0
    status: str = "OK"
    request_metadata: list[KeyValue] = []
    tags: list[KeyValue] = []


class SearchTraces(Message):
    locations: list[Location] = []
    filter: str = ""
    max_results: Int64 = _DEFAULT_PAGE
    order_by: list[str] = []
    page_token: str = ""


class SearchOld(Message):
    experiment_ids: list[str] = []
    filter: str = ""
    max_results: Int64 = _DEFAULT_PAGE
    order_by: list[str] = []
    page_token: str = ""


class TagMessage(Message):
    required = ("key",)
    key: str = ""
    value: str = ""


class TraceIds(Message):
    trace_ids: list[str] = []


class Link(Message):
    required = ("run_id",)
    trace_ids: list[str] = []
    run_id: str = ""


class DeleteTraces(Message):
    required = ("experiment_id",)
    experiment_id: str = ""
    max_timestamp_millis: Int64 | None = None
    max_traces: Int64 | None = None
    request_ids: list[str] = []


def add(r: Routes, access: RunAccess, traces: Traces) -> None:
    _add_new(r, access, traces)
    _add_old(r, access, traces)
    _add_changes(r, access, traces)

    def no_spans(call: Call) -> None:
        """MLflow's clients take these words to mean that spans are to come as the trace's file."""
        raise errors.Refusal("NOT_IMPLEMENTED", "REST OTLP span logging is not supported by the yard.")

    r.post(f"{UNDER}/v1/traces", Permission.RUN_WRITE)(no_spans)


def _add_new(r: Routes, access: RunAccess, traces: Traces) -> None:
    @route(r, "POST", "3.0/mlflow/traces", Permission.RUN_WRITE)
    def start(call: Call, body: StartTrace) -> Json:
        info = body.trace.trace_info
        if info is None or not info.trace_id:
            raise errors.missing("trace.trace_info.trace_id")
        experiment_id = _experiment(access, call, info.trace_location.mlflow_experiment.experiment_id)
        trace = Trace(
            id=info.trace_id,
            experiment_id=experiment_id,
            started_ms=_moment(info.request_time),
            duration_ms=_duration(info.execution_duration),
            state=info.state,
            client_request_id=info.client_request_id,
            request_preview=info.request_preview,
            response_preview=info.response_preview,
            trace_metadata={**info.trace_metadata, **_FINALIZED},
            tags={**info.tags, _LOCATION: shapes.trace_root(experiment_id, info.trace_id)},
            assessments=info.assessments,
        )
        return {"trace": {"trace_info": shape(traces.put(call.workspace_id, trace))}}

    @route(r, "POST", "3.0/mlflow/traces/search", Permission.READ)
    def search(call: Call, body: SearchTraces) -> Json:
        ids = [one.mlflow_experiment.experiment_id for one in body.locations]
        rows, token = _page(_found(access, traces, call, ids, body.filter, body.order_by), body)
        answer = shapes.without_empty({"traces": [shape(row) for row in rows]})
        return {**answer, "next_page_token": token} if token else answer

    @route(r, "POST", "3.0/mlflow/traces/batchGetInfos", Permission.READ)
    def infos(call: Call, body: TraceIds) -> Json:
        found = []
        for trace_id in body.trace_ids:
            try:
                found.append(shape(traces.get(call.workspace_id, trace_id)))
            except errors.Refusal:
                continue
        return shapes.without_empty({"trace_infos": found})

    @route(r, "GET", "3.0/mlflow/traces/batchGet", Permission.READ)
    @route(r, "GET", "3.0/mlflow/traces/get", Permission.READ)
    def whole(call: Call) -> Json:
        raise errors.Refusal(
            "NOT_IMPLEMENTED", "The yard keeps the spans of a trace as traces.json at its artifact URI."
        )

    @route(r, "GET", "3.0/mlflow/traces/{trace_id}", Permission.READ)
    def get(call: Call) -> Json:
        return {"trace": {"trace_info": shape(traces.get(call.workspace_id, call.path["trace_id"]))}}


def _add_old(r: Routes, access: RunAccess, traces: Traces) -> None:
    @route(r, "POST", "2.0/mlflow/traces", Permission.RUN_WRITE)
    def start(call: Call, body: StartOld) -> Json:
        experiment_id = _experiment(access, call, body.experiment_id)
        trace_id = uuid.uuid4().hex
        tags = {**_dict(body.tags), _LOCATION: shapes.trace_root(experiment_id, trace_id)}
        trace = Trace(
            trace_id, experiment_id, body.timestamp_ms, trace_metadata=_dict(body.request_metadata), tags=tags
        )
        return {"trace_info": old_shape(traces.put(call.workspace_id, trace))}

    @route(r, "PATCH", "2.0/mlflow/traces/{trace_id}", Permission.RUN_WRITE)
    def end(call: Call, body: EndOld) -> Json:
        def ended(trace: Trace) -> Trace:
            check_experiment(access, call, trace.experiment_id)
            return dataclasses.replace(
                trace,
                duration_ms=body.timestamp_ms - trace.started_ms,
                state=body.status,
                trace_metadata={**trace.trace_metadata, **_dict(body.request_metadata)},
                tags={**trace.tags, **_dict(body.tags)},
            )

        return {"trace_info": old_shape(traces.change(call.workspace_id, call.path["trace_id"], ended))}

    @route(r, "GET", "2.0/mlflow/traces/{trace_id}/info", Permission.READ)
    def info(call: Call) -> Json:
        return {"trace_info": old_shape(traces.get(call.workspace_id, call.path["trace_id"]))}

    @route(r, "GET", "2.0/mlflow/traces", Permission.READ)
    def search(call: Call, body: SearchOld) -> Json:
        found = _found(access, traces, call, body.experiment_ids, body.filter, body.order_by)
        rows, token = _page(found, body)
        answer = shapes.without_empty({"traces": [old_shape(row) for row in rows]})
        return {**answer, "next_page_token": token} if token else answer


def _add_changes(r: Routes, access: RunAccess, traces: Traces) -> None:
    def set_tag(call: Call, body: TagMessage) -> Json:
        def tagged(trace: Trace) -> Trace:
            check_experiment(access, call, trace.experiment_id)
            return dataclasses.replace(trace, tags={**trace.tags, body.key: body.value})

        traces.change(call.workspace_id, call.path["trace_id"], tagged)
        return {}

    def delete_tag(call: Call, body: TagMessage) -> Json:
        def untagged(trace: Trace) -> Trace:
            check_experiment(access, call, trace.experiment_id)
            if body.key not in trace.tags:
                raise errors.not_found(f"No trace tag with key '{body.key}' for trace with ID '{trace.id}'")
            return dataclasses.replace(trace, tags={k: v for k, v in trace.tags.items() if k != body.key})

        traces.change(call.workspace_id, call.path["trace_id"], untagged)
        return {}

    def delete(call: Call, body: DeleteTraces) -> Json:
        if body.max_timestamp_millis is None and not body.request_ids:
            raise errors.invalid("Either `max_timestamp_millis` or `trace_ids` must be specified.")
        found = experiments.find(access.runs.experiments, call, body.experiment_id)
        count = traces.delete(
            call.workspace_id, found.id, body.request_ids, body.max_timestamp_millis, body.max_traces
        )
        return {"traces_deleted": count}

    for version in ("2.0", "3.0"):
        tags = f"{version}/mlflow/traces/{{trace_id}}/tags"
        route(r, "PATCH", tags, Permission.RUN_WRITE)(set_tag)
        route(r, "DELETE", tags, Permission.RUN_WRITE)(delete_tag)
        route(r, "POST", f"{version}/mlflow/traces/delete-traces", Permission.CONTRIBUTE)(delete)

    @route(r, "POST", "2.0/mlflow/traces/link-to-run", Permission.RUN_WRITE)
    def link(call: Call, body: Link) -> Json:
        with access.active(call, body.run_id):
            access.runs.get(call.workspace_id, body.run_id)
        for trace_id in body.trace_ids:
            traces.change(
                call.workspace_id,
                trace_id,
                lambda trace: dataclasses.replace(
                    trace, run_ids=list(dict.fromkeys([*trace.run_ids, body.run_id]))
                ),
            )
        return {}


def shape(trace: Trace) -> Json:
    message: Json = {
        "trace_id": trace.id,
        "trace_location": {
            "type": "MLFLOW_EXPERIMENT",
            "mlflow_experiment": {"experiment_id": trace.experiment_id},
        },
        "request_time": _time_text(trace.started_ms),
        "state": trace.state,
        "trace_metadata": trace.trace_metadata,
        "tags": trace.tags,
        "assessments": trace.assessments,
    }
    for name in ("client_request_id", "request_preview", "response_preview"):
        if getattr(trace, name):
            message[name] = getattr(trace, name)
    if trace.duration_ms is not None:
        message["execution_duration"] = f"{trace.duration_ms / 1000:.3f}s"
    return {name: value for name, value in message.items() if value not in ([], {})}


def old_shape(trace: Trace) -> Json:
    return shapes.without_empty(
        {
            "request_id": trace.id,
            "experiment_id": trace.experiment_id,
            "timestamp_ms": trace.started_ms,
            "execution_time_ms": trace.duration_ms or 0,
            "status": _V2_STATUS.get(trace.state, trace.state),
            "request_metadata": shapes.pairs(trace.trace_metadata),
            "tags": shapes.pairs(trace.tags),
        }
    )


def _experiment(access: RunAccess, call: Call, experiment_id: str) -> str:
    """The experiment a new trace goes to."""
    if not experiment_id:
        raise errors.missing("experiment_id")
    found = experiments.find_active(access.runs.experiments, call, experiment_id)
    check_experiment(access, call, found.id)
    return found.id


def check_experiment(access: RunAccess, call: Call, experiment_id: str) -> None:
    """A run may trace into its own experiment."""
    caller = call.principal
    if caller.kind is Kind.RUN:
        own = access.runs.get(call.workspace_id, caller.subject).experiment_id
        if own != experiment_id:
            raise Forbidden("other_experiment", f"{caller.name} may trace only into its own experiment.")


def _found(
    access: RunAccess, traces: Traces, call: Call, experiment_ids: list[str], text: str, order_by: list[str]
) -> list[Trace]:
    clauses = filters.parse(text, _ATTRIBUTES, _KINDS)
    for clause in clauses:
        numeric = clause.kind == filters.ATTRIBUTE and (
            clause.key in _NUMBERS or clause.key.startswith("end_time")
        )
        filters.check_ops(clause, numeric, lists=not numeric)
    orders = [filters.parse_order(one, _ATTRIBUTES, _KINDS) for one in order_by]
    ids = experiments.known_ids(access.runs.experiments, call, experiment_ids)
    found = [
        trace
        for trace in traces.of_experiments(call.workspace_id, ids)
        if all(_holds(clause, trace) for clause in clauses)
    ]
    keys: list[Any] = [(lambda trace, o=o: _value(trace, o.kind, o.key), o.descending) for o in orders]
    return filters.in_order(found, keys)


def _holds(clause: filters.Clause, trace: Trace) -> bool:
    if clause.kind == filters.ATTRIBUTE and clause.key == "run_id":
        runs = [*trace.run_ids, trace.trace_metadata.get(_RUN)]
        return any(filters.holds(clause, run) for run in runs)
    return filters.holds(clause, _value(trace, clause.kind, clause.key))


def _value(trace: Trace, kind: str, key: str) -> Any:
    if kind == "tag":
        return trace.tags.get(key)
    if kind == "metadata":
        return trace.trace_metadata.get(key)
    if key in _NUMBERS or key in _TEXTS:
        return getattr(trace, (_NUMBERS | _TEXTS)[key])
    if key == "name":
        return trace.tags.get(_NAME)
    if key == "run_id":
        return trace.trace_metadata.get(_RUN)
    if key == "experiment_id":
        return trace.experiment_id
    return None if trace.duration_ms is None else trace.started_ms + trace.duration_ms


def _page(found: list[Trace], body: SearchTraces | SearchOld) -> tuple[Any, str]:
    if body.max_results > _MAX_PAGE:
        raise errors.invalid(
            f"Invalid value {body.max_results} for parameter 'max_results' supplied:  Hint: Value was of type "
            f"'int'.{errors.SEE_DOCS}"
        )
    paging.check_max_results(body.max_results)
    return paging.page(found, body.page_token, body.max_results)


def _dict(pairs: list[KeyValue]) -> dict[str, str]:
    return {pair.key: pair.value for pair in pairs}


def _moment(text: str) -> int:
    """Protobuf's JSON of a moment, as Unix milliseconds."""
    try:
        at = datetime.datetime.fromisoformat(text)
        return round((at - _EPOCH) / datetime.timedelta(milliseconds=1))
    except (ValueError, TypeError, OverflowError):
        raise errors.invalid(f"Invalid value '{text[:80]}' for parameter 'request_time' supplied.") from None


def _duration(text: str) -> int | None:
    if not text:
        return None
    match = _DURATION.fullmatch(text)
    if match is None or len(text) > 24:
        raise errors.invalid(f"Invalid value '{text[:80]}' for parameter 'execution_duration' supplied.")
    return round(float(match[1]) * 1000)


def _time_text(milliseconds: int) -> str:
    at = _EPOCH + datetime.timedelta(milliseconds=milliseconds)
    return at.strftime("%Y-%m-%dT%H:%M:%S") + (f".{milliseconds % 1000:03d}Z" if milliseconds % 1000 else "Z")
