"""The routes of SQL."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from modelyard.server.kernel.auth import Permission
from modelyard.server.kernel.http import WORKSPACE, Call, Routes
from modelyard.server.sql.service import Answer, Running, SqlService
from modelyard.wire.sql import SqlQuery, SqlSchema

_MEDIA_TYPES = {
    "json": "application/json",
    "csv": "text/csv",
    "arrow": "application/vnd.apache.arrow.stream",
    "parquet": "application/vnd.apache.parquet",
}
_PIECE = 1 << 20


def routes(sql: SqlService) -> Routes:
    r = Routes("sql")

    @r.get(f"{WORKSPACE}/sql", Permission.QUERY)
    def schema(call: Call) -> SqlSchema:
        """List the views that a query may ask, with their columns."""
        return sql.schema()

    @r.post(f"{WORKSPACE}/sql", Permission.QUERY, raw=", ".join(_MEDIA_TYPES.values()))
    async def query(call: Call, body: SqlQuery) -> Response:
        """Answer one SELECT over the views: SqlRows, CSV, an Arrow IPC stream or Parquet, as `format` says.

        The answer is whole: what goes over a limit of rows, bytes, memory or time is an error.
        """
        running = Running()
        work = asyncio.ensure_future(run_in_threadpool(sql.answer, call.workspace_id, body, running))
        gone = asyncio.ensure_future(_disconnected(call.request))
        try:
            await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
        finally:  # answered, or the client has gone, or the yard is stopping
            gone.cancel()
            if not work.done():
                work.add_done_callback(lambda ended: ended.exception())  # which nobody may wait for any more
                running.cancel()
        answer = await work
        return _response(answer, body.format)

    return r


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _response(answer: Answer, form: str) -> Response:
    headers = {"content-length": str(answer.size_bytes), "x-content-type-options": "nosniff"}

    def pieces() -> Iterator[bytes]:
        with answer.file as file:
            while piece := file.read(_PIECE):
                yield piece

    return StreamingResponse(pieces(), headers=headers, media_type=_MEDIA_TYPES[form])
