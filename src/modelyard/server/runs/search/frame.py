"""The runs of a workspace as rows in memory, with the columns that every run has.

Rows are in the order of run_changes, and stay: a run that is gone leaves its row empty. At a million runs this takes 150 MB.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from modelyard.server.kernel.db import Tx
from modelyard.server.runs import lifecycle
from modelyard.server.runs.search import store
from modelyard.server.runs.search.columns import Mask, Numbers, Rows, Stored, Texts, grown
from modelyard.server.runs.search.derived import Difference, Statuses
from modelyard.server.runs.search.orders import RowArray
from modelyard.server.runs.search.query import View

_BYTES_A_ROW = 48 + 8 + 8 + 2  # its id, its number, its version, whether it is there and in which view
_ACTIVE, _ARCHIVED, _TRASH = range(3)
_STATES = {
    View.ACTIVE: (_ACTIVE,),
    View.ARCHIVED: (_ARCHIVED,),
    View.ALL: (_ACTIVE, _ARCHIVED),
    View.TRASH: (_TRASH,),
    View.EVERYTHING: (_ACTIVE, _ARCHIVED, _TRASH),
}


class Frame:
    def __init__(self, workspace_id: str) -> None:
        self._workspace_id = workspace_id
        self.version = -1  # the number of the newest change that is in here
        self.count = 0
        self._numbers: npt.NDArray[np.int64] = np.zeros(0, dtype=np.int64)  # of each row in run_changes
        self._changed: npt.NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        self._alive: Mask = np.zeros(0, dtype=bool)
        self._state: npt.NDArray[np.uint8] = np.zeros(0, dtype=np.uint8)
        self._ids: npt.NDArray[Any] = np.zeros(0, dtype=np.dtypes.StringDType())
        self.start, self.end, self._started = (Numbers(are_times=True) for _ in range(3))
        self.experiment = Texts()
        self.columns: dict[str, Stored] = {
            "experiment_id": self.experiment, "status": Statuses(lifecycle.MLFLOW), "mlflow_status": Texts(),
            "type": Texts(), "user_id": Texts(), "target": Texts(), "node": Texts(), "parent": Texts(),
            "number": Numbers(), "exit_code": Numbers(), "created_at": Numbers(are_times=True),
            "start_time": self.start, "end_time": self.end,
        }  # fmt: skip
        self.duration = Difference(self.end, self._started)

    @property
    def size_bytes(self) -> int:
        return (
            self._started.size_bytes
            + sum(column.size_bytes for column in self.columns.values())
            + self.count * _BYTES_A_ROW
        )

    def catch_up(self, tx: Tx) -> None:
        """Take in what has been committed since the last time."""
        if self.version < 0:
            self.version = 0
            for piece in store.base(tx, self._workspace_id):
                self._take(piece)
            return
        changed = store.changed_since(tx, self._workspace_id, self.version)
        if changed:
            found = store.base_of(tx, [row.run_id for row in changed])
            gone = (None,) * len(store.BASE)
            self._take([(row.row, row.changed, *found.get(row.run_id, gone)) for row in changed])

    def changed_since(self, version: int) -> RowArray:
        if version == self.version:
            return np.zeros(0, dtype=np.int32)
        return np.flatnonzero(self._changed[: self.count] > version).astype(np.int32)

    def there(self) -> Mask:
        """Of every row, whether the run is there."""
        return self._alive[: self.count]

    def seen(self, rows: Rows, view: View) -> Mask:
        """Which of these runs are there, and in this view."""
        return self._alive[rows] & np.isin(self._state[rows], _STATES[view])

    def ids(self, rows: Rows) -> npt.NDArray[Any]:
        return self._ids[rows]

    def rows(self, numbers: Sequence[int] | npt.NDArray[np.int64]) -> RowArray:
        """The rows of runs by their numbers in run_changes; -1 for one that is not known."""
        wanted = np.asarray(numbers, dtype=np.int64)
        known = self._numbers[: self.count]
        places = np.searchsorted(known, wanted)
        is_known = places < self.count
        is_known[is_known] = known[places[is_known]] == wanted[is_known]
        return np.where(is_known, places, -1).astype(np.int32)

    def _take(self, piece: Sequence[Any]) -> None:
        """Runs that are new, changed or gone, by number: (number, change, *store.BASE) each."""
        numbers, changed, ids, *base = zip(*piece, strict=True)
        rows = self.rows(numbers)
        new = np.flatnonzero(rows < 0)  # a higher number than any known: writers take turns
        rows[new] = np.arange(self.count, self.count + len(new))
        self._grow(self.count + len(new))
        self._numbers[rows] = numbers
        self._changed[rows] = changed
        self._alive[rows] = [run_id is not None for run_id in ids]
        self._ids[rows] = np.array(["" if i is None else i for i in ids], dtype=self._ids.dtype)
        given: dict[str, Sequence[Any]] = dict(
            zip([column.name for column in store.BASE[1:]], base, strict=True)
        )
        self._state[rows] = [
            _TRASH if deleted is not None else _ACTIVE if archived is None else _ARCHIVED
            for archived, deleted in zip(given["archived_at"], given["deleted_at"], strict=True)
        ]
        self._started.fill(rows, given["started_at"])
        given.update(
            user_id=given["user"],
            parent=given["parent_id"],
            end_time=given["ended_at"],
            start_time=[
                c if s is None else s for s, c in zip(given["started_at"], given["created_at"], strict=True)
            ],
            mlflow_status=[None if s is None else lifecycle.MLFLOW[s] for s in given["status"]],
        )
        for name, column in self.columns.items():
            column.fill(rows, given[name])
        self.version = max(self.version, *changed)

    def _grow(self, count: int) -> None:
        self.count = count
        self._numbers = grown(self._numbers, count, 0)
        self._changed = grown(self._changed, count, 0)
        self._alive = grown(self._alive, count, False)
        self._state = grown(self._state, count, _ACTIVE)
        self._ids = grown(self._ids, count, "")
        for column in (self._started, *self.columns.values()):
            column.grow(count)
