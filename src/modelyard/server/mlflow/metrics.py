"""MLflow's metrics: logged one by one or in batches, and read back as histories."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec

from modelyard.server.kernel.auth import Permission
from modelyard.server.kernel.errors import Conflict, NotFound
from modelyard.server.kernel.http import Call, Routes
from modelyard.server.mlflow import errors, names, paging, runs, shapes
from modelyard.server.mlflow.access import RunAccess
from modelyard.server.mlflow.experiments import KeyValue
from modelyard.server.mlflow.protocol import Int64, Message, RunMessage, route
from modelyard.server.mlflow.shapes import Json
from modelyard.server.runs.appending import Sample
from modelyard.server.runs.logged_models_store import ModelMetric
from modelyard.server.runs.metrics import MAX_POINTS
from modelyard.wire.metrics import MetricPoints
from modelyard.wire.runs import RunUpdate

MAX_METRICS = 1000  # in one batch, as all of it together
MAX_LABELS = 100  # parameters, and tags
MAX_BULK = 25_000  # points in one answer for many runs
MAX_BULK_RUNS = 100
MAX_SAMPLED = 2_500  # points of one run in one answer

_ONE_BATCH = "Please split up {what} across multiple requests and try again."


class Metric(msgspec.Struct):
    key: str = ""
    value: float | None = None
    timestamp: Int64 | None = None
    step: Int64 = 0
    model_id: str = ""
    dataset_name: str = ""
    dataset_digest: str = ""


class LogMetric(RunMessage):
    required = ("run_id", "key", "value", "timestamp")
    key: str = ""
    value: float | None = None
    timestamp: Int64 | None = None
    step: Int64 = 0
    model_id: str = ""
    dataset_name: str = ""
    dataset_digest: str = ""


Logged = Metric | LogMetric  # one of a batch, or one alone


class LogBatch(RunMessage):
    metrics: list[Metric] = []
    params: list[KeyValue] = []
    tags: list[KeyValue] = []


class GetHistory(RunMessage):
    required = ("run_id", "metric_key")
    metric_key: str = ""
    page_token: str = ""
    max_results: Int64 | None = None


class GetBulk(Message):
    run_id: list[str] = []
    metric_key: str | None = None
    max_results: Int64 = MAX_BULK


class GetSampled(Message):
    required = ("metric_key",)
    run_ids: list[str] = []
    metric_key: str = ""
    start_step: Int64 | None = None
    end_step: Int64 | None = None
    max_results: Int64 = MAX_SAMPLED


def add_logging(r: Routes, access: RunAccess) -> None:
    appender = access.runs.appender

    @route(r, "POST", "2.0/mlflow/runs/log-metric", Permission.RUN_WRITE, often=True)
    async def log_metric(call: Call, body: LogMetric) -> Json:
        samples = _samples([body], in_batch=False)
        if body.model_id:
            await _log_all(access, call, body.run_id, samples, RunUpdate(), [body])
        else:
            await _append(call, body.run_id, samples)
        return {}

    @route(r, "POST", "2.0/mlflow/runs/log-batch", Permission.RUN_WRITE, often=True)
    async def log_batch(call: Call, body: LogBatch) -> Json:
        samples = _checked(body)
        of_models = [metric for metric in body.metrics if metric.model_id]
        if body.params or body.tags or of_models:
            update = runs.changed(body.params, body.tags, in_batch=True)
            await _log_all(access, call, body.run_id, samples, update, of_models)
        else:
            await _append(call, body.run_id, samples)
        return {}

    async def _append(call: Call, run_id: str, samples: list[Sample]) -> None:
        async with access.changing(call, run_id):
            await appender.append(call.workspace_id, run_id, samples)


def add_histories(r: Routes, access: RunAccess) -> None:
    @route(r, "GET", "2.0/mlflow/metrics/get-history", Permission.RUN_READ)
    def get_history(call: Call, body: GetHistory) -> Json:
        if body.max_results is not None and body.max_results <= 0:
            raise errors.invalid(
                f"Invalid value {body.max_results} for parameter 'max_results' supplied. It must be a positive integer."
            )
        points = _by_time(_points(access, call, body.run_id, body.metric_key))
        size = max(len(points), 1) if body.max_results is None else body.max_results
        shown, token = paging.page(points, body.page_token, size)
        answer = shapes.without_empty({"metrics": [_message(body.metric_key, p) for p in shown]})
        return {**answer, "next_page_token": token} if token else answer

    @route(r, "GET", "2.0/mlflow/metrics/get-history-bulk", Permission.READ)
    def get_history_bulk(call: Call, body: GetBulk) -> Json:
        if not body.run_id:
            raise errors.invalid("GetMetricHistoryBulk request must specify at least one run_id.")
        if len(body.run_id) > MAX_BULK_RUNS:
            raise errors.invalid(
                f"GetMetricHistoryBulk request cannot specify more than {MAX_BULK_RUNS} run_ids. Received "
                f"{len(body.run_id)} run_ids."
            )
        if body.metric_key is None:
            raise errors.invalid("GetMetricHistoryBulk request must specify a metric_key.")
        key, most = body.metric_key, min(body.max_results, MAX_BULK)
        found: list[Json] = []
        for run_id in sorted(set(body.run_id)):
            points = _by_time(_points(access, call, run_id, key)) if len(found) < most else []
            found += [{**_message(key, point), "run_id": run_id} for point in points[: most - len(found)]]
        return {"metrics": found}

    @route(r, "GET", "2.0/mlflow/metrics/get-history-bulk-interval", Permission.READ)
    def get_history_sampled(call: Call, body: GetSampled) -> Json:
        _check_sampled(body)
        found: list[Json] = []
        for run_id in body.run_ids:
            points = _by_step(_points(access, call, run_id, body.metric_key))
            if body.start_step is not None and body.end_step is not None:
                points = [p for p in points if body.start_step <= p[1] <= body.end_step]
            shown = sampled(points, body.max_results)
            found += [{**_message(body.metric_key, point), "run_id": run_id} for point in shown]
        return shapes.without_empty({"metrics": found})


def _checked(body: LogBatch) -> list[Sample]:
    """The points of a batch. Raises INVALID_PARAMETER_VALUE for one that MLflow would not take."""
    for kind, items in (("params", body.params), ("tags", body.tags)):
        for index, item in enumerate(items):
            if not item.key:
                raise errors.missing(f"{kind}[{index}].key")
    samples = _samples(body.metrics, in_batch=True)
    sizes = (
        ("metrics", body.metrics, MAX_METRICS),
        ("params", body.params, MAX_LABELS),
        ("tags", body.tags, MAX_LABELS),
    )
    total = 0
    for what, given, most in sizes:
        _check_size(what, len(given), most)
        total += len(given)
    _check_size("metrics, params, and tags", total, MAX_METRICS)
    keys = [param.key for param in body.params]
    twice = [key for position, key in enumerate(keys) if key in keys[:position]]
    if twice:
        raise errors.invalid(
            f"Duplicate parameter keys have been submitted: {twice}. Please ensure the request contains only one param "
            "value per param key."
        )
    return samples


def _check_size(what: str, count: int, most: int) -> None:
    if count > most:
        raise errors.invalid(
            f"A batch logging request can contain at most {most} {what}. Got {count} {what}. "
            + _ONE_BATCH.format(what=what)
        )


def _samples(metrics: Sequence[Logged], in_batch: bool) -> list[Sample]:
    """Raises INVALID_PARAMETER_VALUE, saying which metric it is."""
    good: set[str] = set()
    samples: list[Sample] = []
    for index, metric in enumerate(metrics):
        key, value, at = metric.key, metric.value, metric.timestamp
        if key not in good or value is None or at is None or at < 0:
            _check_metric(metric, f"metrics[{index}]" if in_batch else "")
            good.add(key)
        samples.append((key, value, at, metric.step))  # type: ignore[arg-type]  # checked just now
    return samples


def _check_metric(metric: Logged, path: str) -> None:
    prefix = f"{path}." if path else ""
    for field in ("key", "value", "timestamp"):
        if getattr(metric, field) in ("", None):
            raise errors.missing(prefix + field)
    names.check_key(metric.key, prefix + "name")
    assert metric.timestamp is not None
    if metric.timestamp < 0:
        raise errors.invalid(
            f"Invalid value {metric.timestamp} for parameter '{prefix}timestamp' supplied: metric '{metric.key}' "
            f"(value={metric.value}). Timestamp must be a nonnegative long (64-bit integer) "
        )
    names.check_length("Metric name", metric.key, names.MAX_KEY)


async def _log_all(
    access: RunAccess,
    call: Call,
    run_id: str,
    samples: list[Sample],
    update: RunUpdate,
    of_models: Sequence[Logged],
) -> None:
    """The slower way, for what comes with parameters, tags, or metrics of a model."""
    metrics = [
        ModelMetric(
            m.model_id,
            m.key,
            m.value or 0.0,
            m.timestamp or 0,
            m.step,
            run_id,
            m.dataset_name,
            m.dataset_digest,
        )
        for m in of_models
    ]
    async with access.changing(call, run_id):
        try:
            await access.runs.tracking.log(
                call.workspace_id, run_id, samples, update, metrics, call.principal.name
            )
        except Conflict as error:
            raise runs.param_refusal(error, run_id, alone=False) from None


Point = tuple[int, int, float]  # Unix milliseconds, step, value


def _points(access: RunAccess, call: Call, run_id: str, key: str) -> list[Point]:
    """The numbers of one metric as they came; none where there is no such run or metric, as MLflow has it."""
    access.check(call, run_id)
    try:
        found = access.runs.metrics.points(call.workspace_id, run_id, key, MAX_POINTS, 0, system=False)
    except NotFound:
        return []
    return _numbers(found)


def _numbers(found: MetricPoints) -> list[Point]:
    """Points without a step are numbered as they came. What is no number is left out."""
    values: list[Any] = found.values
    for position, word in found.nonfinite.items():
        values[int(position)] = float(word)
    return [
        (at, index if step is None else step, float(value))
        for index, (at, step, value) in enumerate(zip(found.times_ms, found.steps, values, strict=True))
        if type(value) is float or type(value) is int
    ]


def _by_time(points: list[Point]) -> list[Point]:
    """In MLflow's order, each once: it keeps no point twice."""
    return _each_once(sorted(points, key=_time_first))


