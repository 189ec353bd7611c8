"""Columns that hold nothing of their own, or whose words go by more than one name."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from modelyard.server.runs.search.columns import (
    Mask,
    Numbers,
    Numbers64,
    Rows,
    SortKeys,
    Texts,
    Truth,
    number_key,
    number_keys,
    test_numbers,
    text_holds,
)
from modelyard.server.runs.search.expression import Comparison, Test, Value


class Difference:
    """One number less another: how long a run took."""

    def __init__(self, end: Numbers, start: Numbers) -> None:
        self._end, self._start = end, start

    def _at(self, rows: Rows) -> tuple[Numbers64, Mask]:
        values = self._end.at(rows) - self._start.at(rows)
        return values, np.isnan(values)

    def test(self, rows: Rows, test: Test) -> Truth:
        return test_numbers(*self._at(rows), test)

    def sort_keys(self, rows: Rows, natural: bool) -> SortKeys:
        values, null = self._at(rows)
        return number_keys(values, null)

    def key_of(self, value: Value | None, natural: bool) -> tuple[int, float]:
        return number_key(value)

    def value(self, row: int) -> Value | None:
        values, null = self._at(np.array([row], dtype=np.int32))
        return None if null[0] else float(values[0])


class Statuses(Texts):
    """A status goes by two names, ours and MLflow's: either may be asked for, and neither must be what is excluded."""

    def __init__(self, other_name: Mapping[str, str]) -> None:
        super().__init__()
        self._other_name = other_name

    def holds(self, word: str, test: Test) -> bool:
        names = {word, self._other_name[word]}
        excludes = isinstance(test, Comparison) and test.operator == "!="
        return (all if excludes else any)(text_holds(name, test) for name in names)
