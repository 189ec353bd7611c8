"""One look at a run after another: what a person wants to see of it, read again only where it may have changed."""

from __future__ import annotations

import re
from typing import Any, Dict, List, NamedTuple, Tuple

from modelyard import errors
from modelyard.runs import details, files, metrics, series
from modelyard.runs.scope import Scope
from modelyard.widgets.chart import BUCKETS, Series
from modelyard.wire.metrics import SeriesQuery
from modelyard.wire.runs import RunInfo

_TAIL_BYTES = 16 << 10
_MOST_CHARTS = 24
_MOST_POINTS = 50_000  # of a run that goes on, up to which everything it logged is read at each look
_MOST_CHILDREN = 200
_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07]*\x07")


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
        self._logs: Dict[str, Tuple[int, str]] = {}

    def look(self) -> Look:
        info = details.fetch(self._scope, self._run_id)
        drawn, values = self._metrics(info.status in details.FINAL)
        children = (
            details.children(self._scope, self._run_id, False, None, None, None, None)
            if info.child_count
            else []
        )
        return Look(info, drawn, values, self._tails(), children[-_MOST_CHILDREN:])

    def wait(self, after: Look, wait_s: float) -> bool:
        """Wait for a change of the run, at most `wait_s`; True once it has ended."""
        info = details.wait_for_change(self._scope, self._run_id, after.info.version, wait_s)
        return info.status in details.FINAL

    def _metrics(self, is_over: bool) -> Tuple[List[Series], Dict[str, Any]]:
        read = series.read(self._scope, SeriesQuery([self._run_id], points=2 * BUCKETS))
        drawn = [one for one in read if one.total > 1][:_MOST_CHARTS]
        values: Dict[str, Any] = {one.name: one.values[0] for one in read if one.total == 1}
        if is_over or sum(one.total for one in read) <= _MOST_POINTS:
            # What is no series of numbers comes only together with all values of those that are.
            (answer,) = metrics.fetch(self._scope, self._run_id, None, False).runs
            names = {one.name for one in drawn}
            values = {m.name: m.value for m in answer.metrics if m.kind != "s" and m.name not in names}
        return [Series(one.name, _by_step(one)) for one in drawn], values

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


def _by_step(one: series.MetricSeries) -> List[Tuple[float, float]]:
    share = one.total / max(1, len(one.values))  # points that each one of a sample stands for
    return [
        (position * share if step is None else float(step), float(value))
        for position, (step, value) in enumerate(zip(one.steps, one.values))
    ]


def as_on_a_terminal(text: str) -> str:
    """Without colours, and of a progress bar that was written over itself only the last state."""
    plain = _ANSI.sub("", text).replace("\r\n", "\n")
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in plain.split("\n"))
