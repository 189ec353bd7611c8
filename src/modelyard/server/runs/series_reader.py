"""The points of one series out of the database, as numpy arrays. Needs numpy, so import it late."""

from __future__ import annotations

import numpy as np

from modelyard.server.kernel.db import Tx
from modelyard.server.runs import arrays, points_store


def read(tx: Tx, series_id: int, start: int = 0, stop: int | None = None) -> arrays.Arrays:
    """The points numbered from `start` to before `stop`, or all from there on."""
    parts = [arrays.of_rows(points_store.rows(tx, series_id, start, stop))]
    for block in points_store.blocks(tx, series_id, start, stop):
        parts.append(arrays.of_block(block))
    parts = [part for part in parts if len(part)]
    if not parts:
        return arrays.of_rows([])
    parts.sort(key=lambda part: int(part.seqs[0]))
    found = arrays.joined(parts)
    if (np.diff(found.seqs) < 0).any():  # rows lie between blocks
        found = found[np.argsort(found.seqs, kind="stable")]
    if found.seqs[0] < start or (stop is not None and found.seqs[-1] >= stop):
        found = found[
            (found.seqs >= start) & (found.seqs < (stop if stop is not None else found.seqs[-1] + 1))
        ]
    return found
