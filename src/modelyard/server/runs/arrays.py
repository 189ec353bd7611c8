"""The points of one series as numpy arrays, out of rows and blocks. Needs numpy, so import it late."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelyard.server.kernel.db import Tx
from modelyard.server.runs import codec, points_store


@dataclass(frozen=True)
class Arrays:
    """Points in the order of arrival. `steps` is 0 where `stepped` is false: that point has none."""

    seqs: NDArray[np.int64]
    steps: NDArray[np.int64]
    stepped: NDArray[np.bool_]
    times_ms: NDArray[np.int64]
    values: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.seqs)

    def __getitem__(self, which: Any) -> Arrays:
        """Those of a slice, a mask or positions."""
        return Arrays(
            self.seqs[which], self.steps[which], self.stepped[which], self.times_ms[which], self.values[which]
        )


def read(tx: Tx, series_id: int, start: int = 0, stop: int | None = None) -> Arrays:
    """The points numbered from `start` to before `stop`, or all from there on."""
    parts = [_of_rows(points_store.rows(tx, series_id, start, stop))]
    for block in points_store.blocks(tx, series_id, start, stop):
        parts.append(_of_block(block))
    parts = [part for part in parts if len(part)]
    if not parts:
        return _of_rows([])
    parts.sort(key=lambda part: int(part.seqs[0]))
    found = joined(parts)
    if (np.diff(found.seqs) < 0).any():  # rows lie between blocks
        found = found[np.argsort(found.seqs, kind="stable")]
    if found.seqs[0] < start or (stop is not None and found.seqs[-1] >= stop):
        found = found[
            (found.seqs >= start) & (found.seqs < (stop if stop is not None else found.seqs[-1] + 1))
        ]
    return found


def joined(parts: list[Arrays]) -> Arrays:
    if len(parts) == 1:
        return parts[0]
    columns = ("seqs", "steps", "stepped", "times_ms", "values")
    return Arrays(*(np.concatenate([getattr(part, name) for part in parts]) for name in columns))


def numbered(start: int, stop: int) -> NDArray[np.int64]:
    """The numbers of points that follow each other."""
    return np.arange(start, stop, dtype=np.int64)


def has_negative_zero(points: Arrays) -> bool:
    """SQLite's own numbers have none, so such points go into a block however few they are."""
    return bool((np.signbit(points.values) & (points.values == 0)).any())


def in_a_row(points: Arrays) -> list[Arrays]:
    """Cut where a number is missing, because what came there is no number."""
    cuts = (np.flatnonzero(np.diff(points.seqs) != 1) + 1).tolist()
    edges = [0, *cuts, len(points)]
    return [points[start:stop] for start, stop in itertools.pairwise(edges) if stop > start]


def _of_rows(rows: list[points_store.PointRow]) -> Arrays:
    """`rows`: seq, step, time, value."""
    seqs, steps, times, values = zip(*rows, strict=True) if rows else ((), (), (), ())
    return Arrays(
        np.array(seqs, np.int64),
        np.array([0 if step is None else step for step in steps], np.int64),
        np.array([step is not None for step in steps], np.bool_),
        np.array(times, np.int64),
        np.array(values, np.float64),  # None becomes NaN
    )


def _of_block(block: points_store.Block) -> Arrays:
    seqs = np.arange(block.seq, block.seq + block.size, dtype=np.int64)
    return Arrays(seqs, *codec.unpack(block.codec, block.size, block.steps, block.times_ms, block.values))


def packed(series_id: int, points: Arrays) -> tuple[Any, ...]:
    """Points that follow each other as the row of one block."""
    return (
        series_id,
        int(points.seqs[0]),
        len(points),
        codec.VERSION,
        codec.pack_steps(points.steps, points.stepped),
        codec.pack_ints(points.times_ms),
        codec.pack_floats(points.values),
    )