def _by_step(points: list[Point]) -> list[Point]:
    return _each_once(sorted(points, key=lambda p: (p[1], p[0], *_place(p[2]))))


def _time_first(point: Point) -> tuple[int, int, float, bool]:
    return (point[0], point[1], *_place(point[2]))


def _place(value: float) -> tuple[float, bool]:
    """MLflow keeps NaN as a 0 with a mark beside it."""
    return (0.0, True) if math.isnan(value) else (value, False)


def _each_once(points: list[Point]) -> list[Point]:
    if len(set(points)) == len(points) and not any(math.isnan(p[2]) for p in points):
        return points
    found: dict[tuple[int, int, float, bool], Point] = {}
    for point in points:
        found.setdefault(_time_first(point), point)
    return list(found.values())


def sampled(points: Sequence[Point], most: int) -> list[Point]:
    """At most that many, evenly over the whole, the first and the last among them. Pure."""
    count = len(points)
    if count <= most:
        return list(points)
    if most == 1:
        return [points[-1]]
    # Buckets as SQL's NTILE makes them, the first ones larger by one; of each its first point.
    size, larger = divmod(count, most)
    starts = [i * size + min(i, larger) for i in range(most)]
    return [*(points[start] for start in starts[:-1]), points[-1]]


def _message(key: str, point: Point) -> Json:
    return shapes.point(key, point[2], point[0], point[1])


def _check_sampled(body: GetSampled) -> None:
    if not body.run_ids:
        raise errors.missing("run_ids")
    if len(body.run_ids) > MAX_BULK_RUNS:
        raise errors.invalid(
            f"GetMetricHistoryBulkInterval request must specify at most {MAX_BULK_RUNS} run_ids. Received "
            f"{len(body.run_ids)} run_ids.{errors.SEE_DOCS}"
        )
    if not 1 <= body.max_results <= MAX_SAMPLED:
        raise errors.invalid(f"max_results must be between 1 and {MAX_SAMPLED}.{errors.SEE_DOCS}")
    if (body.start_step is None) != (body.end_step is None):
        raise errors.invalid("If either start step or end step are specified, both must be specified.")
    if body.start_step is not None and body.end_step is not None and body.start_step > body.end_step:
        raise errors.invalid(
            "end_step must be greater than start_step. "
            f"Found start_step={body.start_step} and end_step={body.end_step}."
        )
