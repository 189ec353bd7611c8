"""Points of one series as numpy arrays, made of rows and blocks. Pure; needs numpy, so import it late."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelyard.server.runs import codec
from modelyard.server.runs.blocks import Block


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


def of_rows(rows: list[tuple[int, int | None, int, float | None]]) -> Arrays:
    """`rows`: seq, step, time, value."""
    seqs, steps, times, values = zip(*rows, strict=True) if rows else ((), (), (), ())
    return Arrays(
        np.array(seqs, np.int64),
        np.array([0 if step is None else step for step in steps], np.int64),
        np.array([step is not None for step in steps], np.bool_),
        np.array(times, np.int64),
        np.array(values, np.float64),  # None becomes NaN
    )


def of_block(block: Block) -> Arrays:
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
