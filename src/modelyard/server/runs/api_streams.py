"""The routes of what hangs on a run: journal, files, logs."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from modelyard.server.kernel import chunks
from modelyard.server.kernel.auth import Permission
from modelyard.server.kernel.http import WORKSPACE, Call, Routes
from modelyard.server.runs import journal, logs
from modelyard.server.runs.service import RunService
from modelyard.wire.artifacts import FileList, FilesAdd, Offset
from modelyard.wire.metrics import JournalTaken

_BYTES = "application/octet-stream"
_MAX_WAIT_S = 60.0


@dataclass(frozen=True)
class JournalOffset:
    """`source` names the stream, `offset` says at which of its bytes the body begins."""

    source: str = ""
    offset: int = 0


@dataclass(frozen=True)
class Source:
    source: str = ""


@dataclass(frozen=True)
class LogOffset:
    offset: int = 0


@dataclass(frozen=True)
class LogWait:
    """Answer as soon as there is something from `offset` on, or after `wait_s` seconds (at most 60)."""

    offset: int = 0
    wait_s: float = 0.0


def add(r: Routes, runs: RunService) -> None:
    one = f"{WORKSPACE}/runs/{{run_id}}"
    _add_journal(r, runs, one)

    @r.post(f"{one}/files", Permission.RUN_WRITE, status=201)
    def add_files(call: Call, body: FilesAdd) -> FileList:
        """Attach blobs that the workspace holds as files."""
        return FileList(runs.files.add(call.workspace_id, call.path["run_id"], body, call.principal.name))

    @r.get(f"{one}/files", Permission.RUN_READ)
    def list_files(call: Call) -> FileList:
        """List files, and logs that still grow."""
        return FileList(runs.files.every(call.workspace_id, call.path["run_id"]))

    @r.get(f"{one}/files/{{path:path}}", Permission.RUN_READ, raw=_BYTES)
    def download_file(call: Call) -> Response:
        """Download a file or a range of it."""
        return runs.files.response(call.workspace_id, call.path["run_id"], call.path["path"], call.request)

    @r.post(f"{one}/logs/{{path:path}}", Permission.RUN_WRITE, raw_body=_BYTES)
    async def append_log(call: Call, query: LogOffset) -> Offset:
        """Append a piece to a log."""
        offset = chunks.check_offset(query.offset)
        chunk = await chunks.read(call, logs.MAX_CHUNK_BYTES)
        return await run_in_threadpool(
            runs.logs.append, call.workspace_id, call.path["run_id"], call.path["path"], offset, chunk
        )

    @r.get(f"{one}/logs/{{path:path}}", Permission.RUN_READ, raw=_BYTES)
    async def read_log(call: Call, query: LogWait) -> Response:
        """Read a log from an offset on, and follow it.

        `x-log-offset` says where to read on, `x-log-complete` is 1 when there will be no more.
        """
        where = (call.workspace_id, call.path["run_id"], call.path["path"], chunks.check_offset(query.offset))
        piece = None
        if query.wait_s > 0:
            piece = await runs.logs.wait(*where, wait_s=min(query.wait_s, _MAX_WAIT_S))
        if piece is None:
            piece = await run_in_threadpool(runs.logs.read, *where)
        headers = {
            "x-log-offset": str(piece.offset),
            "x-log-complete": "1" if piece.is_complete else "0",
            "x-content-type-options": "nosniff",
        }
        return Response(piece.data, headers=headers, media_type="text/plain; charset=utf-8")


def _add_journal(r: Routes, runs: RunService, one: str) -> None:
    @r.post(f"{one}/journal", Permission.RUN_WRITE, raw_body="application/x-ndjson")
    async def take_journal(call: Call, query: JournalOffset) -> JournalTaken:
        """Take in a piece of the journal, whole lines of JSON; durable when answered.

        Lines that no run can keep are named in `passed_over` and cost none of the others.
        """
        offset = chunks.check_offset(query.offset)
        chunk = await chunks.read(call, journal.MAX_CHUNK_BYTES)
        return await run_in_threadpool(
            runs.journal.take, call.workspace_id, call.path["run_id"], query.source, offset, chunk
        )

    @r.get(f"{one}/journal", Permission.RUN_READ)
    def held_journal(call: Call, query: Source) -> Offset:
        """How many bytes of a journal are held."""
        return runs.journal.held(call.workspace_id, call.path["run_id"], query.source)
