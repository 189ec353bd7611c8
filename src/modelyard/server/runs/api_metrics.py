"""The routes of metrics: points come in, and are read back."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field
from typing import Any

import msgspec
from starlette.responses import Response, StreamingResponse

from modelyard.server.kernel.auth import Permission
from modelyard.server.kernel.errors import Invalid
from modelyard.server.kernel.http import WORKSPACE, Call, Routes
from modelyard.server.runs.appending import Sample
from modelyard.server.runs.records import NONFINITE
from modelyard.server.runs.service import RunService
from modelyard.wire.metrics import (
    MetricPoints,
    MetricsAnswer,
    MetricsAppend,
    MetricsAppended,
    NewSeries,
    SeriesAnswer,
    SeriesQuery,
)

_EVENTS = "text/event-stream"
_ARROW = "application/vnd.apache.arrow.stream"


@dataclass(frozen=True)
class MetricsQuery:
    """`recursive`: of the runs below it too. `system`: those of the machine too."""

    name: str | None = None
    recursive: bool = False
    system: bool = False


@dataclass(frozen=True)
class PointsQuery:
    """`after`: how many points to pass over. `system`: the machine's metric of this name, not the script's."""

    limit: int = 10_000
    after: int = 0
    system: bool = False


@dataclass(frozen=True)
class TailQuery:
    """`name`: of these metrics alone. `system`: the machine's, not the script's. `past`: what is there already first."""

    name: list[str] = field(default_factory=list)
    system: bool = False
    past: bool = True


def add(r: Routes, runs: RunService) -> None:
    one = f"{WORKSPACE}/runs/{{run_id}}"

    @r.post(f"{one}/metrics", Permission.RUN_WRITE, often=True)
    async def append(call: Call, body: MetricsAppend) -> MetricsAppended:
        """Append points to metrics; durable when answered.

        With the header `Idempotency-Key` the same body under the same key counts once, for a day.
        """
        found = samples(body)
        key = call.request.headers.get("idempotency-key", "")
        sent = hashlib.sha256(msgspec.json.encode(body)).hexdigest() if key else ""
        await runs.appender.append(call.workspace_id, call.path["run_id"], found, key=key, body=sent)
        return MetricsAppended(len(found))

    @r.get(f"{one}/metrics", Permission.RUN_READ)
    def metrics(call: Call, query: MetricsQuery) -> MetricsAnswer:
        """Every metric of a run, as get_metrics of v1 answers them."""
        return runs.metrics.get(
            call.workspace_id, call.path["run_id"], query.name, query.recursive, query.system
        )

    @r.get(f"{one}/metrics/{{name:path}}/points", Permission.RUN_READ)
    def points(call: Call, query: PointsQuery) -> MetricPoints:
        """The values of one metric as arrays, in the order of arrival."""
        return runs.metrics.points(
            call.workspace_id, call.path["run_id"], call.path["name"], query.limit, query.after, query.system
        )

    @r.get(f"{one}/metrics/tail", Permission.RUN_READ, raw=_EVENTS)
    async def tail(call: Call, query: TailQuery) -> Response:
        """Follow a run's metrics: server-sent events, resumable by `Last-Event-ID`.

        `points` events hold a TailPiece and have an id, the position; `end` comes when the run is over and all was told.
        """
        events = await runs.tail.follow(
            call.workspace_id,
            call.path["run_id"],
            names=query.name,
            system=query.system,
            past=query.past,
            position=call.request.headers.get("last-event-id", ""),
        )
        return StreamingResponse(events, media_type=_EVENTS)

    @r.post(f"{WORKSPACE}/metric-series", Permission.RUN_READ)
    def series(call: Call, body: SeriesQuery) -> SeriesAnswer:
        """Read series as arrays: of many runs and metrics, a range of them, or samples."""
        return runs.series.read(call.workspace_id, call.principal, body)

    @r.post(f"{WORKSPACE}/metric-series/arrow", Permission.RUN_READ, raw=_ARROW)
    def series_arrow(call: Call, body: SeriesQuery) -> Response:
        """The same as an Arrow stream: run_id, name, step, time_ms, value."""
        content = runs.series.read_arrow(call.workspace_id, call.principal, body)
        return Response(content, media_type=_ARROW)


def samples(body: MetricsAppend) -> list[Sample]:
    """Raises Invalid for a text that is no number, and for arrays of different lengths."""
    now = int(time.time() * 1000)
    found = [
        (p.name, _number(p.name, p.value), now if p.time_ms is None else p.time_ms, p.step)
        for p in body.points
    ]
    for one in body.series:
        found += _of_series(one, now)
    return found


def _of_series(one: NewSeries, now: int) -> list[Sample]:
    count = len(one.values)
    for what, numbers in (("steps", one.steps), ("times_ms", one.times_ms)):
        if numbers is not None and len(numbers) != count:
            raise Invalid(
                "unequal_arrays",
                f"Metric {one.name[:80]!r} has {count} values and {len(numbers)} {what}; there must be as many.",
            )
    steps: Any = one.steps or [None] * count
    times: Any = one.times_ms or [now] * count
    values = [_number(one.name, value) for value in one.values]
    return list(zip([one.name] * count, values, times, steps, strict=True))


def _number(name: str, value: float | str) -> float:
    if not isinstance(value, str):
        return value
    if value not in NONFINITE:
        raise Invalid(
            "not_a_number",
            f"Metric {name[:80]!r} was given {value[:80]!r}. A value is a number, or one of "
            f"{', '.join(map(repr, NONFINITE))}.",
        )
    return NONFINITE[value]
