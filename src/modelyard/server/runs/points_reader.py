"""Makes rows of points out of what is kept of series, for queries in SQL: hot rows and blocks, a piece at a time."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import arro3.core as arrow
import numpy as np
import numpy.typing as npt

from modelyard.server.kernel.queries import Refused, Scan
from modelyard.server.runs import codec

MOST_POINTS = 50_000_000  # of one query: a minute's work
_SERIES = 500  # looked up together
_TOGETHER = 100_000  # points of one batch, where there are as many

_OF_A_SERIES = {
    "experiment": arrow.DataType.string(),
    "run_id": arrow.DataType.string(),
    "name": arrow.DataType.string(),
    "system": arrow.DataType.bool(),
}
_POINT = ("series_id", "seq", "step", "time_ms", "value")
_BLOCK = ("series_id", "seq", "count", "codec", "steps", "times_ms", "values")

Batch = dict[str, Any]


def read(scan: Scan) -> Iterator[Batch]:
    """Batches of points. Raises Refused for more than MOST_POINTS."""
    total = sum(count for rows in scan.rows(["count"]) for (count,) in rows)
    if total > MOST_POINTS:
        raise Refused(
            "query_too_large",
            f"The query reads {total:,} points; one query reads at most {MOST_POINTS:,}. Narrow it with a condition on "
            "points.run_id, points.name or points.experiment, by = or IN and plain values.",
        )
    for rows in scan.rows(["id", *_OF_A_SERIES]):
        for start in range(0, len(rows), _SERIES):
            yield from _of_series(scan, rows[start : start + _SERIES])


def _of_series(scan: Scan, series: Sequence[tuple[Any, ...]]) -> Iterator[Batch]:
    place = {row[0]: position for position, row in enumerate(series)}
    shared = {
        name: arrow.Array([bool(row[column]) if name == "system" else row[column] for row in series], kind)
        for column, (name, kind) in enumerate(_OF_A_SERIES.items(), start=1)
        if name in scan.wanted
    }
    for owners, batch in itertools.chain(_hot(scan, place), _folded(scan, place)):
        index = arrow.Array.from_numpy(owners)
        yield {**batch, **{name: values.take(index) for name, values in shared.items()}}


def _hot(scan: Scan, place: Mapping[int, int]) -> Iterator[tuple[npt.NDArray[np.uint32], Batch]]:
    for rows in scan.more("points", _POINT, "series_id", list(place)):
        ids, positions, steps, times_ms, values = zip(*rows, strict=True)
        yield (
            np.array([place[i] for i in ids], dtype=np.uint32),
            {
                "position": positions,
                "step": steps,
                "time": [t / 1000 for t in times_ms],
                "value": [math.nan if v is None else v for v in values],
            },
        )


def _folded(scan: Scan, place: Mapping[int, int]) -> Iterator[tuple[npt.NDArray[np.uint32], Batch]]:
    waiting: list[Any] = []
    size = 0
    for rows in scan.more("blocks", _BLOCK, "series_id", list(place)):
        for series_id, seq, count, version, steps, times_ms, values in rows:
            columns = codec.unpack(version, count, steps, times_ms, values)
            waiting.append(
                (np.full(count, place[series_id], np.uint32), np.arange(seq, seq + count), *columns)
            )
            size += count
            if size >= _TOGETHER:
                yield _joined(waiting)
                waiting, size = [], 0
    if waiting:
        yield _joined(waiting)


def _joined(blocks: Sequence[Any]) -> tuple[npt.NDArray[np.uint32], Batch]:
    owners, positions, steps, stepped, times_ms, values = map(np.concatenate, zip(*blocks, strict=True))
    return owners, {
        "position": arrow.Array.from_numpy(positions),
        "step": arrow.Array.from_numpy(steps)
        if stepped.all()
        else [step if there else None for step, there in zip(steps.tolist(), stepped.tolist(), strict=True)],
        "time": arrow.Array.from_numpy(times_ms / 1000),
        "value": arrow.Array.from_numpy(values),
    }
