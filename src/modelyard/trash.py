"""The trash of a workspace, and the receipts of what left it for good."""

from __future__ import annotations

import time
from typing import Any, Dict, Iterator, List

from modelyard.wire.lifetime import (
    DeletionPreview,
    Receipt,
    ReceiptItems,
    ReceiptList,
    TrashItem,
    TrashList,
    TrashQuery,
    TrashRestore,
)

_WAIT_S = 30.0  # of one request


class Trash:
    """Deleted runs, experiments and models: whole, and out of the way until they are restored or the trash is emptied.

    Ids are those of runs and experiments, and `name:version` of models.
    """

    def __init__(self, workspace: Any) -> None:
        self._workspace = workspace

    def __iter__(self) -> Iterator[TrashItem]:
        return iter(self.list())

    def list(self) -> List[TrashItem]:
        """Newest first."""
        found: TrashList = self._ask("GET", TrashList, "trash")
        return found.items

    def restore(self, id: str, name: str = "") -> TrashItem:
        """Bring it back with what was deleted with it. `name`: a new one, for an experiment whose name is taken by now."""
        item: TrashItem = self._ask("POST", TrashItem, "trash", "restore", body=TrashRestore(id, name))
        return item

    def preview(self, *ids: str) -> DeletionPreview:
        """What deleting these for good, in the trash or not, would take along; without ids, all of the trash."""
        told: DeletionPreview = self._ask(
            "POST", DeletionPreview, "trash", "preview", body=TrashQuery([*ids])
        )
        return told

    def empty(self, *ids: str, wait: bool = True) -> Receipt:
        """Delete these for good, or without ids all that lies in the trash; answers the receipt, finished unless `wait` is
        False. Nothing comes back from here."""
        receipt: Receipt = self._ask("POST", Receipt, "trash", "empty", body=TrashQuery([*ids]))
        return Receipts(self._workspace).wait(receipt.id) if wait else receipt

    def _ask(self, method: str, kind: Any, *parts: str, body: Any = None) -> Any:
        return self._workspace._client.request(method, self._workspace._path(*parts), body, kind=kind)


class Receipts:
    """What was deleted for good: when, for whom, how many bytes became free, and the hashes of everything removed."""

    def __init__(self, workspace: Any) -> None:
        self._workspace = workspace

    def __iter__(self) -> Iterator[Receipt]:
        return iter(self.list())

    def list(self, limit: int = 100) -> List[Receipt]:
        """Newest first; garbage collections of the whole yard too."""
        found: ReceiptList = self._ask(ReceiptList, query={"limit": limit})
        return found.items

    def get(self, id: str) -> Receipt:
        receipt: Receipt = self._ask(Receipt, id)
        return receipt

    def items(self, id: str) -> List[Dict[str, Any]]:
        """Everything the receipt lists: runs with their files, experiments, models, and the blobs removed."""
        found: ReceiptItems = self._ask(ReceiptItems, id, "items")
        return found.items

    def wait(self, id: str) -> Receipt:
        """The receipt once everything on it is removed."""
        while True:
            begun = time.monotonic()
            receipt: Receipt = self._ask(Receipt, id, query={"wait_s": _WAIT_S})
            if receipt.finished_at is not None:
                return receipt
            if time.monotonic() - begun < 1.0:
                time.sleep(1.0)  # the yard is stopping and does not wait

    def _ask(self, kind: Any, *parts: str, query: Any = None) -> Any:
        path = self._workspace._path("receipts", *parts)
        return self._workspace._client.request("GET", path, query=query, kind=kind)
