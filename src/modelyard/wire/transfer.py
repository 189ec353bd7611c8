"""A workspace as one file: what an import made of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, List


@dataclass(frozen=True)
class ImportCount:
    """What became of the things of one kind (`run`, `model`, …). `others` names some that were there with other content."""

    kind: str
    added: int = 0
    same: int = 0  # there already, with the same content
    skipped: int = 0  # there with other content, and left alone
    replaced: int = 0
    renamed: int = 0
    others: List[str] = field(default_factory=list)


@dataclass(frozen=True)
class ImportReport:
    """`preview`: nothing was written. `ended`: runs that were not over when they were exported. `renamed_runs`: id in
    the file -> id here, of some."""

    workspace: str
    workspace_id: str
    created: bool  # the workspace is new
    preview: bool
    exported_from: str  # the name that the workspace had
    exported_at: float
    counts: List[ImportCount]
    ended: int = 0
    blob_count: int = 0
    blob_bytes: int = 0
    renamed_runs: Dict[str, str] = field(default_factory=dict)
