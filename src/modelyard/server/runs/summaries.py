"""What is kept of a metric beside its points, so that a look at it need not read them. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(slots=True)
class Summary:
    """One metric of one run as it is kept; changed in place while points come in.

    `last` is the number with the highest step, of those the latest; None where that is NaN, or where there is none
    (then `last_ms` is None too).
    """

    id: int
    run_id: str
    name: str
    kind: str = "m"
    description: str = ""
    count: int = 0
    values_count: int = 0
    folded: int = 0
    whole: bool = True
    nonfinite: bool = False
    last: float | None = None
    last_step: int | None = None
    last_ms: int | None = None
    min: float | None = None
    max: float | None = None
    first_at: float | None = None
    last_at: float | None = None

    @property
    def has_numbers(self) -> bool:
        return self.last_ms is not None

    def saw(self, times_ms: Sequence[int]) -> None:
        """Records of these times came in, numbers or not, in whatever order."""
        first, last = min(times_ms) / 1000, max(times_ms) / 1000
        if self.first_at is None or first < self.first_at:
            self.first_at = first
        if self.last_at is None or last > self.last_at:
            self.last_at = last

    def take(self, steps: Sequence[int | None], times_ms: Sequence[int], values: Sequence[float]) -> None:
        """Numbers came in, in this order; at least one."""
        at = _newest(steps, times_ms, values)
        self._take_last(steps[at], times_ms[at], values[at])
        finite = values
        if not all(map(math.isfinite, values)):
            self.nonfinite = True
            finite = [value for value in values if not math.isnan(value)]
            if not finite:
                return
        least, most = min(finite), max(finite)
        if self.min is None or least < self.min:
            self.min = least
        if self.max is None or most > self.max:
            self.max = most

    def _take_last(self, step: int | None, at: int, value: float) -> None:
        if self.last_ms is not None:
            kept = (self.last_step, self.last_ms, math.nan if self.last is None else self.last)
            if not _follows((step, at, value), kept):
                return
        self.last_step, self.last_ms = step, at
        self.last = None if math.isnan(value) else value


_Point = tuple[int | None, int, float]


def _follows(point: _Point, kept: _Point) -> bool:
    """Whether `point`, which came later, takes the place of `kept` as the newest of its metric.

    By step; a point without one counts as step 0. At equal steps by time and then value, as MLflow has it, where both
    have a step; without one the order of arrival decides.
    """
    if (point[0] or 0) != (kept[0] or 0):
        return (point[0] or 0) > (kept[0] or 0)
    if point[0] is None or kept[0] is None:
        return True
    return (point[1], _ordered(point[2])) >= (kept[1], _ordered(kept[2]))


def _ordered(value: float) -> float:
    """MLflow keeps NaN as a 0 with a mark beside it, and compares that."""
    return 0.0 if math.isnan(value) else value


def _newest(steps: Sequence[int | None], times_ms: Sequence[int], values: Sequence[float]) -> int:
    """The position of the newest of these points."""
    if len(values) == 1:
        return 0
    kinds = set(map(type, steps))
    if kinds == {type(None)}:
        return len(values) - 1
    if kinds == {int}:
        highest: int = max(steps)  # type: ignore[type-var, assignment]  # whole numbers all, as was just seen
        if steps.count(highest) == 1:
            return steps.index(highest)
    at = 0
    for other in range(1, len(values)):
        if _follows((steps[other], times_ms[other], values[other]), (steps[at], times_ms[at], values[at])):
            at = other
    return at
