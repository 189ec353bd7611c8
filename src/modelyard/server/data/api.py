"""Routes of the data slice."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.responses import Response

from modelyard.server.data.service import DataService
from modelyard.server.kernel.auth import Permission
from modelyard.server.kernel.http import WORKSPACE, Call, Routes
from modelyard.wire.artifacts import FileList
from modelyard.wire.data import DatastoreFilesAdd, DatastoreFilesAdded, DatastoreInfo, DatastoreList


@dataclass(frozen=True)
class Below:
    """`path`: a file, or the directory whose files are meant; empty for all."""

    path: str = ""


def routes(service: DataService) -> Routes:
    r = Routes("data")
    one = f"{WORKSPACE}/datastores/{{name}}"

    @r.get(f"{WORKSPACE}/datastores", Permission.READ)
    def every(call: Call) -> DatastoreList:
        """List the datastores of a workspace."""
        return DatastoreList(service.every(call.workspace_id))

    @r.get(one, Permission.READ)
    def get(call: Call) -> DatastoreInfo:
        """Show a datastore."""
        return service.get(call.workspace_id, call.path["name"])

    @r.get(f"{one}/files", Permission.READ)
    def files(call: Call, query: Below) -> FileList:
        """List the files of a datastore."""
        return FileList(service.files(call.workspace_id, call.path["name"], query.path))

    @r.post(f"{one}/files", Permission.CONTRIBUTE, status=201)
    def add(call: Call, body: DatastoreFilesAdd) -> DatastoreFilesAdded:
        """Write files whose blobs the yard holds."""
        return service.add(call.workspace_id, call.path["name"], body, call.principal.name)

    @r.get(f"{one}/files/{{path:path}}", Permission.READ, raw="application/octet-stream")
    def download(call: Call) -> Response:
        """Download a file or a range of it."""
        return service.file_response(call.workspace_id, call.path["name"], call.path["path"], call.request)

    @r.delete(f"{one}/files/{{path:path}}", Permission.CONTRIBUTE)
    def remove(call: Call) -> None:
        """Delete a file, or all files below a directory."""
        service.remove(call.workspace_id, call.path["name"], call.path["path"], call.principal.name)

    return r
