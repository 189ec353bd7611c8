"""Routes of the environments slice."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from modelyard.server.environments.service import EnvironmentService
from modelyard.server.kernel import chunks
from modelyard.server.kernel.auth import Kind, Permission
from modelyard.server.kernel.errors import Forbidden, Invalid
from modelyard.server.kernel.http import WORKSPACE, Call, Routes
from modelyard.wire.artifacts import Offset
from modelyard.wire.environments import (
    BuildInfo,
    BuildList,
    BuildReport,
    EnvironmentInfo,
    EnvironmentList,
    EnvironmentSpec,
)

MAX_CHUNK_BYTES = 8 * 1024 * 1024
MAX_WAIT_S = 60.0
_BUILDS = "/api/v1/environments/builds"
_NODE_BUILD = "/api/v1/nodes/{node}/builds/{hash}"


@dataclass(frozen=True)
class ListQuery:
    """`name`: every version of that environment instead of the latest of each."""

    name: str = ""


@dataclass(frozen=True)
class VersionQuery:
    version: str = ""


@dataclass(frozen=True)
class LogQuery:
    offset: int = 0
    wait_s: float = 0.0


@dataclass(frozen=True)
class OffsetQuery:
    offset: int = 0


def routes(service: EnvironmentService) -> Routes:
    r = Routes("environments")
    _registered(r, service)
    _builds(r, service)
    return r


def _registered(r: Routes, service: EnvironmentService) -> None:
    @r.post(f"{WORKSPACE}/environments", Permission.CONTRIBUTE, status=201)
    def register(call: Call, body: EnvironmentSpec) -> EnvironmentInfo:
        """Register an environment: its next version, or the present one if nothing about it is new."""
        return service.register(call.workspace_id, body, call.principal.name)

    @r.get(f"{WORKSPACE}/environments", Permission.READ)
    def every(call: Call, query: ListQuery) -> EnvironmentList:
        """List environments, the latest version of each."""
        return EnvironmentList(service.list(call.workspace_id, query.name))

    @r.get(f"{WORKSPACE}/environments/{{name}}", Permission.READ)
    def get(call: Call, query: VersionQuery) -> EnvironmentInfo:
        """Show an environment; without a version, the latest."""
        return service.get(call.workspace_id, call.path["name"], query.version)


def _builds(r: Routes, service: EnvironmentService) -> None:
    @r.get(_BUILDS, Permission.READ)
    def builds(call: Call) -> BuildList:
        """List the builds of environments, newest first."""
        return BuildList(service.builds())

    @r.get(f"{_BUILDS}/{{hash}}", Permission.READ)
    def build(call: Call) -> BuildInfo:
        """Show the newest build of one content."""
        return service.build(call.path["hash"])

    @r.get(f"{_BUILDS}/{{hash}}/log", Permission.READ, raw="text/plain")
    async def log(call: Call, query: LogQuery) -> Response:
        """Read a build log from `offset` on, waiting up to `wait_s` for something new.

        `x-log-offset` is where to go on; `x-log-complete` is 1 once there will be no more.
        """
        chunks.check_offset(query.offset)
        if not 0 <= query.wait_s <= MAX_WAIT_S:
            raise Invalid("bad_wait", f"wait_s must be 0 to {MAX_WAIT_S:.0f}.")
        data, complete = await service.wait_for_log(call.path["hash"], query.offset, query.wait_s)
        headers = {"x-log-offset": str(query.offset + len(data)), "x-log-complete": str(int(complete))}
        return Response(data, media_type="text/plain; charset=utf-8", headers=headers)

    @r.post(_NODE_BUILD, Permission.NODE)
    def report(call: Call, body: BuildReport) -> None:
        """A node tells how a build goes."""
        _check_node(call)
        service.report(call.path["node"], call.path["hash"], body)

    @r.post(f"{_NODE_BUILD}/log", Permission.NODE, raw_body="application/octet-stream")
    async def append(call: Call, query: OffsetQuery) -> Offset:
        """A node sends a piece of a build log."""
        _check_node(call)
        chunks.check_offset(query.offset)
        chunk = await chunks.read(call, MAX_CHUNK_BYTES)
        path = call.path
        return await run_in_threadpool(service.append_log, path["node"], path["hash"], query.offset, chunk)


def _check_node(call: Call) -> None:
    if call.principal.kind is Kind.NODE and call.principal.subject != call.path["node"]:
        raise Forbidden(
            "other_node", f"{call.principal.name} may not speak for node {call.path['node'][:80]!r}."
        )
