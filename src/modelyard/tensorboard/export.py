"""The history of runs as TensorBoard event files, a folder a run."""

from __future__ import annotations

import json
import os
import struct
from typing import Any, Dict, Iterable, Iterator, List, NamedTuple, Optional, Tuple

from modelyard import errors
from modelyard.runs import details, metrics
from modelyard.runs.scope import Scope
from modelyard.tensorboard import events
from modelyard.tensorboard.events import EventFile
from modelyard.wire.metrics import MetricInfo, MetricPoints
from modelyard.wire.runs import RunInfo, RunStatus

_PAGE = 10_000
_HPARAMS_STATUS = {RunStatus.COMPLETED: events.SUCCESS, RunStatus.FAILED: events.FAILURE}
_NONFINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


class _Point(NamedTuple):
    step: Optional[int]
    at: float
    value: Any


def export_to_tensorboard(run_data: Any, logsdir: str, logger: Any = None, recursive: bool = True) -> None:
    """Write what runs logged into event files below `logsdir`, a folder named by the run's id for each.

    run_data: a run, an experiment, or several runs. recursive: child runs too. Numbers, rows, tables and lists become
    scalars, texts and images what they are, parameters the HPARAMS tab. Written again, a run's file is replaced.
    """
    for scope, info in _runs(run_data, recursive):
        if logger is not None:
            logger.info("Exporting run %s", info.id)
        _write(scope, info, logsdir)
    os.makedirs(logsdir, exist_ok=True)  # of an experiment without runs there is nothing in it


def _runs(given: Any, recursive: bool) -> Iterator[Tuple[Scope, RunInfo]]:
    if isinstance(given, (list, tuple)):
        for one in given:
            yield from _runs(one, recursive)
        return
    if hasattr(given, "get_runs"):
        for run in given.get_runs(include_children=recursive):
            yield run._scope, run._info()
        return
    scope = getattr(given, "_scope", None)
    if scope is None:
        raise errors.UserErrorException(
            f"export_to_tensorboard takes a run, an experiment or a list of them, not a {type(given).__name__}."
        )
    given.flush()
    yield scope, given._info(refresh=True)
    if recursive:
        for info in details.children(scope, given.id, True, None, None, None, None):
            yield scope, info


def _write(scope: Scope, info: RunInfo, logsdir: str) -> None:
    folder = os.path.join(logsdir, info.id)
    os.makedirs(folder, exist_ok=True)
    target = os.path.join(folder, f"events.out.tfevents.{int(info.created_at)}.modelyard")
    part = f"{target}.{os.getpid()}.part"
    with open(part, "wb") as file:
        written = EventFile(file, info.created_at)
        if info.params:
            written.parameters({k: _parsed(v) for k, v in info.params.items()}, info.created_at, info.id)
        for answer in metrics.fetch(scope, info.id, None, False).runs:
            for metric in answer.metrics:
                if metric.kind != "s":
                    _write_metric(scope, info, metric, written)
        if info.params and info.ended_at is not None:
            written.ended(_HPARAMS_STATUS.get(info.status, events.FAILURE), info.ended_at)
    os.replace(part, target)


def _write_metric(scope: Scope, info: RunInfo, metric: MetricInfo, written: EventFile) -> None:
    counts: Dict[str, int] = {}  # of what has no step, by tag
    for point in _points(scope, info.id, metric.name):
        if metric.kind == "i":
            _write_image(scope, info, metric.name, point, written)
            continue
        for tag, value in _flat(metric.name, point.value):
            step = point.step if point.step is not None else counts.get(tag, 0)
            counts[tag] = counts.get(tag, 0) + 1
            if isinstance(value, str):
                written.text(tag, value, step, point.at)
            else:
                written.scalar(tag, value, step, point.at)


def _flat(name: str, value: Any) -> Iterable[Tuple[str, Any]]:
    """(tag, number or text) of one record: columns of rows and tables under names of their own."""
    if isinstance(value, (int, float, str)):
        return [(name, _NONFINITE.get(value, value) if isinstance(value, str) else value)]
    if isinstance(value, list):
        return [pair for one in value for pair in _flat(name, one)]
    if isinstance(value, dict) and "schema_type" in value:
        return [(name, "```\n" + json.dumps(value, indent=1) + "\n```")]
    if isinstance(value, dict):
        return [pair for column, one in value.items() for pair in _flat(f"{name}/{column}", one)]
    return []


def _points(scope: Scope, run_id: str, name: str) -> Iterator[_Point]:
    """In the order of arrival. `step` is None where none was given."""
    after = 0
    while True:
        page: MetricPoints = scope.client.request(
            "GET",
            scope.run_path(run_id, "metrics", name, "points"),
            query={"limit": _PAGE, "after": after},
            kind=MetricPoints,
        )
        for position, (step, at_ms, value) in enumerate(zip(page.steps, page.times_ms, page.values)):
            word = page.nonfinite.get(str(position))
            yield _Point(step, at_ms / 1000, _NONFINITE[word] if word else value)
        after += len(page.values)
        if not page.values or after >= page.total:
            return


def _write_image(scope: Scope, info: RunInfo, name: str, point: _Point, written: EventFile) -> None:
    try:
        image = scope.client.raw("GET", scope.run_path(info.id, "files", str(point.value))).body
    except errors.NotFound:
        return  # logged, and its file was taken away
    size = _png_size(image)
    if size is not None:
        written.image(name, image, size[0], size[1], point.step or 0, point.at)


def _png_size(image: bytes) -> Optional[Tuple[int, int]]:
    """Width and height, which every PNG begins with; None for what is none."""
    if image[:8] != b"\x89PNG\r\n\x1a\n" or len(image) < 24:
        return None
    width, height = struct.unpack(">II", image[16:24])
    return int(width), int(height)


def _parsed(value: str) -> Any:
    """A parameter as a number where it is one, so that TensorBoard draws its axis."""
    try:
        return float(value)
    except ValueError:
        return value


__all__: List[str] = ["export_to_tensorboard"]
