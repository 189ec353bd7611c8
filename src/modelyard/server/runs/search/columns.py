"""One column of many runs in memory, and what can be asked of it: which runs pass a test, and how they are ordered.

A test answers as SQL does: true, false, or neither where the value is NULL. NaN compares as floating point says.
"""

from __future__ import annotations

import bisect
import math
import operator
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from modelyard.server.runs.search.expression import Comparison, IsNull, Like, OneOf, Test, Value
from modelyard.server.runs.search.patterns import matcher

Rows = npt.NDArray[np.int32] | slice
Mask = npt.NDArray[np.bool_]
Numbers64 = npt.NDArray[np.float64]

_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_TABLES = 32  # answers of tests over a dictionary of words that are kept
_BYTES_A_WORD = 150  # a str of 20 characters, its place in a list and in a dict


class Truth(NamedTuple):
    """Where a test is true and where it is false; where neither, it is unknown."""

    true: Mask
    false: Mask


class SortKeys(NamedTuple):
    """`kinds`: 0 a value, 1 NaN, 2 NULL; they are ordered by that first, whatever the direction."""

    kinds: npt.NDArray[np.uint8]
    values: Numbers64


class Column(Protocol):
    def test(self, rows: Rows, test: Test) -> Truth: ...

    def sort_keys(self, rows: Rows, natural: bool) -> SortKeys:
        """`natural`: texts that are numbers are ordered as such, before all others."""
        ...

    def key_of(self, value: Value | None, natural: bool) -> tuple[int, float]:
        """The sort key of a value as `value` gave it, which no run need have any more."""
        ...

    def value(self, row: int) -> Value | None: ...


class Stored(Column, Protocol):
    """A column that is filled from the database."""

    @property
    def size_bytes(self) -> int: ...

    def grow(self, size: int) -> None: ...

    def fill(self, rows: Sequence[int] | Rows, values: Sequence[Any]) -> None:
        """None is NULL."""
        ...


class Numbers:
    """Numbers; times too, which are kept in seconds and compared as whole milliseconds."""

    def __init__(self, are_times: bool = False) -> None:
        self._are_times = are_times
        self._values: Numbers64 = np.zeros(0)
        self._null: Mask = np.zeros(0, dtype=bool)

    @property
    def size_bytes(self) -> int:
        return self._values.nbytes + self._null.nbytes

    def grow(self, size: int) -> None:
        self._values = grown(self._values, size, math.nan)
        self._null = grown(self._null, size, True)

    def fill(self, rows: Sequence[int] | Rows, values: Sequence[float | None]) -> None:
        numbers = np.array(values, dtype=np.float64)  # None becomes NaN
        null = np.isnan(numbers)
        if null.any():
            null &= np.fromiter((v is None for v in values), dtype=bool, count=len(values))
        self._values[rows] = numbers
        self._null[rows] = null

    def at(self, rows: Rows) -> Numbers64:
        """NaN for NULL too."""
        return self._values[rows]

    def test(self, rows: Rows, test: Test) -> Truth:
        values = self._values[rows]
        if self._are_times:
            values = np.round(values * 1000)
        return test_numbers(values, self._null[rows], test)

    def sort_keys(self, rows: Rows, natural: bool) -> SortKeys:
        return number_keys(self._values[rows], self._null[rows])

    def key_of(self, value: Value | None, natural: bool) -> tuple[int, float]:
        return number_key(value)

    def value(self, row: int) -> Value | None:
        return None if self._null[row] else float(self._values[row])


