"""All runs of a workspace in one order, kept so while they change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from modelyard.server.runs.search.columns import Column, Mask, Numbers, Rows
from modelyard.server.runs.search.query import Place

RowArray = npt.NDArray[np.int32]
Keys = list[npt.NDArray[Any]]  # compared from the first to the last
_REBUILD = 4  # when more than one in this many has changed, sorting anew is quicker


@dataclass(frozen=True)
class By:
    """`natural`: texts that are numbers are ordered as numbers."""

    column: Column
    descending: bool
    natural: bool


class Order:
    """By some columns; then the one that started last, then by id. NaN comes after all values and NULL after that."""

    def __init__(self, start: Numbers, ids: Callable[[Rows], Any]) -> None:
        self._by: Sequence[By] = ()
        self._start = start
        self._ids = ids
        self.rows: RowArray = np.zeros(0, dtype=np.int32)
        self.version = -1

    def update(self, by: Sequence[By], changed: RowArray, alive: Mask, version: int) -> None:
        """Take in what has changed since the last time; `alive` says of every row whether the run is there."""
        self._by = by
        if self.version < 0:
            self.rows = self._sorted(changed[alive[changed]])
        elif len(changed) * _REBUILD > len(self.rows):
            self.rows = self._sorted(np.flatnonzero(alive).astype(np.int32))
        elif len(changed):
            stale = np.zeros(len(alive), dtype=bool)
            stale[changed] = True
            kept = self.rows[~stale[self.rows]]
            new = self._sorted(changed[alive[changed]])
            self.rows = np.insert(kept, self._places(kept, self._keys(new)), new)
        self.version = version

    def after(self, place: Place) -> int:
        """How many rows come before or at this place, where a run was that may have changed since."""
        keys: Keys = []
        for by, value in zip(self._by, place.values, strict=True):
            kind, number = by.column.key_of(value, by.natural)
            keys += [np.array([kind]), np.array([-number if by.descending else number])]
        keys += [np.array([-place.start]), np.array([place.run_id], dtype=np.dtypes.StringDType())]
        return int(self._places(self.rows, keys, behind=True)[0])

    def place(self, row: int) -> Place:
        one = np.array([row], dtype=np.int32)
        values = [by.column.value(row) for by in self._by]
        return Place(values, float(self._start.at(one)[0]), str(self._ids(one)[0]))

    def _sorted(self, rows: RowArray) -> RowArray:
        *numeric, _ = self._keys(rows)
        place = np.lexsort(numeric[::-1])
        return self._ties_by_id(rows[place], [key[place] for key in numeric])

    def _ties_by_id(self, rows: RowArray, keys: Keys) -> RowArray:
        """Few runs are alike in all numbers, and comparing texts is slow, so only those are sorted by id."""
        if len(rows) < 2:
            return rows
        differs = np.logical_or.reduce([key[1:] != key[:-1] for key in keys])
        group = np.concatenate(([0], np.cumsum(differs)))
        tied = np.zeros(len(rows), dtype=bool)
        tied[1:] = ~differs
        tied[:-1] |= ~differs
        places = np.flatnonzero(tied)
        if len(places) == 0:
            return rows
        by_id = np.argsort(self._ids(rows[places]), kind="stable")
        by_id = by_id[np.argsort(group[places][by_id], kind="stable")]
        done = rows.copy()
        done[places] = rows[places][by_id]
        return done

    def _keys(self, rows: RowArray) -> Keys:
        keys: Keys = []
        for by in self._by:
            kinds, values = by.column.sort_keys(rows, by.natural)
            keys += [kinds, -values if by.descending else values]
        return [*keys, -self._start.at(rows), self._ids(rows)]

    def _places(self, among: RowArray, keys: Keys, behind: bool = False) -> npt.NDArray[np.int64]:
        """Where in the sorted `among` each of these keys belongs: a binary search of all at once."""
        low = np.zeros(len(keys[0]), dtype=np.int64)
        high = np.full(len(keys[0]), len(among), dtype=np.int64)
        while True:
            open_ = np.flatnonzero(low < high)
            if len(open_) == 0:
                return low
            middle = (low[open_] + high[open_]) // 2
            right = _before(self._keys(among[middle]), [key[open_] for key in keys], behind)
            low[open_[right]] = middle[right] + 1
            high[open_[~right]] = middle[~right]


def _before(keys: Keys, others: Keys, or_same: bool) -> npt.NDArray[np.bool_]:
    before = np.zeros(len(keys[0]), dtype=bool)
    same = np.ones(len(keys[0]), dtype=bool)
    for key, other in zip(keys, others, strict=True):
        before |= same & (key < other)
        same &= key == other
    return before | same if or_same else before
