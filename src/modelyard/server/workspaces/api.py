"""Routes of the workspaces slice."""

from __future__ import annotations

from modelyard.server.kernel.auth import Permission
from modelyard.server.kernel.http import WORKSPACE, Call, Routes
from modelyard.server.workspaces.service import WorkspaceService
from modelyard.wire.workspaces import WorkspaceCreate, WorkspaceInfo, WorkspaceList, WorkspaceUpdate


def routes(service: WorkspaceService) -> Routes:
    r = Routes("workspaces")

    @r.post("/api/v1/workspaces", Permission.ADMIN, status=201)
    def create(call: Call, body: WorkspaceCreate) -> WorkspaceInfo:
        """Create a workspace."""
        return service.create(body, call.principal.name)

    @r.get("/api/v1/workspaces", Permission.ADMIN)
    def every(call: Call) -> WorkspaceList:
        """List the workspaces of this yard."""
        return WorkspaceList(service.list())

    @r.get(WORKSPACE, Permission.READ)
    def get(call: Call) -> WorkspaceInfo:
        """Show a workspace."""
        return service.get(call.path["workspace"])

    @r.patch(WORKSPACE, Permission.ADMIN)
    def update(call: Call, body: WorkspaceUpdate) -> WorkspaceInfo:
        """Change a workspace's friendly name, description or tags."""
        return service.update(call.path["workspace"], body, call.principal.name)

    @r.delete(WORKSPACE, Permission.ADMIN)
    def delete(call: Call) -> None:
        """Delete a workspace and everything in it; refused while something in it is active."""
        service.delete(call.path["workspace"], call.principal.name)

    return r