class Texts:
    """Texts as codes into a dictionary of the different ones, so that a pattern is tried on each of these once."""

    def __init__(self) -> None:
        self._codes: npt.NDArray[np.int32] = np.zeros(0, dtype=np.int32)
        self._words: list[str] = []
        self._code_of: dict[str | None, int] = {None: -1}
        self._tables: OrderedDict[Test, Mask] = OrderedDict()
        self._ranks: dict[bool, _Ranks] = {}
        self._numbers: Numbers64 = np.zeros(0)

    @property
    def size_bytes(self) -> int:
        return self._codes.nbytes + _BYTES_A_WORD * len(self._words)

    def grow(self, size: int) -> None:
        self._codes = grown(self._codes, size, -1)

    def fill(self, rows: Sequence[int] | Rows, values: Sequence[str | None]) -> None:
        for word in set(values).difference(self._code_of):
            assert word is not None  # it has its code from the beginning
            self._code_of[word] = len(self._words)
            self._words.append(word)
        self._codes[rows] = list(map(self._code_of.__getitem__, values))

    def codes(self, words: Sequence[str]) -> npt.NDArray[np.int32]:
        """The codes of those words that there are."""
        return np.array([self._code_of[w] for w in words if w in self._code_of], dtype=np.int32)

    def codes_at(self, rows: Rows) -> npt.NDArray[np.int32]:
        """-1 for NULL."""
        return self._codes[rows]

    def test(self, rows: Rows, test: Test) -> Truth:
        codes = self._codes[rows]
        known = codes >= 0
        if isinstance(test, IsNull):
            return Truth(~known, known)
        if _is_numeric(test):
            known &= self._is_number()[codes]
        passed = self._table(test)[codes]
        return Truth(known & passed, known & ~passed)

    def sort_keys(self, rows: Rows, natural: bool) -> SortKeys:
        codes = self._codes[rows]
        ranks = self._ranked(natural).of_code
        return SortKeys(np.where(codes < 0, np.uint8(2), np.uint8(0)), ranks[codes])

    def key_of(self, value: Value | None, natural: bool) -> tuple[int, float]:
        return (2, 0.0) if value is None else (0, self._ranked(natural).of_word(str(value)))

    def value(self, row: int) -> Value | None:
        code = self._codes[row]
        return None if code < 0 else self._words[code]

    def holds(self, word: str, test: Test) -> bool:
        """Whether the test is true of this word."""
        return text_holds(word, test)

    def _table(self, test: Test) -> Mask:
        """By code, whether the test is true of the word; one more at the end, for the code of NULL."""
        count = len(self._words)
        table = self._tables.pop(test, None)
        if table is None or len(table) <= count:
            known = 0 if table is None else len(table) - 1
            longer = np.zeros(count + 1, dtype=bool)
            if table is not None:
                longer[:known] = table[:known]
            for code in range(known, count):
                longer[code] = self.holds(self._words[code], test)
            table = longer
        self._tables[test] = table
        if len(self._tables) > _TABLES:
            self._tables.popitem(last=False)
        return table

    def _is_number(self) -> Mask:
        known = len(self._numbers)
        if known <= len(self._words):
            new = [as_number(word) for word in self._words[max(0, known - 1) :]]
            self._numbers = np.concatenate((self._numbers[:-1], np.array([*new, None], dtype=np.float64)))
        return ~np.isnan(self._numbers)

    def _ranked(self, natural: bool) -> _Ranks:
        ranks = self._ranks.get(natural)
        if ranks is None or ranks.count != len(self._words):
            ranks = self._ranks[natural] = _Ranks(self._words, natural)
        return ranks


class _Ranks:
    """The place of each word among all of them."""

    def __init__(self, words: Sequence[str], natural: bool) -> None:
        self.count = len(words)
        self._key = _natural if natural else _plain
        keys = list(map(self._key, words))
        order = sorted(range(len(words)), key=keys.__getitem__)
        self._sorted = [keys[code] for code in order]
        self.of_code: Numbers64 = np.zeros(self.count + 1)
        self.of_code[order] = np.arange(self.count)

    def of_word(self, word: str) -> float:
        """Between its neighbours, where it is none of the words."""
        key = self._key(word)
        place = bisect.bisect_left(self._sorted, key)
        found = place < self.count and self._sorted[place] == key
        return float(place) if found else place - 0.5


def _natural(word: str) -> tuple[int, float, str]:
    number = as_number(word)
    return (1, 0.0, word) if number is None else (0, number, word)


def _plain(word: str) -> tuple[int, float, str]:
    return 0, 0.0, word


def as_number(word: str) -> float | None:
    """The number that a text is; None where it is none, and for NaN, which is not ordered."""
    try:
        number = float(word)
    except ValueError:
        return None
    return None if math.isnan(number) else number


def text_holds(word: str, test: Test) -> bool:
    """Whether a test is true of a text. A number is compared with the number that the text is."""
    if isinstance(test, Like):
        return matcher(test.pattern, test.any_case)(word)
    if isinstance(test, OneOf):
        return word in test.values or any(_same(word, value) for value in test.values)
    assert isinstance(test, Comparison)
    compare = _COMPARE[test.operator]
    if isinstance(test.value, str):
        return bool(compare(word, test.value))
    number = as_number(word)
    return number is not None and bool(compare(number, test.value))


def _same(word: str, value: Value) -> bool:
    return not isinstance(value, str) and as_number(word) == value


def _is_numeric(test: Test) -> bool:
    """Whether it says nothing of texts that are no numbers."""
    if isinstance(test, Comparison):
        return not isinstance(test.value, str)
    return isinstance(test, OneOf) and not any(isinstance(v, str) for v in test.values)


def test_numbers(values: Numbers64, null: Mask, test: Test) -> Truth:
    if isinstance(test, IsNull):
        return Truth(null, ~null)
    if isinstance(test, OneOf):
        passed = np.isin(values, np.array(test.values, dtype=np.float64))
    else:
        assert isinstance(test, Comparison)
        passed = _COMPARE[test.operator](values, test.value)
    return Truth(passed & ~null, ~passed & ~null)


def number_keys(values: Numbers64, null: Mask) -> SortKeys:
    nan = np.isnan(values)
    return SortKeys(nan.astype(np.uint8) + null, np.where(nan, 0.0, values))


def number_key(value: Value | None) -> tuple[int, float]:
    if value is None:
        return 2, 0.0
    number = float(value)
    return (1, 0.0) if math.isnan(number) else (0, number)


def grown(array: npt.NDArray[Any], size: int, fill: Any) -> npt.NDArray[Any]:
    """The array with room for `size`, and then some, so that growing one by one costs little."""
    if size <= len(array):
        return array
    made = np.full(max(size, len(array) * 5 // 4), fill, dtype=array.dtype)
    made[: len(array)] = array
    return made
