"""A picture of all runs of one workspace in memory, column by column, brought up to date before each search.

The columns of metrics, parameters, tags and properties are read when somebody first asks for them, and go when memory gets
short. At a million runs one of a metric takes 9 MB, one of texts 4 MB and 150 bytes for each that is different.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from modelyard.server.kernel.db import Tx
from modelyard.server.runs.search import store
from modelyard.server.runs.search.columns import Column, Mask, Numbers, Rows, Stored, Texts, grown
from modelyard.server.runs.search.expression import (
    All,
    Attribute,
    Comparison,
    Expression,
    Label,
    Metric,
    OneOf,
)
from modelyard.server.runs.search.expression import Column as Name
from modelyard.server.runs.search.expression import columns as columns_of
from modelyard.server.runs.search.frame import Frame
from modelyard.server.runs.search.matching import matching
from modelyard.server.runs.search.orders import By, Order, RowArray
from modelyard.server.runs.search.query import Place, Query

_FEW = 2_000  # changed runs up to which a column is mended, and not read anew
_ORDERS = 64
_MASKS = 16
_PIECE = 1 << 16  # rows looked at together: what is made of them on the way stays in the processor's cache
_FIRST_LOOK = 2_048
_LAST_LOOK = 1 << 16

_ID = Attribute("run_id")
_EXPERIMENT = Attribute("experiment")


@dataclass(frozen=True)
class Found:
    """`ends`: where the page ends, when there are more. `count`: on all pages, when that was asked."""

    run_ids: list[str]
    ends: Place | None
    count: int | None


@dataclass
class _Kept:
    """A column as it was at a version of the runs."""

    column: Stored
    version: int = -1


@dataclass
class Projection:
    """One thread at a time: the one that holds `lock`."""

    workspace_id: str
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._frame = Frame(self.workspace_id)
        self._experiments: dict[str, str] = {}  # names by id
        self._places: dict[str, int] = {}
        self._kept: OrderedDict[Name, _Kept] = OrderedDict()
        self._orders: OrderedDict[Any, Order] = OrderedDict()
        self._masks: OrderedDict[Any, tuple[int, Mask]] = OrderedDict()

    @property
    def size_bytes(self) -> int:
        kept = [k.column.size_bytes for k in self._kept.values()]
        orders = [order.rows.nbytes for order in self._orders.values()]
        return (
            self._frame.size_bytes + sum(kept) + sum(orders) + sum(m.nbytes for _, m in self._masks.values())
        )

    def find(self, tx: Tx, query: Query, after: Place | None) -> Found:
        """The runs wanted, as they are in the transaction; what is missing here is read first."""
        try:
            self._catch_up(tx, query)
        except BaseException:  # half a picture is worth nothing: the next search begins anew
            self._begin()
            raise
        ids = _ids_named(query.filter)
        if ids is None:
            order, few = self._order(query), None
        else:
            few = self._frame.rows(store.numbers(tx, self.workspace_id, ids))
            order = self._made_order(query, few)
        place = 0 if after is None else order.after(after)
        rows = self._page(query, order.rows[place:], query.limit + 1)
        ends = None
        if len(rows) > query.limit:
            rows = rows[: query.limit]
            ends = order.place(int(rows[-1]))
        count = self._total(query, few) if query.count else None
        return Found(self._frame.ids(rows).tolist(), ends, count)

    def trim(self, limit_bytes: int) -> None:
        """Let go of what was not used for the longest time, until the rest is below the limit."""
        kinds: list[OrderedDict[Any, Any]] = [self._masks, self._kept, self._orders]
        while self.size_bytes > limit_bytes and any(kinds):
            next(kind for kind in kinds if kind).popitem(last=False)

    def _page(self, query: Query, rows: RowArray, enough: int) -> RowArray:
        """The first `enough` of these rows that pass. What many runs pass is found at once; for what few pass, one look at
        all runs is quicker than going on piece by piece, and its answer is kept."""
        found: list[RowArray] = []
        seen, size = 0, max(_FIRST_LOOK, 4 * enough)
        while seen < len(rows) and sum(map(len, found)) < enough:
            if seen > _LAST_LOOK or _scope(query) in self._masks:
                rest = rows[seen:]
                found.append(rest[self._mask(query)[rest]])
                break
            piece = rows[seen : seen + size]
            found.append(piece[self._passing(query, piece)])
            seen, size = seen + size, size * 4
        return np.concatenate(found)[:enough] if found else rows[:0]

    def _total(self, query: Query, few: RowArray | None) -> int:
        return int(np.count_nonzero(self._mask(query) if few is None else self._passing(query, few)))

    def _mask(self, query: Query) -> Mask:
        """Of every run, whether it passes."""
        frame = self._frame
        version, mask = self._masks.pop(_scope(query), (-1, np.zeros(0, dtype=bool)))
        if version < 0:
            mask = np.empty(frame.count, dtype=bool)
            for start in range(0, frame.count, _PIECE):
                part = slice(start, min(start + _PIECE, frame.count))
                mask[part] = self._passing(query, part)
        elif version < frame.version:
            changed = frame.changed_since(version)
            mask = grown(mask, frame.count, False)
            mask[changed] = self._passing(query, changed)
        self._masks[_scope(query)] = (frame.version, mask)
        if len(self._masks) > _MASKS:
            self._masks.popitem(last=False)
        return mask

    def _passing(self, query: Query, rows: Rows) -> Mask:
        frame = self._frame
        passing = frame.seen(rows, query.view)
        if query.experiments is not None:
            codes = frame.experiment.codes(query.experiments)
            passing &= np.isin(frame.experiment.codes_at(rows), codes)
        return passing & matching(query.filter, rows, len(passing), self._column)

    def _order(self, query: Query) -> Order:
        key = (query.order_by, query.natural)
        order = self._orders.pop(key, None) or self._new_order()
        order.update(
            self._by(query),
            self._frame.changed_since(order.version),
            self._frame.there(),
            self._frame.version,
        )
        self._orders[key] = order
        if len(self._orders) > _ORDERS:
            self._orders.popitem(last=False)
        return order

    def _made_order(self, query: Query, rows: RowArray) -> Order:
        order = self._new_order()
        order.update(self._by(query), rows, self._frame.there(), self._frame.version)
        return order

    def _new_order(self) -> Order:
        return Order(self._frame.start, self._frame.ids)

    def _by(self, query: Query) -> list[By]:
        return [By(self._column(order.column), order.descending, query.natural) for order in query.order_by]

    def _column(self, name: Name) -> Column:
        return self._frame_column(name) or self._kept[name].column

    def _frame_column(self, name: Name) -> Column | None:
        if not isinstance(name, Attribute):
            return None
        return self._frame.duration if name.name == "duration" else self._frame.columns.get(name.name)

    def _catch_up(self, tx: Tx, query: Query) -> None:
        self._frame.catch_up(tx)
        for name in {*columns_of(query.filter), *(order.column for order in query.order_by)}:
            self._prepare(tx, name)
        self._places = {}

    def _prepare(self, tx: Tx, name: Name) -> None:
        """Have the column as the runs are now."""
        frame = self._frame
        if self._frame_column(name) is not None:
            return
        if name == _EXPERIMENT:
            self._see_renamed(tx)
        kept = self._kept.pop(name, None) or _Kept(Numbers() if isinstance(name, Metric) else Texts())
        self._kept[name] = kept
        if kept.version == frame.version:
            return
        changed = frame.changed_since(kept.version)
        of: Sequence[str] | None = frame.ids(changed).tolist()
        if kept.version < 0 or len(changed) > _FEW:
            kept.column, of = type(kept.column)(), None
        kept.column.grow(frame.count)
        if of is not None:
            kept.column.fill(changed, [None] * len(changed))
            places = dict(zip(of, changed.tolist(), strict=True))
        else:
            places = self._all_places()
        for ids, values in self._pieces(tx, name, of):
            rows = np.array([places.get(run_id, -1) for run_id in ids], dtype=np.int32)
            if (rows < 0).any():  # of other workspaces
                values = [value for row, value in zip(rows.tolist(), values, strict=True) if row >= 0]
                rows = rows[rows >= 0]
            kept.column.fill(rows, values)
        kept.version = frame.version

    def _all_places(self) -> dict[str, int]:
        """The row of each run by its id: 150 bytes a run, so only while columns are read."""
        if not self._places:
            ids = self._frame.ids(slice(0, self._frame.count)).tolist()
            self._places = dict(zip(ids, range(len(ids)), strict=True))
        return self._places

    def _pieces(self, tx: Tx, name: Name, of: Sequence[str] | None) -> Iterable[store.Piece]:
        if isinstance(name, Metric):
            return store.metric(tx, name, of)
        if isinstance(name, Label):
            return store.label(tx, name, of)
        return store.texts(tx, name.name, of)

    def _see_renamed(self, tx: Tx) -> None:
        """Giving an experiment another name changes none of its runs."""
        names = store.experiment_names(tx, self.workspace_id)
        if any(names.get(key, name) != name for key, name in self._experiments.items()):
            self._kept.pop(_EXPERIMENT, None)
            self._masks.clear()
            for key in [key for key in self._orders if any(o.column == _EXPERIMENT for o in key[0])]:
                del self._orders[key]
        self._experiments = names


def _scope(query: Query) -> Any:
    return query.filter, query.view, query.experiments


def _ids_named(expression: Expression) -> tuple[str, ...] | None:
    """The only runs that can pass, where the filter names them by id: these are looked at alone."""
    if isinstance(expression, All):
        return next((ids for ids in map(_ids_named, expression.operands) if ids is not None), None)
    if isinstance(expression, OneOf) and expression.column == _ID:
        return tuple(str(value) for value in expression.values)
    if isinstance(expression, Comparison) and expression.column == _ID and expression.operator == "=":
        return (str(expression.value),)
    return None
