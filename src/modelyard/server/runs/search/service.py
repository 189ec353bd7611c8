"""Search of runs: the one way to find many of them, for every face of the yard."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

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


class Summary(msgspec.Struct, frozen=True, gc=False):
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


class FoundRun(msgspec.Struct, frozen=True):
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
            rows = {row.id: row for row in runs_store.by_ids(tx, found.run_ids)}
            items = _whole(tx, [rows[run_id] for run_id in found.run_ids], query.metrics)
        following = None if found.ends is None else cursor.write(query, found.ends)
        return Page(items, following, found.count)

    def get(self, workspace_id: str, run_id: str) -> FoundRun | None:
        """The run with its metrics, also one in the trash."""
        with self._db.read() as tx:
            row = runs_store.by_id(tx, workspace_id, run_id, in_trash=True)
            return None if row is None else _whole(tx, [row])[0]

    def _projection(self, workspace_id: str) -> Projection:
        # With numpy, 0.1 s and 20 MiB, so only when somebody searches.
        from modelyard.server.runs.search.projection import Projection

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


def _whole(tx: Tx, rows: Sequence[runs_store.Row], names: Sequence[str] | None = None) -> list[FoundRun]:
    """The runs with their metrics, of all names or of these, in this order."""
    metrics: dict[str, list[Summary]] = {row.id: [] for row in rows}
    for run_id, *summary in store.summaries(tx, list(metrics), names):
        metrics[run_id].append(_summary(*summary))
    return [FoundRun(runs_store.info(row), metrics[row.id]) for row in rows]


def _summary(
    name: str,
    count: int,
    last: float | None,
    step: int | None,
    least: float | None,
    most: float | None,
    ms: int | None,
) -> Summary:
    if least is None and ms is not None:  # all numbers are NaN, which the database keeps as NULL
        least = most = math.nan
    if last is None and ms is not None:
        last = math.nan
    return Summary(name, count, last, step, least, most, ms)
