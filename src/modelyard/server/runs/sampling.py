"""Fewer points that look the same when drawn. Pure; needs numpy, so import it late.

x: what the points are drawn over, ascending; y: their values. Answers the positions of the points that are kept, in
order: the first, the last, and those in between that the method chooses out of buckets of as many points each.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Positions = NDArray[np.int64]

LEAST = 3


def minmax(x: Numbers, y: Numbers, most: int) -> Positions:
    """The lowest and the highest point of each bucket, so that no peak is lost. NaN only where a bucket has nothing else."""
    inner = np.arange(1, len(y) - 1)
    edges = _edges(len(inner), max(1, (most - 2) // 2))
    low = np.where(np.isnan(y), np.inf, y)[1:-1]
    high = np.where(np.isnan(y), -np.inf, y)[1:-1]
    kept = [np.array([0, len(y) - 1])]
    for start, stop in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        kept.append(inner[[start + int(low[start:stop].argmin()), start + int(high[start:stop].argmax())]])
    return np.unique(np.concatenate(kept))[:most] if most >= 4 else np.array([0, kept[1][1], len(y) - 1])


def lttb(x: Numbers, y: Numbers, most: int) -> Positions:
    """Largest triangle three buckets (Steinarsson 2013): of each bucket the point that makes the largest triangle with
    the one chosen before it and the middle of the next bucket. What is not finite counts as 0."""
    y = np.where(np.isfinite(y), y, 0.0)
    edges = _edges(len(y) - 2, most - 2) + 1
    ends = [*edges[1:-1].tolist(), len(y) - 1]
    sums_x, sums_y = (np.concatenate(([0.0], np.cumsum(v))) for v in (x, y))
    kept = [0]
    at = 0
    for number, start in enumerate(edges[:-1].tolist()):
        stop = int(edges[number + 1])
        after = ends[number + 1] if number + 1 < len(ends) else len(y)
        size = max(1, after - stop)
        x_next = (sums_x[stop + size] - sums_x[stop]) / size
        y_next = (sums_y[stop + size] - sums_y[stop]) / size
        with np.errstate(over="ignore", invalid="ignore"):  # of numbers near the largest
            areas = np.abs(
                (x[at] - x_next) * (y[start:stop] - y[at]) - (x[at] - x[start:stop]) * (y_next - y[at])
            )
        at = start + int(areas.argmax())
        kept.append(at)
    return np.array([*kept, len(y) - 1], np.int64)


METHODS: dict[str, Callable[[Numbers, Numbers, int], Positions]] = {"minmax": minmax, "lttb": lttb}


def _edges(count: int, buckets: int) -> Positions:
    """Where the buckets begin and end; they are equal but for one point."""
    buckets = min(buckets, count)
    return (np.arange(buckets + 1, dtype=np.int64) * count) // buckets
