"""Runs read from the yard, and shown in v1's shapes."""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Optional, Union

from modelyard.runs import files
from modelyard.runs.scope import Scope
from modelyard.wire.environments import EnvironmentSpec
from modelyard.wire.runs import RunInfo, RunList, RunPage, RunSpec, RunStatus

FINAL = frozenset([RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELED])
_PAGE = 200

Filter = Union[None, str, List[str], Dict[str, Any]]


def fetch(scope: Scope, run_id: str) -> RunInfo:
    info: RunInfo = scope.client.request("GET", scope.run_path(run_id), kind=RunInfo)
    return info


def wait_for_change(scope: Scope, run_id: str, version: int, wait_s: float) -> RunInfo:
    """The run once it is newer than `version`, or as it is after `wait_s`."""
    info: RunInfo = scope.client.request(
        "GET",
        scope.run_path(run_id),
        query={"wait_version": version, "wait_s": wait_s},
        kind=RunInfo,
        timeout_s=wait_s + 30,
    )
    return info


def listing(
    scope: Scope,
    experiment: Optional[str] = None,
    type: Optional[str] = None,
    tags: Filter = None,
    properties: Filter = None,
    status: Union[str, List[str], None] = None,
    include_children: bool = False,
) -> Iterator[RunInfo]:
    """Runs, newest first, a page at a time."""
    query: Dict[str, Any] = {
        "experiment": experiment,
        "type": type,
        "tag": pairs(tags),
        "property": pairs(properties),
        "status": [status] if isinstance(status, str) else list(status or []),
        "root_only": None if include_children else True,
        "limit": _PAGE,
    }
    while True:
        page: RunPage = scope.client.request("GET", scope.path("runs"), query=query, kind=RunPage)
        yield from page.items
        if page.next is None:
            return
        query["after"] = page.next


def children(
    scope: Scope,
    run_id: str,
    recursive: bool,
    type: Optional[str],
    tags: Filter,
    properties: Filter,
    status: Union[str, List[str], None],
) -> List[RunInfo]:
    found: RunList = scope.client.request(
        "GET", scope.run_path(run_id, "children"), query={"recursive": recursive or None}, kind=RunList
    )
    statuses = [status] if isinstance(status, str) else status
    return [
        info
        for info in found.items
        if (type is None or info.type == type)
        and (not statuses or info.status.value in statuses)
        and _has(info.tags, tags)
        and _has(info.properties, properties)
    ]


def pairs(wanted: Filter) -> List[str]:
    if not wanted:
        return []
    if isinstance(wanted, str):
        return [wanted]
    if isinstance(wanted, dict):
        return [str(k) if v is None else f"{k}={v}" for k, v in wanted.items()]
    return [str(one) for one in wanted]


def _has(held: Dict[str, str], wanted: Filter) -> bool:
    for pair in pairs(wanted):
        key, sign, value = pair.partition("=")
        if pair not in held and (key not in held or (sign and held[key] != value)):
            return False
    return True


def as_dictionary(info: RunInfo, scope: Scope) -> Dict[str, Any]:
    """v1's `get_details`."""
    shown: Dict[str, Any] = {
        "runId": info.id,
        "target": info.spec.target if info.spec else "local",
        "status": info.status.value,
        "statusReason": info.status_reason,
        "createdTimeUtc": utc(info.created_at),
        "startTimeUtc": utc(info.started_at),
        "endTimeUtc": utc(info.ended_at),
        "duration": duration(info),
        "properties": dict(info.properties),
        "inputDatasets": [],
        "outputDatasets": [],
        "logFiles": log_files(scope, info.id),
        "submittedBy": info.user,
        "services": {},
    }
    if info.spec is not None:
        shown["runDefinition"] = run_definition(info.spec)
    if info.warnings:
        shown["warnings"] = [{"source": "Run", "message": one} for one in info.warnings]
    if info.error is not None:
        shown["error"] = {
            "error": {
                "code": info.error.code,
                "message": info.error.message,
                "line": info.error.line,
                "traceback": info.error.traceback,
            },
            "time": utc(info.ended_at),
        }
    if info.exit_code is not None:
        shown["exitCode"] = info.exit_code
    if info.machine:
        shown["machine"] = dict(info.machine)
    return {key: value for key, value in shown.items() if value is not None}


def run_definition(spec: RunSpec) -> Dict[str, Any]:
    """The run configuration as v1 shows it in a run's details."""
    return {
        "script": spec.script,
        "command": " ".join(spec.command),
        "useAbsolutePath": False,
        "arguments": list(spec.arguments),
        "sourceDirectoryDataStore": None,
        "framework": spec.framework,
        "communicator": spec.communicator,
        "target": spec.target,
        "dataReferences": {},
        "data": {},
        "outputData": {},
        "maxRunDurationSeconds": spec.max_duration_s,
        "nodeCount": spec.node_count,
        "environment": environment_definition(spec.environment or EnvironmentSpec()),
        "environmentVariables": dict(spec.variables),
        "history": {"outputCollection": True, "directoriesToWatch": ["logs"]},
    }


def environment_definition(spec: EnvironmentSpec) -> Dict[str, Any]:
    dependencies = spec.python.conda
    if dependencies is None and spec.python.requirements is not None:
        dependencies = {"dependencies": ["python", {"pip": list(spec.python.requirements)}]}
    return {
        "name": spec.name,
        "version": spec.version,
        "python": {
            "interpreterPath": spec.python.interpreter_path or "python",
            "userManagedDependencies": spec.python.user_managed,
            "condaDependencies": dependencies or {},
        },
        "environmentVariables": dict(spec.variables),
        "docker": dict(spec.docker),
    }


def log_files(scope: Scope, run_id: str) -> Dict[str, str]:
    """Names of the logs and where each can be read."""
    return {
        info.path: scope.client.url + scope.run_path(run_id, "files", info.path)
        for info in files.listed(scope, run_id)
        if is_log(info.path)
    }


def is_log(name: str) -> bool:
    return name.startswith(("user_logs/", "azureml-logs/", "system_logs/", "logs/"))


def utc(seconds: Optional[float]) -> Optional[str]:
    """v1's time text, `2026-11-24T10:00:00.123456Z`."""
    if seconds is None:
        return None
    from datetime import datetime, timezone  # only for showing

    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def duration(info: RunInfo) -> Optional[str]:
    """`0:01:30.250000` between start and end."""
    if info.started_at is None or info.ended_at is None:
        return None
    from datetime import timedelta  # only for showing

    return str(timedelta(seconds=max(0.0, info.ended_at - info.started_at)))
