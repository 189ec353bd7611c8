"""The routes of compute targets and nodes."""

from __future__ import annotations

import asyncio
import contextlib

from modelyard.server.compute.service import ComputeService
from modelyard.server.kernel.auth import Kind, Permission
from modelyard.server.kernel.errors import Forbidden
from modelyard.server.kernel.http import WORKSPACE, Call, Routes
from modelyard.wire.compute import ComputeTargetInfo, ComputeTargetList, NodePoll, NodeWork


def routes(compute: ComputeService) -> Routes:
    r = Routes("compute")

    @r.get(f"{WORKSPACE}/computes", Permission.READ)
    def targets(call: Call) -> ComputeTargetList:
        """List compute targets."""
        return ComputeTargetList(compute.targets())

    @r.get(f"{WORKSPACE}/computes/{{name}}", Permission.READ)
    def target(call: Call) -> ComputeTargetInfo:
        """Show a compute target: its nodes, slots and queue."""
        return compute.target(call.path["name"])

    @r.post("/api/v1/nodes/poll", Permission.NODE)
    async def poll(call: Call, body: NodePoll) -> NodeWork:
        """A node tells what it has and asks what to do; waits for work."""
        principal = call.principal
        if principal.kind is Kind.NODE and principal.subject != body.node:
            raise Forbidden(
                "other_node", f"{principal.name} may not ask for work of node {body.node[:80]!r}."
            )
        watch = asyncio.create_task(_abandon_on_disconnect(call, compute, body.node))
        try:
            return await compute.poll(body)
        finally:
            watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watch

    return r


async def _abandon_on_disconnect(call: Call, compute: ComputeService, node: str) -> None:
    """Work must not be given to an answer that nobody will read."""
    while (await call.request.receive())["type"] != "http.disconnect":
        pass
    compute.abandon(node)
