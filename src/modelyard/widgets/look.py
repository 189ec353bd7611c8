"""One look at a run after another: what a person wants to see of it, read again only where it may have changed."""

from __future__ import annotations

import re
from typing import Any, Dict, List, NamedTuple, Tuple

from modelyard import errors
from modelyard.runs import details, files, metrics
from modelyard.runs.scope import Scope
from modelyard.widgets.chart import Series
from modelyard.wire.metrics import MetricPoints
from modelyard.wire.runs import RunInfo

_TAIL_BYTES = 16 << 10
_MOST_CHARTS = 24
_MOST_POINTS = 20_000  # of one series; older ones are not drawn
_MOST_CHILDREN = 200
_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07]*\x07")
_NONFINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


class Look(NamedTuple):
    """A run at one moment. `logs`: the ends of its logs by name. `values`: what is no series of numbers, last values."""

    info: RunInfo
    series: List[Series]
    values: Dict[str, Any]
    logs: Dict[str, str]
    children: List[RunInfo]


class Looker:
    """Looks at one run. Raises what the yard says; the next look goes on from what is known."""

    def __init__(self, scope: Scope, run_id: str) -> None:
        self._scope = scope
        self._run_id = run_id
        self._points: Dict[str, List[Tuple[float, float]]] = {}
        self._read: Dict[str, int] = {}  # points of each series that were read
        self._logs: Dict[str, Tuple[int, str]] = {}

    def look(self) -> Look:
        info = details.fetch(self._scope, self._run_id)
        series, values = self._metrics()
        children = (
            details.children(self._scope, self._run_id, False, None, None, None, None)
            if info.child_count
            else []
        )
        return Look(info, series, values, self._tails(), children[-_MOST_CHILDREN:])

    def wait(self, after: Look, wait_s: float) -> bool:
        """Wait for a change of the run, at most `wait_s`; True once it has ended."""
        info = details.wait_for_change(self._scope, self._run_id, after.info.version, wait_s)
        return info.status in details.FINAL

    def _metrics(self) -> Tuple[List[Series], Dict[str, Any]]:
        series: List[Series] = []
        values: Dict[str, Any] = {}
        (answer,) = metrics.fetch(self._scope, self._run_id, None, False).runs
        for metric in answer.metrics:
            is_series = metric.kind == "m" and metric.count > 1 and metric.min is not None
            if is_series and len(series) < _MOST_CHARTS:
                self._read_points(metric.name, metric.count)
                series.append(Series(metric.name, self._points[metric.name]))
            elif metric.kind != "s":
                values[metric.name] = metric.value
        return series, values

    def _read_points(self, name: str, count: int) -> None:
        held = self._points.setdefault(name, [])
        after = max(self._read.get(name, 0), count - _MOST_POINTS)
        while after < count:
            page: MetricPoints = self._scope.client.request(
                "GET",
                self._scope.run_path(self._run_id, "metrics", name, "points"),
                query={"after": after},
                kind=MetricPoints,
            )
            if not page.values:
                break
            for position, (step, value) in enumerate(zip(page.steps, page.values)):
                word = page.nonfinite.get(str(position))
                number = _NONFINITE[word] if word else value
                if isinstance(number, (int, float)):
                    held.append((float(after + position if step is None else step), float(number)))
            after += len(page.values)
        self._read[name] = after
        del held[:-_MOST_POINTS]

    def _tails(self) -> Dict[str, str]:
        found = {}
        for file in files.listed(self._scope, self._run_id):
            if details.is_log(file.path) and "tfevents" not in file.path:
                found[file.path] = self._tail(file.path, file.size)
        return found

    def _tail(self, path: str, size: int) -> str:
        before = self._logs.get(path)
        if before is None or before[0] != size:
            begin = max(0, size - _TAIL_BYTES)
            try:
                answer = self._scope.client.raw(
                    "GET", self._scope.run_path(self._run_id, "logs", path), query={"offset": begin}
                )
            except errors.NotFound:
                return ""
            body = answer.body[-_TAIL_BYTES:].decode("utf-8", "replace")
            text = body.partition("\n")[2] if begin and "\n" in body else body
            before = self._logs[path] = (size, as_on_a_terminal(text))
        return before[1]


def as_on_a_terminal(text: str) -> str:
    """Without colours, and of a progress bar that was written over itself only the last state."""
    plain = _ANSI.sub("", text).replace("\r\n", "\n")
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in plain.split("\n"))
