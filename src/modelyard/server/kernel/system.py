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
from modelyard.server.kernel.figures import Figure, text
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


def routes(
    db: Database,
    supervisor: Supervisor,
    openapi: Callable[[], dict[str, Any]],
    more: Callable[[], list[Figure]] = list,
) -> Routes:
    """`more` figures come from the parts that the kernel knows nothing of."""
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
        return Response(text(_own_figures(supervisor) + more()), media_type="text/plain; version=0.0.4")

    return r


def _own_figures(supervisor: Supervisor) -> list[Figure]:
    loops = list(supervisor.states.values())
    return [
        Figure("modelyard_info", "Version of the yard.", "gauge", [({"version": VERSION}, 1)]),
        Figure("modelyard_threads", "Threads of the yard's process.", "gauge", [({}, threading.active_count())]),
        Figure(
            "modelyard_loop_rounds_total", "Rounds a background loop has ended well.", "counter",
            [({"loop": loop.name}, loop.rounds) for loop in loops],
        ),
        Figure(
            "modelyard_loop_failures_total", "Rounds of a background loop that raised.", "counter",
            [({"loop": loop.name}, loop.failures) for loop in loops],
        ),
        Figure(
            "modelyard_loop_last_ok_at", "Unix time at which a loop last ended a round well.", "gauge",
            [({"loop": loop.name}, loop.last_ok_at) for loop in loops],
        ),
    ]  # fmt: skip


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
