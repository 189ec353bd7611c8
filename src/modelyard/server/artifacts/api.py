"""Routes of the artifacts slice."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from starlette.responses import Response, StreamingResponse

from modelyard.server.artifacts.responses import attachment
from modelyard.server.artifacts.service import ArtifactService
from modelyard.server.kernel.auth import Permission
from modelyard.server.kernel.http import WORKSPACE, Call, Routes
from modelyard.wire.artifacts import BlobQuery, BlobsMissing, BlobsStored, SnapshotCreate, SnapshotInfo

_BYTES = "application/octet-stream"


@dataclass(frozen=True)
class SnapshotQuery:
    """`entries` false leaves the list of files out, for a caller who only asks whether the snapshot is there."""

    entries: bool = True


def routes(service: ArtifactService) -> Routes:
    r = Routes("artifacts")

    @r.post(f"{WORKSPACE}/blobs/missing", Permission.BLOB_WRITE)
    def missing(call: Call, body: BlobQuery) -> BlobsMissing:
        """Tell which of these blobs the workspace lacks."""
        return BlobsMissing(service.missing(call.workspace_id, body.hashes))

    @r.post(f"{WORKSPACE}/blobs", Permission.BLOB_WRITE, raw_body=_BYTES)
    async def receive(call: Call) -> BlobsStored:
        """Bring blobs, as frames.

        The body is a sequence of frames, each a header line `SHA256 SIZE` and then exactly SIZE bytes. All of them are
        kept or none.
        """
        return await service.receive(call.workspace_id, call.request.stream())

    @r.post(f"{WORKSPACE}/blobs/frames", Permission.READ, raw=_BYTES)
    def frames(call: Call, body: BlobQuery) -> Response:
        """Give many blobs at once, as frames.

        The answer is a sequence of frames as in bringing blobs, in the order asked for, each blob once.
        """
        return StreamingResponse(service.frames(call.workspace_id, body.hashes), media_type=_BYTES)

    @r.get(f"{WORKSPACE}/blobs/{{hash}}", Permission.READ, raw=_BYTES)
    def blob(call: Call) -> Response:
        """Download a blob or a range of it."""
        entry = service.blob(call.workspace_id, call.path["hash"])
        return service.file_response(entry, call.request, entry.hash)

    @r.post(f"{WORKSPACE}/snapshots", Permission.BLOB_WRITE, status=201)
    def create(call: Call, body: SnapshotCreate) -> SnapshotInfo:
        """Make a snapshot of blobs that the workspace holds."""
        return service.create_snapshot(call.workspace_id, body.entries)

    @r.get(f"{WORKSPACE}/snapshots/{{snapshot}}", Permission.READ)
    def snapshot(call: Call, query: SnapshotQuery) -> SnapshotInfo:
        """Show a snapshot and its files."""
        info = service.snapshot(call.workspace_id, call.path["snapshot"])
        return dataclasses.replace(info, entries=service.tree(info.id)) if query.entries else info

    @r.get(f"{WORKSPACE}/snapshots/{{snapshot}}/zip", Permission.READ, raw="application/zip")
    def download(call: Call) -> Response:
        """Download a snapshot as a zip."""
        info = service.snapshot(call.workspace_id, call.path["snapshot"])
        headers = {"content-disposition": attachment(f"snapshot-{info.id[:12]}.zip")}
        return StreamingResponse(service.zip(info.id), headers=headers, media_type="application/zip")

    @r.get(f"{WORKSPACE}/snapshots/{{snapshot}}/files/{{path:path}}", Permission.READ, raw=_BYTES)
    def file(call: Call) -> Response:
        """Download one file of a snapshot or a range of it."""
        entry = service.snapshot_file(call.workspace_id, call.path["snapshot"], call.path["path"])
        return service.file_response(entry, call.request, entry.path)

    return r
