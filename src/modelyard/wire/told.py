"""What is told of a run afterwards: a run that was kept on its own machine's disk, and its child runs.

The story of such a run is an append-only file of JSON lines, one `Told` a line, in the order in which it happened.
It is sent in pieces by offset, as journals are, so that each line counts once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import List, Optional

from modelyard.wire.artifacts import FilesAdd
from modelyard.wire.runs import RunCreate, RunStatusReport, RunUpdate


@dataclass(frozen=True)
class Told:
    """One thing that happened to a run, and when (Unix seconds, by the clock of who tells). Exactly one of the rest is
    there. The first line creates the run that the story is of; later ones may create runs below it."""

    at: float
    run_id: str
    create: Optional[RunCreate] = None
    update: Optional[RunUpdate] = None
    status: Optional[RunStatusReport] = None
    files: Optional[FilesAdd] = None


@dataclass(frozen=True)
class StoryTaken:
    """How many bytes of the story the yard holds durably. `passed_over`: lines of this piece that no run can keep, each
    with its reason; the rest of the piece is kept."""

    offset: int
    passed_over: List[str] = field(default_factory=list)
