"""Folds the points of a series into compressed blocks: when there are enough for full ones, and all when the run is over.

A block replaces the rows and small blocks that it is made of in one transaction, so a crash at any moment leaves the one
or the other. Points are only ever added, so what was read before the transaction still is what is replaced in it.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from modelyard.server.kernel import events
from modelyard.server.kernel.db import Database, Tx
from modelyard.server.runs import folding_store, metrics_store, points_store
from modelyard.server.runs.folding_store import FULL, LEAST
from modelyard.server.runs.summaries import Summary

_ROOM = 2 * FULL  # points in one transaction, for which others wait
_RUNS = 100

Span = tuple[int, int]


def want(tx: Tx, changed: Iterable[Summary], over: Collection[str] = ()) -> None:
    """Points came in: fold where there are enough now. `over`: those of the runs that are over already."""
    ready = {
        s.run_id
        for s in changed
        if s.count - s.folded >= FULL or (s.run_id in over and s.count - s.folded >= LEAST)
    }
    folding_store.want(tx, sorted(ready))


@dataclass(frozen=True)
class Fold:
    """Of one series: `blocks` take the place of what begins in `spans`. Before seq `then` nothing is left to do."""

    series_id: int
    folded: int
    then: int
    spans: list[Span]
    blocks: list[metrics_store.BlockRow]


@dataclass
class Folds:
    wanted: int
    is_done: bool = True
    folds: list[Fold] = field(default_factory=list)


class FoldMetrics:
    """A reconciler; its keys are runs."""

    name = "fold-metrics"

    def __init__(self, db: Database) -> None:
        self._db = db

    def due(self, tx: Tx, now: float) -> Iterable[str]:
        return folding_store.due(tx, _RUNS)

    def act(self, key: str) -> Folds:
        with self._db.read() as tx:
            result = Folds(folding_store.wanted(tx, key))
            is_over = folding_store.is_over(tx, key)
            room = _ROOM
            for series in folding_store.standing(tx, key, LEAST if is_over else FULL):
                if room < FULL:
                    result.is_done = False
                    break
                stop = min(series.stop, series.folded + room)
                fold = _fold(tx, series, stop, is_over)
                room -= stop - series.folded
                result.folds.append(fold)
                result.is_done = result.is_done and stop == series.stop
        return result

    def apply(self, tx: Tx, key: str, result: Folds, now: float) -> None:
        for fold in result.folds:
            if not folding_store.advance(tx, fold.series_id, fold.folded, fold.then):
                continue  # deleted meanwhile
            for span in fold.spans:
                points_store.drop(tx, fold.series_id, *span)
            metrics_store.add_blocks(tx, fold.blocks)
        if result.is_done:
            folding_store.done(tx, key, result.wanted)
        else:
            events.touch(tx, folding_store.TOPIC)


def _fold(tx: Tx, series: folding_store.Standing, stop: int, is_over: bool) -> Fold:
    """What becomes of the points of one series that are numbered from `folded` to before `stop`."""
    # Heavy, and not needed before the first points are folded.
    from modelyard.server.runs import arrays, series_reader

    extents = points_store.extents(tx, series.series_id, series.folded, stop)
    points = series_reader.read(
        tx, series.series_id, series.folded, max([stop, *(end for _, end in extents)])
    )
    spans: list[Span] = []
    blocks: list[metrics_store.BlockRow] = []
    then = stop
    for part in arrays.in_a_row(points):
        first, last = int(part.seqs[0]), int(part.seqs[-1]) + 1
        may_grow = last >= stop
        keep = last if is_over or not may_grow else first + (last - first) // FULL * FULL
        cuts = [*range(first, keep, FULL), keep]
        for begin, end in itertools.pairwise(cuts):
            if end - begin >= LEAST:
                blocks.append(arrays.packed(series.series_id, part[begin - first : end - first]))
                spans.append((begin, end))
        # A block that came in whole goes as a whole: what lies beyond the last cut is written anew.
        rest = max((end for begin, end in extents if begin < keep < end), default=keep)
        if rest > keep:
            blocks.append(arrays.packed(series.series_id, part[keep - first : rest - first]))
        if may_grow:
            then = first + (last - first) // FULL * FULL
    return Fold(series.series_id, series.folded, then, spans, blocks)
