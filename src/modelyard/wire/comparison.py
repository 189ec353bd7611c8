"""Runs beside each other: what they have in common is left out, unless asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional


@dataclass(frozen=True)
class RunsCompare:
    """2 to 100 runs, the first one being what the code of the others is compared with. `all`: what is equal too.
    `diff`: the path of a file of their snapshots, to have its whole difference and no other's."""

    run_ids: List[str]
    all: bool = False
    diff: Optional[str] = None


@dataclass(frozen=True)
class ComparedRun:
    """`duration_s` is None until the run has ended."""

    id: str
    name: str
    experiment: str
    number: int
    status: str
    created_at: float
    duration_s: Optional[float] = None


@dataclass(frozen=True)
class Compared:
    """One name and its value in each run, in the order of the runs; None where a run has none. Long texts are cut, with
    their hash."""

    name: str
    values: List[Any]
    differs: bool = True


@dataclass(frozen=True)
class ComparedMetric:
    """Numbers in the order of the runs; None where a run has none; NaN and infinities are the texts `NaN`, `Infinity`,
    `-Infinity`. `best`: the places of the runs with the best `last`: the smallest with `lower_is_better`, which its name
    tells (loss, error …); empty where all are the same."""

    name: str
    last: List[Any]
    min: List[Any]
    max: List[Any]
    lower_is_better: bool
    best: List[int] = field(default_factory=list)


@dataclass(frozen=True)
class ComparedFile:
    """A file of the snapshots: its hash and size in each run, None where it is not there. `diffs`: for each run after the
    first the unified diff that leads to its file, empty where they are equal; `not_shown` says why there are none."""

    path: str
    hashes: List[Optional[str]]
    sizes: List[Optional[int]]
    diffs: List[str] = field(default_factory=list)
    not_shown: str = ""


@dataclass(frozen=True)
class Comparison:
    """`left_out`: how many more differences of a section there are than one answer holds."""

    runs: List[ComparedRun]
    run: List[Compared]
    params: List[Compared]
    arguments: List[Compared]
    tags: List[Compared]
    metrics: List[ComparedMetric]
    configuration: List[Compared]
    environment: List[Compared]
    packages: List[Compared]
    code: List[ComparedFile]
    git: List[Compared]
    data: List[Compared]
    machine: List[Compared]
    left_out: Dict[str, int] = field(default_factory=dict)
