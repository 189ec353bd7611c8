"""Search of runs: what is asked, and the runs that were found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, List, Optional

from modelyard.wire.runs import RunInfo


@dataclass(frozen=True)
class RunQuery:
    """`filter`: an expression such as `metrics.acc > 0.9 and tags.team = 'a'`; empty for every run. `order_by`: columns, each
    with ASC or DESC; ties go by start, the latest first, then by id. `experiments`: names or ids, empty for all. `view`: active,
    archived, all (but for the trash) or trash. `after`: `next` of the page before. `count`: tell how many there are on
    all pages. `metrics`: the names of those to answer with; None for all of a run."""

    filter: str = ""
    order_by: List[str] = field(default_factory=list)
    experiments: List[str] = field(default_factory=list)
    view: str = "active"
    limit: int = 100
    after: str = ""
    count: bool = False
    metrics: Optional[List[str]] = None


@dataclass(frozen=True)
class MetricSummary:
    """`last` is of the point with the highest step. All four are None where nothing logged under the name was a number; one
    that is not finite is None and named in `nonfinite`, such as {"last": "NaN"}."""

    count: int
    last: Optional[float] = None
    last_step: Optional[int] = None
    min: Optional[float] = None
    max: Optional[float] = None
    nonfinite: Dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class FoundRun:
    run: RunInfo
    metrics: Dict[str, MetricSummary]


@dataclass(frozen=True)
class RunsFound:
    """`next` is the cursor of the following page, None at the end; pages hold each run once while runs change. `count` is None
    unless it was asked for."""

    items: List[FoundRun]
    next: Optional[str] = None
    count: Optional[int] = None
