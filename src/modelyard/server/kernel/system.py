"""The yard about itself: health, OpenAPI, Prometheus metrics, and its own node."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import msgspec
import sqlalchemy as sa
from starlette.requests import Request
from starlette.responses import Response

from modelyard.server.kernel import auth
from modelyard.server.kernel.auth import Kind, Permission
from modelyard.server.kernel.clock import Clock
from modelyard.server.kernel.db import Database
from modelyard.server.kernel.http import Call, Routes, problem_response
from modelyard.server.kernel.supervisor import Supervisor
from modelyard.version import VERSION
from modelyard.wire.problems import Problem

log = logging.getLogger(__name__)

LOCAL_NODE = "local"


def register_node(db: Database, clock: Clock, node_token: str) -> None:
    """Make the token in this machine's node.token good for the node `local`."""
    db.write(
        lambda tx: auth.issue(
            tx, kind=Kind.NODE, workspace_id="", subject=LOCAL_NODE, now=clock.now(), token=node_token
        )
    )


def routes(db: Database, supervisor: Supervisor, openapi: Callable[[], dict[str, Any]]) -> Routes:
    r = Routes("system")

    @r.get("/health", Permission.PUBLIC, raw="application/json")
    def health(call: Call) -> Response:
        """Whether the yard can answer: 200 with its version, or 503 while its database can't be read."""
        with db.read() as tx:
            tx.execute(sa.text("SELECT 1"))
        body = {"status": "ok", "version": VERSION}
        return Response(msgspec.json.encode(body), media_type="application/json")

    @r.get("/openapi.json", Permission.PUBLIC, raw="application/json")
    def schema(call: Call) -> Response:
        """This document."""
        return Response(msgspec.json.encode(openapi()), media_type="application/json")

    @r.get("/metrics", Permission.PUBLIC, raw="text/plain")
    def metrics(call: Call) -> Response:
        """The yard's own figures in Prometheus' text format."""
        return Response(_prometheus(supervisor), media_type="text/plain; version=0.0.4")

    return r


def _prometheus(supervisor: Supervisor) -> str:
    lines = [
        "# HELP modelyard_info Version of the yard.",
        "# TYPE modelyard_info gauge",
        f'modelyard_info{{version="{VERSION}"}} 1',
        "# HELP modelyard_threads Threads of the yard's process.",
        "# TYPE modelyard_threads gauge",
        f"modelyard_threads {threading.active_count()}",
    ]
    for name, help_, kind in (
        ("rounds", "Rounds a background loop has ended well.", "counter"),
        ("failures", "Rounds of a background loop that raised.", "counter"),
        ("last_ok_at", "Unix time at which a loop last ended a round well.", "gauge"),
    ):
        suffix = "_total" if kind == "counter" else ""
        lines += [
            f"# HELP modelyard_loop_{name}{suffix} {help_}",
            f"# TYPE modelyard_loop_{name}{suffix} {kind}",
        ]
        lines += [
            f'modelyard_loop_{name}{suffix}{{loop="{state.name}"}} {getattr(state, name)}'
            for state in supervisor.states.values()
        ]
    return "\n".join(lines) + "\n"


async def internal_error(request: Request, error: Exception) -> Response:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return problem_response(
        Problem(
            code="internal_error",
            detail=f"{type(error).__name__} inside the yard. That is a fault of modelyard; its log has the details.",
            status=500,
            title="Internal error",
        )
    )
