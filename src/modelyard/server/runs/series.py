"""Reads series as arrays: of many runs and metrics at once, a range of them, or fewer points that look the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from modelyard.server.kernel.auth import Kind, Principal
from modelyard.server.kernel.db import Database, Tx
from modelyard.server.kernel.errors import Forbidden, Invalid
from modelyard.server.runs import rules, series_store, store
from modelyard.server.runs.creation import is_within, no_such_run
from modelyard.server.runs.summaries import Summary
from modelyard.wire.metrics import Series, SeriesAnswer, SeriesQuery

if TYPE_CHECKING:
    from modelyard.server.runs.arrays import Arrays

MAX_SERIES = 1_000  # in one call
MAX_POINTS = 5_000_000  # in one answer
METHODS = ("minmax", "lttb")
_LEAST = 3  # points of a sample: the first, the last and one between


class SeriesReads:
    def __init__(self, db: Database) -> None:
        self._db = db

    def read(self, workspace_id: str, principal: Principal, query: SeriesQuery) -> SeriesAnswer:
        """As JSON takes them. Raises NotFound for a run, Forbidden for another's run, Invalid."""
        return SeriesAnswer(
            [
                plain(run_id, s, points, total)
                for run_id, s, points, total in self._found(workspace_id, principal, query)
            ]
        )

    def read_arrow(self, workspace_id: str, principal: Principal, query: SeriesQuery) -> bytes:
        """An Arrow stream with the columns run_id, name, step, time_ms, value; one batch a series."""
        # Heavy, and only some ask for it.
        from modelyard.server.runs import series_arrow

        return series_arrow.stream(
            (run_id, summary.name, points)
            for run_id, summary, points, _ in self._found(workspace_id, principal, query)
        )

    def _found(
        self, workspace_id: str, principal: Principal, query: SeriesQuery
    ) -> Iterator[tuple[str, Summary, Arrays, int]]:
        # Heavy, and not needed before somebody looks at a curve.
        from modelyard.server.runs import series_reader

        _check(query)
        with self._db.read() as tx:
            wanted = self._series(tx, workspace_id, principal, query)
            room = MAX_POINTS
            for run_id, summary in wanted:
                points = _within(series_reader.read(tx, summary.id, 0, summary.count), query)
                total = len(points)
                if query.points is not None:
                    points = _sampled(points, query.points, query.method)
                room -= len(points)
                if room < 0:
                    raise Invalid(
                        "too_many_points",
                        f"The answer would hold more than {MAX_POINTS:,} points. Ask for fewer series, or for samples of "
                        "them with `points`.",
                        limit=MAX_POINTS,
                    )
                yield run_id, summary, points, total

    def _series(
        self, tx: Tx, workspace_id: str, principal: Principal, query: SeriesQuery
    ) -> Sequence[tuple[str, Summary]]:
        """In the order of the query; metrics that a run lacks are left out."""
        found: list[tuple[str, Summary]] = []
        for run_id in dict.fromkeys(query.runs):
            if not rules.is_run_id(run_id) or not store.exists(tx, workspace_id, run_id):
                raise no_such_run(run_id)
            if principal.kind is Kind.RUN and not is_within(tx, workspace_id, principal.subject, run_id):
                raise Forbidden(
                    "other_run", f"{principal.name} may read only itself and its child runs, not {run_id!r}."
                )
            if query.names:
                known = series_store.find(tx, query.system, [(run_id, name) for name in query.names])
                of_run = [known[run_id, n] for n in dict.fromkeys(query.names) if (run_id, n) in known]
            else:
                of_run = series_store.of_run(tx, run_id, query.system)
            found += [(run_id, summary) for summary in of_run if summary.count > summary.values_count]
            if len(found) > MAX_SERIES:
                raise Invalid(
                    "too_many_series",
                    f"One call reads at most {MAX_SERIES} series. Ask for fewer runs or names at a time.",
                    limit=MAX_SERIES,
                )
        return found


def _check(query: SeriesQuery) -> None:
    if not query.runs:
        raise Invalid("no_runs", "Name at least one run.")
    if query.method not in METHODS:
        raise Invalid(
            "bad_method", f"{query.method[:80]!r} is no way to sample. Known: {', '.join(METHODS)}."
        )
    if query.points is not None and query.points < _LEAST:
        raise Invalid("bad_points", f"points must be at least {_LEAST}, not {query.points}.")
    for name in query.names:
        rules.check_text("The name of the metric", name, rules.MAX_KEY)


def _within(points: Arrays, query: SeriesQuery) -> Arrays:
    """Those in the ranges of step and time, ends included. A point without a step counts as step 0, as everywhere."""
    if query.from_step is not None:
        points = points[points.steps >= query.from_step]
    if query.to_step is not None:
        points = points[points.steps <= query.to_step]
    if query.from_ms is not None:
        points = points[points.times_ms >= query.from_ms]
    if query.to_ms is not None:
        points = points[points.times_ms <= query.to_ms]
    return points


def _sampled(points: Arrays, most: int, method: str) -> Arrays:
    """Drawn over the step where every point has one, else over time."""
    if len(points) <= most:
        return points
    import numpy as np

    from modelyard.server.runs import sampling

    over = points.steps if points.stepped.all() else points.times_ms
    if (np.diff(over) < 0).any():
        points = points[np.argsort(over, kind="stable")]
        over = points.steps if points.stepped.all() else points.times_ms
    return points[sampling.METHODS[method](over.astype(np.float64), points.values, most)]


def plain(run_id: str, summary: Summary, points: Arrays, total: int) -> Series:
    """As JSON takes it."""
    import numpy as np

    values: list[Any] = points.values.tolist()
    if summary.whole:
        values = [int(value) for value in values]
    nonfinite: dict[str, str] = {}
    for position in np.flatnonzero(~np.isfinite(points.values)).tolist():
        value = values[position]
        nonfinite[str(position)] = "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
        values[position] = None
    steps: list[int | None] = points.steps.tolist()
    if not points.stepped.all():
        steps = [step if known else None for step, known in zip(steps, points.stepped, strict=True)]
    return Series(run_id, summary.name, steps, points.times_ms.tolist(), values, nonfinite, total)
