"""Series of metrics as arrays, and metrics as they come in."""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple, Union

from modelyard import errors
from modelyard.runs.scope import Scope
from modelyard.wire import codec
from modelyard.wire.metrics import Series, SeriesAnswer, SeriesQuery, TailPiece

_NONFINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


class MetricSeries(NamedTuple):
    """One metric of one run as lists of equal length. `steps` holds None where no step was logged; `total` says how many
    points the lists were taken from."""

    run_id: str
    name: str
    steps: List[Optional[int]]
    times_ms: List[int]
    values: List[float]
    total: int

    def to_numpy(self) -> Tuple[Any, Any, Any]:
        """(steps, times in Unix milliseconds, values) as arrays; a step that is missing is NaN, and then all are floats."""
        import numpy  # the user's own; the lists do without it

        return (
            numpy.array(self.steps, float if None in self.steps else int),
            numpy.array(self.times_ms),
            numpy.array(self.values),
        )


class NewPoint(NamedTuple):
    """A point that has just come in."""

    name: str
    step: Optional[int]
    time_ms: int
    value: float


def read(scope: Scope, query: SeriesQuery) -> List[MetricSeries]:
    answer: SeriesAnswer = scope.client.request(
        "POST", scope.path("metric-series"), body=query, kind=SeriesAnswer, idempotent=True
    )
    return [_restored(one) for one in answer.items]


def _restored(one: Series) -> MetricSeries:
    values = list(one.values)
    for position, word in one.nonfinite.items():
        values[int(position)] = _NONFINITE[word]
    return MetricSeries(one.run_id, one.name, one.steps, one.times_ms, values, one.total)


class MetricReads:
    """The methods of Run that read series."""

    _scope: Scope
    _id: str
    _journal: Any

    def flush(self) -> None:
        raise NotImplementedError

    def metric_series(
        self,
        *names: str,
        points: Optional[int] = None,
        method: str = "minmax",
        from_step: Optional[int] = None,
        to_step: Optional[int] = None,
        from_time: Optional[float] = None,
        to_time: Optional[float] = None,
    ) -> Dict[str, MetricSeries]:
        """The series of these metrics, or of all that hold numbers, by name.

        `points`: a sample of at most so many of each, drawn by the yard: `minmax` keeps the lowest and highest of each
        stretch, `lttb` what draws the same line. Ranges include their ends; times are Unix seconds.
        """
        if self._journal is not None:
            self.flush()
        query = series_query([self._id], names, points, method, (from_step, to_step), (from_time, to_time))
        return {one.name: one for one in read(self._scope, query)}

    def tail_metrics(self, *names: str, past: bool = True) -> Iterator[NewPoint]:
        """Points as they come in, until the run is over; those that are there already first, unless `past` is False.

        Every point comes once, though the connection breaks or the yard restarts in between.
        """
        from modelyard import _events  # only who follows something needs it

        path = self._scope.run_path(self._id, "metrics", "tail")
        for _kind, data in _events.follow(self._scope.client, path, {"name": list(names), "past": past}):
            piece = codec.from_json(TailPiece, data)
            for one in map(_restored, piece.items):
                for step, time_ms, value in zip(one.steps, one.times_ms, one.values):
                    yield NewPoint(one.name, step, time_ms, value)


def series_query(
    runs: Sequence[str],
    names: Union[str, Sequence[str], None],
    points: Optional[int],
    method: str,
    steps: Tuple[Optional[int], Optional[int]],
    times: Tuple[Optional[float], Optional[float]],
) -> SeriesQuery:
    """`times` in Unix seconds."""
    wanted = [names] if isinstance(names, str) else list(names or ())
    for name in wanted:
        if not isinstance(name, str):
            raise errors.UserErrorException(f"{name!r} is no name of a metric.")
    from_ms, to_ms = (None if at is None else round(at * 1000) for at in times)
    return SeriesQuery(list(runs), wanted, points, method, steps[0], steps[1], from_ms, to_ms)
