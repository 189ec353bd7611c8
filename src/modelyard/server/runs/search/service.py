"""Search of runs: the one way to find many of them, for every face of the yard."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelyard.server.kernel.db import Database, Tx
from modelyard.server.kernel.errors import Invalid
from modelyard.server.runs import store as runs_store
from modelyard.server.runs.search import cursor, store
from modelyard.server.runs.search.query import MAX_PAGE, Query
from modelyard.wire.runs import RunInfo

if TYPE_CHECKING:
    from modelyard.server.runs.search.projection import Projection

# For the pictures of all workspaces together; more and the columns that were not used for long go.
MEMORY_BYTES = 1 << 30


@dataclass(frozen=True)
class Summary:
    """One metric of one run. `last`, `min` and `max` are None where nothing logged under the name was a number.

    `last_ms`: when `last` was logged, in Unix milliseconds.
    """

    name: str
    count: int
    last: float | None
    last_step: int | None
    min: float | None
    max: float | None
    last_ms: int | None


@dataclass(frozen=True)
class FoundRun:
    info: RunInfo
    metrics: list[Summary]


@dataclass(frozen=True)
class Page:
    """`next`: for `Query.after`, None at the end. `count`: on all pages, if that was asked."""

    items: list[FoundRun]
    next: str | None
    count: int | None


class RunSearch:
    def __init__(self, db: Database, memory_bytes: int = MEMORY_BYTES) -> None:
        self._db = db
        self._memory_bytes = memory_bytes
        self._lock = threading.Lock()
        self._projections: OrderedDict[str, Projection] = OrderedDict()  # the one used last at the end

    def search(self, workspace_id: str, query: Query) -> Page:
        """A page of runs as they are now: what was acknowledged before the call is in it. Raises Invalid."""
        if not 1 <= query.limit <= MAX_PAGE:
            raise Invalid("bad_limit", f"limit must be from 1 to {MAX_PAGE}, not {query.limit}.")
        after = cursor.read(query)
        projection = self._projection(workspace_id)
        with self._db.read() as tx:
            # The transaction sees the yard as it is at its first query, so the picture never runs ahead of it.
            with projection.lock:
                found = projection.find(tx, query, after)
                self._make_room(projection)
            items = _whole(tx, found.run_ids)
        following = None if found.ends is None else cursor.write(query, found.ends)
        return Page(items, following, found.count)

    def get(self, workspace_id: str, run_id: str) -> FoundRun | None:
        """The run with its metrics, also one in the trash."""
        with self._db.read() as tx:
            row = runs_store.by_id(tx, workspace_id, run_id, in_trash=True)
            return None if row is None else _whole(tx, [run_id])[0]

    def _projection(self, workspace_id: str) -> Projection:
        from modelyard.server.runs.search.projection import (
            Projection,
        )  # numpy: 0.1 s and 20 MiB, when somebody searches

        with self._lock:
            found = self._projections.pop(workspace_id, None) or Projection(workspace_id)
            self._projections[workspace_id] = found
            return found

    def _make_room(self, used: Projection) -> None:
        """Let go of the pictures of other workspaces first, then of columns of this one."""
        with self._lock:
            others = [key for key, other in self._projections.items() if other is not used]
            while others and self._size() > self._memory_bytes:
                del self._projections[others.pop(0)]
        used.trim(self._memory_bytes)

    def _size(self) -> int:
        return sum(projection.size_bytes for projection in self._projections.values())


def _whole(tx: Tx, run_ids: list[str]) -> list[FoundRun]:
    """The runs with all that is kept of them, in this order."""
    metrics: dict[str, list[Summary]] = {run_id: [] for run_id in run_ids}
    for row in store.summaries(tx, run_ids):
        metrics[row.run_id].append(_summary(row))
    rows = {row.id: row for row in runs_store.by_ids(tx, run_ids)}
    return [FoundRun(runs_store.info(rows[run_id]), metrics[run_id]) for run_id in run_ids]


def _summary(row: store.Row) -> Summary:
    # NaN is kept as NULL; where nothing was a number there is NULL too.
    missing = math.nan if row.points > row.values_count else None
    last, least, most = (missing if v is None else v for v in (row.last, row.min, row.max))
    return Summary(row.name, row.points, last, row.last_step, least, most, row.last_ms)
