"""Routes of the transfer slice."""

from __future__ import annotations

from dataclasses import dataclass, field

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from modelyard.server.artifacts.responses import attachment
from modelyard.server.kernel.auth import Permission
from modelyard.server.kernel.blobs import full_disk_is_said
from modelyard.server.kernel.http import WORKSPACE, Call, Routes
from modelyard.server.transfer.service import TransferService, Where
from modelyard.wire.transfer import ImportReport

_ZIP = "application/zip"


@dataclass(frozen=True)
class ExportQuery:
    """Everything, or only these experiments (name or id) and runs with what belongs to them. `files` false: no bytes."""

    experiment: list[str] = field(default_factory=list)
    run: list[str] = field(default_factory=list)
    files: bool = True


@dataclass(frozen=True)
class ImportQuery:
    """`workspace`: under which name; empty: the one it had. `into`: the workspace is there, otherwise it is new. `merge` (skip,
    replace, fail or rename): what becomes of a thing that is there with other content. `preview`: only tell."""

    workspace: str = ""
    into: bool = False
    merge: str = "fail"
    preview: bool = False


def routes(service: TransferService) -> Routes:
    r = Routes("transfer")

    @r.get(f"{WORKSPACE}/export", Permission.ADMIN, raw=_ZIP)
    def export(call: Call, query: ExportQuery) -> Response:
        """Export a workspace as one file."""
        pieces = service.export(call.workspace_id, query.experiment, query.run, query.files)
        headers = {"content-disposition": attachment(f"{call.path['workspace']}.zip")}
        return StreamingResponse(pieces, headers=headers, media_type=_ZIP)

    @r.post("/api/v1/imports", Permission.ADMIN, raw_body=_ZIP)
    async def import_(call: Call, query: ImportQuery) -> ImportReport:
        """Import a file of a workspace, as a new workspace or into one that is there.

        The body is the file. It is looked at whole before anything of it shows; an import that broke off is done again.
        """
        kept = service.directory()
        directory = await run_in_threadpool(kept.__enter__)
        try:
            file = directory / "import.zip"
            with full_disk_is_said(str(directory)), open(file, "wb") as target:
                async for piece in call.request.stream():
                    await run_in_threadpool(target.write, piece)
            with full_disk_is_said(str(directory)):
                where = Where(query.workspace, query.into, query.merge, query.preview)
                return await run_in_threadpool(service.import_, file, directory, where, call.principal.name)
        finally:
            await run_in_threadpool(kept.__exit__, None, None, None)

    return r
