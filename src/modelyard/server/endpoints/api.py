"""The routes of web services."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from modelyard.server.endpoints.service import EndpointService
from modelyard.server.kernel import chunks
from modelyard.server.kernel.auth import Permission
from modelyard.server.kernel.errors import Invalid
from modelyard.server.kernel.http import WORKSPACE, Call, Routes
from modelyard.wire.artifacts import Offset
from modelyard.wire.endpoints import (
    EndpointCreate,
    EndpointInfo,
    EndpointKeys,
    EndpointList,
    EndpointUpdate,
    KeyRegenerate,
    ServiceReport,
)

MAX_LOG_CHUNK_BYTES = 8 * 1024 * 1024
_MAX_WAIT_S = 60.0
_MAX_LINES = 100_000


@dataclass(frozen=True)
class Wait:
    """Answer when the version is above `wait_version`, or after `wait_s` seconds (at most 60)."""

    wait_version: int = 0
    wait_s: float = 0.0


@dataclass(frozen=True)
class LogQuery:
    """The last `lines`; or, with `offset`, what comes from that byte on, waiting for it up to `wait_s` seconds (at most 60).

    The answer's header x-log-offset says where to go on.
    """

    lines: int = 5000
    offset: int | None = None
    wait_s: float = 0.0


@dataclass(frozen=True)
class LogOffset:
    offset: int
    endpoint_id: str = ""


def routes(endpoints: EndpointService) -> Routes:
    r = Routes("endpoints")
    one = f"{WORKSPACE}/endpoints/{{name}}"

    @r.post(f"{WORKSPACE}/endpoints", Permission.CONTRIBUTE, status=201)
    def create(call: Call, body: EndpointCreate) -> EndpointInfo:
        """Deploy a web service; with `overwrite` as a new revision of the one that has this name."""
        return endpoints.create(call.workspace_id, call.path["workspace"], body)

    @r.get(f"{WORKSPACE}/endpoints", Permission.READ)
    def list_(call: Call) -> EndpointList:
        """Every web service of the workspace."""
        return endpoints.all(call.workspace_id)

    @r.get(one, Permission.READ)
    async def get(call: Call, query: Wait) -> EndpointInfo:
        """One web service; with `wait_s`, as soon as it has changed."""
        name = call.path["name"]
        if not query.wait_s > 0:
            return await run_in_threadpool(endpoints.get, call.workspace_id, name)
        wait_s = min(query.wait_s, _MAX_WAIT_S)
        return await endpoints.wait(call.workspace_id, name, query.wait_version, wait_s)

    @r.patch(one, Permission.CONTRIBUTE)
    def update(call: Call, body: EndpointUpdate) -> EndpointInfo:
        """Change labels, or make a new revision that takes over when it is healthy."""
        return endpoints.update(call.workspace_id, call.path["name"], body)

    @r.delete(one, Permission.CONTRIBUTE, status=204)
    def delete(call: Call) -> None:
        """Delete a web service; its processes end."""
        endpoints.delete(call.workspace_id, call.path["name"])

    @r.get(f"{one}/keys", Permission.CONTRIBUTE)
    def keys(call: Call) -> EndpointKeys:
        """The two keys that open the web service."""
        return endpoints.keys(call.workspace_id, call.path["name"])

    @r.post(f"{one}/keys", Permission.CONTRIBUTE)
    def regenerate(call: Call, body: KeyRegenerate) -> EndpointKeys:
        """Replace one of the keys."""
        return endpoints.regenerate_key(call.workspace_id, call.path["name"], body)

    @r.get(f"{one}/logs", Permission.READ, raw="text/plain")
    async def logs(call: Call, query: LogQuery) -> Response:
        """The last lines of the service's log, or what comes after them."""
        place = call.workspace_id, call.path["name"]
        if query.lines < 1:
            raise Invalid("bad_lines", f"lines must be 1 or more, not {query.lines}.")
        if query.offset is None:
            text, end = await run_in_threadpool(endpoints.log_tail, *place, min(query.lines, _MAX_LINES))
        else:
            offset = chunks.check_offset(query.offset)
            wait_s = min(max(query.wait_s, 0.0), _MAX_WAIT_S)
            text, end = await endpoints.wait_log(*place, offset, wait_s) or (b"", offset)
        headers = {"x-log-offset": str(end)}
        return Response(text, media_type="text/plain; charset=utf-8", headers=headers)

    _node_routes(r, one, endpoints)
    return r


def _node_routes(r: Routes, one: str, endpoints: EndpointService) -> None:
    @r.post(f"{one}/report", Permission.NODE, status=204)
    def report(call: Call, body: ServiceReport) -> None:
        """A node tells how one revision is doing."""
        endpoints.report(call.workspace_id, call.path["name"], body)

    @r.post(f"{one}/logs", Permission.NODE, raw_body="application/octet-stream")
    async def append_log(call: Call, query: LogOffset) -> Offset:
        """A node sends a piece of the service's log."""
        offset = chunks.check_offset(query.offset)
        chunk = await chunks.read(call, MAX_LOG_CHUNK_BYTES)
        return await run_in_threadpool(
            endpoints.append_log,
            call.workspace_id,
            call.path["name"],
            offset,
            chunk,
            query.endpoint_id,
        )
