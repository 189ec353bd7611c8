"""Metrics: the journal records a run writes, and the shapes in which metrics are read.

The journal of a run is an append-only file of JSON lines, one record a line, written by the user's process
and sent on verbatim in chunks; the yard keeps, per run, how many bytes it has taken in, so that a chunk
sent twice counts once.

A record is a JSON object with short keys, because there may be millions of them:

    k  kind: "m" number or string · "l" list · "r" row · "t" table · "i" image · "d" document · "s" system metric
    n  metric name
    v  value: number or string (m, s) · list (l) · {column: value} (r) · {column: [values]} (t)
       · artifact path (i) · {"schema_type", "schema_version", "data"} (d)
    t  Unix milliseconds
    s  step, optional (m only)
    d  description, optional

NaN and infinities are written as the strings "NaN", "Infinity", "-Infinity" with "f":1 beside them, because
JSON has no word for them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Union


@dataclass(frozen=True)
class JournalTaken:
    """How many bytes of a journal the yard holds durably. `passed_over`: what of this piece no run can keep (no
    record, a name that is too long, one metric too many), each with its reason; the rest of the piece is kept."""

    offset: int
    passed_over: List[str] = field(default_factory=list)


@dataclass(frozen=True)
class MetricInfo:
    """`kind` as in the journal. For numbers the summary is kept at write time; `value` holds what v1's
    get_metrics answers: one scalar, or the list of all where logged more than once, or list, row or table.
    NaN and infinities in `value` are the strings "NaN", "Infinity", "-Infinity" and `nonfinite` is true."""

    name: str
    kind: str
    count: int
    value: Any = None
    description: str = ""
    last: Optional[float] = None
    min: Optional[float] = None
    max: Optional[float] = None
    first_at: Optional[float] = None
    last_at: Optional[float] = None
    nonfinite: bool = False


@dataclass(frozen=True)
class RunMetrics:
    """The metrics of one run, in the order in which they first came."""

    run_id: str
    metrics: List[MetricInfo]


@dataclass(frozen=True)
class MetricsAnswer:
    """One entry per run; more than one with `recursive`."""

    runs: List[RunMetrics]


@dataclass(frozen=True)
class MetricPoints:
    """One series as arrays of equal length, in order of arrival. A value that is not finite is None here and
    named in `nonfinite` as {position: "NaN" | "Infinity" | "-Infinity"}."""

    name: str
    steps: List[Optional[int]]
    times_ms: List[int]
    values: List[Any]
    nonfinite: Dict[str, str] = field(default_factory=dict)
    total: int = 0


@dataclass(frozen=True)
class NewPoint:
    """A point to keep. `value`: a number, or "NaN", "Infinity", "-Infinity". Without `time_ms` it is of now."""

    name: str
    value: Union[int, float, str]
    step: Optional[int] = None
    time_ms: Optional[int] = None


@dataclass(frozen=True)
class NewSeries:
    """Points of one metric to keep, as arrays of equal length; no `steps`, no `times_ms`: as in NewPoint."""

    name: str
    values: List[Union[int, float, str]]
    steps: Optional[List[Optional[int]]] = None
    times_ms: Optional[List[int]] = None


@dataclass(frozen=True)
class MetricsAppend:
    """Points to keep, in either form or both."""

    points: List[NewPoint] = field(default_factory=list)
    series: List[NewSeries] = field(default_factory=list)


@dataclass(frozen=True)
class MetricsAppended:
    """How many points of this call are on disk."""

    points: int


@dataclass(frozen=True)
class SeriesQuery:
    """Which series to read: these runs' metrics of these names, or all without names. Ranges include their ends.

    `points`: a sample of at most so many of each, by `method`: "minmax" keeps the lowest and highest of each stretch,
    "lttb" what draws the same line. Without it every point comes.
    """

    runs: List[str]
    names: List[str] = field(default_factory=list)
    points: Optional[int] = None
    method: str = "minmax"
    from_step: Optional[int] = None
    to_step: Optional[int] = None
    from_ms: Optional[int] = None
    to_ms: Optional[int] = None
    system: bool = False


@dataclass(frozen=True)
class Series:
    """One series as arrays of equal length, as in MetricPoints; numbers only. A whole one is in order of arrival, a
    sample in that of its steps, or of time where a point has no step. `total`: how many points it was taken from."""

    run_id: str
    name: str
    steps: List[Optional[int]]
    times_ms: List[int]
    values: List[Any]
    nonfinite: Dict[str, str] = field(default_factory=dict)
    total: int = 0


@dataclass(frozen=True)
class SeriesAnswer:
    """In the order of the query's runs and names; what a run has not logged is left out."""

    items: List[Series]


@dataclass(frozen=True)
class TailPiece:
    """What is new in a run's series, as server-sent events of a tail tell it; `total` is how many came until now."""

    items: List[Series]
