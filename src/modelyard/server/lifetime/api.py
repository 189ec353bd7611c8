"""The routes of trash, receipts and garbage collection."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool

from modelyard.server.kernel.auth import Permission
from modelyard.server.kernel.errors import Conflict
from modelyard.server.kernel.http import WORKSPACE, Call, Routes
from modelyard.server.lifetime import api_retention
from modelyard.server.lifetime.retention import Retention
from modelyard.server.lifetime.service import LifetimeService
from modelyard.wire.lifetime import (
    DeletionPreview,
    GarbageFound,
    GarbageQuery,
    Receipt,
    ReceiptItems,
    ReceiptList,
    TrashItem,
    TrashList,
    TrashQuery,
    TrashRestore,
)

_MAX_WAIT_S = 60.0


@dataclass(frozen=True)
class Limit:
    limit: int = 100


@dataclass(frozen=True)
class Wait:
    """Answer when it is finished, or after `wait_s` seconds (at most 60)."""

    wait_s: float = 0.0


def routes(service: LifetimeService, retention: Retention) -> Routes:
    r = Routes("lifetime")
    api_retention.add(r, retention)

    @r.get(f"{WORKSPACE}/trash", Permission.CONTRIBUTE)
    def trash(call: Call) -> TrashList:
        """List what lies in the trash, newest first."""
        return TrashList(service.trash(call.workspace_id))

    @r.post(f"{WORKSPACE}/trash/restore", Permission.CONTRIBUTE)
    def restore(call: Call, body: TrashRestore) -> TrashItem:
        """Take a run, an experiment or a model out of the trash, with what was deleted with it."""
        return service.restore(call.workspace_id, body.id, body.name, call.principal.name)

    @r.post(f"{WORKSPACE}/trash/preview", Permission.CONTRIBUTE)
    def preview(call: Call, body: TrashQuery) -> DeletionPreview:
        """Tell what deleting these for good would take along, in the trash or not; without ids, of all the trash."""
        return service.preview(call.workspace_id, body.ids)

    @r.post(f"{WORKSPACE}/trash/empty", Permission.CONTRIBUTE, status=202)
    def empty(call: Call, body: TrashQuery) -> Receipt:
        """Begin to delete things of the trash for good: these, or without ids all of them."""
        receipt = service.empty(call.workspace_id, body.ids, call.principal.name)
        if receipt is None:
            raise Conflict("trash_is_empty", "Nothing lies in the trash.")
        return receipt

    _add_receipts(r, service)
    _add_garbage(r, service)
    return r


def _add_receipts(r: Routes, service: LifetimeService) -> None:
    @r.get(f"{WORKSPACE}/receipts", Permission.CONTRIBUTE)
    def receipts(call: Call, query: Limit) -> ReceiptList:
        """List receipts of what was deleted for good, newest first; those of the whole yard too."""
        return ReceiptList(service.receipts(call.workspace_id, query.limit))

    @r.get(f"{WORKSPACE}/receipts/{{receipt}}", Permission.CONTRIBUTE)
    async def receipt(call: Call, query: Wait) -> Receipt:
        """Show a receipt; with `wait_s`, as soon as it is finished."""
        receipt_id = call.path["receipt"]
        if query.wait_s > 0:
            wait_s = min(query.wait_s, _MAX_WAIT_S)
            finished = await service.finished(call.workspace_id, receipt_id, wait_s)
            if finished is not None:
                return finished
        return await run_in_threadpool(service.receipt, call.workspace_id, receipt_id)

    @r.get(f"{WORKSPACE}/receipts/{{receipt}}/items", Permission.CONTRIBUTE)
    def items(call: Call) -> ReceiptItems:
        """Show a receipt with everything it lists: runs, files and the hashes of what was removed."""
        return service.receipt_items(call.workspace_id, call.path["receipt"])


def _add_garbage(r: Routes, service: LifetimeService) -> None:
    @r.get("/api/v1/garbage", Permission.ADMIN)
    def look(call: Call, query: GarbageQuery) -> GarbageFound:
        """Tell what a garbage collection would remove."""
        return service.look(query.grace_s)

    @r.post("/api/v1/garbage", Permission.ADMIN, status=202)
    def collect(call: Call, body: GarbageQuery) -> Receipt:
        """Begin a garbage collection of the yard's blobs."""
        return service.collect(body.grace_s, call.principal.name)
