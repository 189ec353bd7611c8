"""What MLflow keeps, wherever it keeps it: the records that every source gives, and what a source is."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

# As numbers in mlruns' files, as words elsewhere.
STATUSES = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}
_PIECE_BYTES = 1 << 20


class SourceError(Exception):
    """The source can't be read, in words for a person."""


class Broken(Exception):
    """One thing of the source can't be read; the others can."""


@dataclass(frozen=True)
class Experiment:
    id: str
    name: str
    tags: dict[str, str]
    created_ms: int
    updated_ms: int
    deleted: bool


@dataclass(frozen=True)
class Run:
    """`artifacts`: where its files lie, as the source names it. `metric_names`: where a source has to ask by name."""

    id: str
    experiment_id: str
    name: str
    user: str
    status: str
    start_ms: int
    end_ms: int | None
    deleted: bool
    tags: dict[str, str]
    params: dict[str, str]
    artifacts: str
    metric_names: Sequence[str] = ()


class History(NamedTuple):
    """All points of one metric in the order in which they were logged."""

    key: str
    times_ms: Sequence[int]
    steps: Sequence[int]
    values: Sequence[float]


class File(NamedTuple):
    """One file, below whatever it belongs to."""

    path: str
    read: Callable[[], Iterator[bytes]]


@dataclass(frozen=True)
class Version:
    """A version of a registered model. `files`: where they lie, as the source names it."""

    version: int
    description: str
    user: str
    stage: str
    source: str
    run_id: str
    run_link: str
    created_ms: int
    updated_ms: int
    tags: dict[str, str]
    files: str


@dataclass(frozen=True)
class Model:
    name: str
    description: str
    created_ms: int
    updated_ms: int
    tags: dict[str, str]
    aliases: dict[str, int]
    versions: list[Version] = field(default_factory=list)


class Source(Protocol):
    """Raises SourceError when nothing can be read, Broken for one thing alone."""

    def close(self) -> None:
        """Let go of what is held open."""

    def experiments(self) -> list[Experiment]:
        """All of them, those deleted too."""

    def runs(self, experiment: Experiment, problem: Callable[[str, str], None]) -> Iterable[Run]:
        """Its runs, those deleted too; `problem` is told the id of one that can't be read, and why."""

    def metrics(self, run: Run) -> Iterator[History]:
        """Whole histories."""

    def artifacts(self, run: Run) -> Iterator[File]:
        """The run's files."""

    def models(self) -> Iterator[Model]:
        """Registered models with their versions, oldest first."""

    def version_files(self, version: Version) -> Iterator[File]:
        """The files of a version."""


def files_below(directory: str) -> Iterator[File]:
    """Every file of a directory, by path. Links are not followed, lest they lead out of it."""
    if os.path.isfile(directory):
        yield File(os.path.basename(directory), lambda: _pieces(directory))
        return
    for folder, folders, names in os.walk(directory):
        folders.sort()
        for name in sorted(names):
            path = os.path.join(folder, name)
            if os.path.isfile(path) and not os.path.islink(path):
                inside = os.path.relpath(path, directory).replace(os.sep, "/")
                yield File(inside, lambda path=path: _pieces(path))  # type: ignore[misc]  # mypy reads no defaults


def _pieces(path: str) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while piece := file.read(_PIECE_BYTES):
            yield piece
