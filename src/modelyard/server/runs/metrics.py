"""Reads metrics back in the shapes of v1's get_metrics, and series as arrays."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from modelyard.server.kernel.db import Database, Tx
from modelyard.server.kernel.errors import Invalid, NotFound
from modelyard.server.runs import metrics_store, points_store, rules, series_store, store
from modelyard.server.runs.creation import no_such_run
from modelyard.server.runs.summaries import Summary
from modelyard.wire.metric_shapes import shape
from modelyard.wire.metrics import MetricInfo, MetricPoints, MetricsAnswer, RunMetrics

MAX_POINTS = 1_000_000


class Metrics:
    def __init__(self, db: Database) -> None:
        self._db = db

    def get(
        self, workspace_id: str, run_id: str, name: str | None, recursive: bool, system: bool
    ) -> MetricsAnswer:
        """Every metric of the run (with `recursive`, of the runs below it too), or the one of this name."""
        rules.check_text("The name of the metric", name or "", rules.MAX_KEY)
        with self._db.read() as tx:
            self._check(tx, workspace_id, run_id)
            ids = [run_id, *(store.descendant_ids(tx, run_id) if recursive else [])]
            return MetricsAnswer(
                [RunMetrics(i, [_info(tx, s) for s in series_store.of_run(tx, i, system, name)]) for i in ids]
            )

    def points(
        self, workspace_id: str, run_id: str, name: str, limit: int, after: int, system: bool
    ) -> MetricPoints:
        """Values `after`, `after`+1 … of one metric, at most `limit`. Raises NotFound, Invalid."""
        if not 1 <= limit <= MAX_POINTS:
            raise Invalid("bad_limit", f"limit must be from 1 to {MAX_POINTS}, not {limit}.")
        if after < 0:
            raise Invalid("bad_after", f"after is how many points to pass over, so 0 or more, not {after}.")
        rules.check_text("The name of the metric", name, rules.MAX_KEY)
        with self._db.read() as tx:
            self._check(tx, workspace_id, run_id)
            summary = series_store.one(tx, run_id, name, system)
            if summary is None:
                raise NotFound("no_such_metric", f"Run {run_id!r} has no metric {name[:80]!r}.")
            after = min(after, summary.count)
            rows = _merged(tx, summary, after, min(after + limit, summary.count))
        found: list[Any] = []
        nonfinite: dict[str, str] = {}
        for position, (_, _, value) in enumerate(rows):
            word = _word(value)
            if word:
                nonfinite[str(position)] = word
            found.append(None if word else value)
        return MetricPoints(
            name, [row[0] for row in rows], [row[1] for row in rows], found, nonfinite, total=summary.count
        )

    def _check(self, tx: Tx, workspace_id: str, run_id: str) -> None:
        if not rules.is_run_id(run_id) or not store.exists(tx, workspace_id, run_id):
            raise no_such_run(run_id)


def _merged(tx: Tx, summary: Summary, start: int, stop: int) -> list[tuple[int | None, int, Any]]:
    """(step, time, value) in the order of arrival, numbers and all else."""
    whole = summary.whole
    plain: list[tuple[int, int | None, int, Any]] = [
        (seq, step, at, _number(value, whole))
        for seq, step, at, value in _points(tx, summary.id, start, stop)
    ]
    if summary.values_count:
        others = metrics_store.read_values(tx, summary.id, start, stop)
        plain += [(r.seq, r.step, r.time_ms, msgspec.json.decode(r.value)) for r in others]
        plain.sort(key=lambda row: row[0])
    return [(step, at, value) for _, step, at, value in plain]


def _points(tx: Tx, series_id: int, start: int, stop: int) -> list[points_store.PointRow]:
    if not points_store.blocks(tx, series_id, start, stop):
        return points_store.rows(tx, series_id, start, stop)
    # Heavy, and most runs are small.
    from modelyard.server.runs import series_reader

    found = series_reader.read(tx, series_id, start, stop)
    steps = [
        s if known else None for s, known in zip(found.steps.tolist(), found.stepped.tolist(), strict=True)
    ]
    return list(zip(found.seqs.tolist(), steps, found.times_ms.tolist(), found.values.tolist(), strict=True))


def _number(value: float | None, whole: bool) -> Any:
    if value is None:
        return math.nan
    return int(value) if whole else value


def _word(value: Any) -> str:
    if not isinstance(value, float) or math.isfinite(value):
        return ""
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _info(tx: Tx, s: Summary) -> MetricInfo:
    return MetricInfo(
        name=s.name, kind=s.kind, count=s.count, value=_value(tx, s), description=s.description, last=s.last,
        min=s.min, max=s.max, first_at=s.first_at, last_at=s.last_at, nonfinite=s.nonfinite,
    )  # fmt: skip


def _value(tx: Tx, s: Summary) -> Any:
    """What v1's get_metrics answers for one name."""
    if s.values_count < s.count:
        found = [_word(value) or value for _, _, value in _merged(tx, s, 0, s.count)]
        return found[0] if len(found) == 1 else found
    rows = metrics_store.read_values(tx, s.id, 0, s.count)
    return shape([(row.kind, msgspec.json.decode(row.value)) for row in rows])
