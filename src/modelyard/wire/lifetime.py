"""How long things stay: the trash, deletion for good with its receipts, retention rules."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional


@dataclass(frozen=True)
class TrashItem:
    """Something that was deleted and can come back. `runs`: how many runs went with it, itself included."""

    kind: str  # run | experiment | model
    id: str
    name: str
    deleted_at: float
    runs: int = 0


@dataclass(frozen=True)
class TrashList:
    """What lies in the trash, newest first."""

    items: List[TrashItem]


@dataclass(frozen=True)
class TrashQuery:
    """Ids of runs and experiments, and models as `name:version`. Empty: all that lies in the trash."""

    ids: List[str] = field(default_factory=list)


@dataclass(frozen=True)
class TrashRestore:
    """`name`: a new name for an experiment whose old one is taken by now."""

    id: str
    name: str = ""


@dataclass(frozen=True)
class DeletionPreview:
    """What deleting for good would take along. `freed_bytes` leaves out what others refer to as well.

    `kept_models` were registered from runs that go, and stay; `endpoints` serve those. `refused`: why it can't be done now.
    """

    runs: int
    children: int
    experiments: int
    models: List[str]
    files: int
    size_bytes: int
    freed_blobs: int
    freed_bytes: int
    kept_models: List[str] = field(default_factory=list)
    endpoints: List[str] = field(default_factory=list)
    refused: List[str] = field(default_factory=list)


@dataclass(frozen=True)
class Receipt:
    """What was removed, when, for whom. `finished_at` None: it is being worked off. Bytes count as freed when nothing else
    refers to them."""

    id: str
    kind: str  # deletion | garbage
    actor: str
    reason: str
    requested_at: float
    finished_at: Optional[float] = None
    runs: int = 0
    experiments: int = 0
    models: int = 0
    files: int = 0
    size_bytes: int = 0
    freed_blobs: int = 0
    freed_bytes: int = 0


@dataclass(frozen=True)
class ReceiptList:
    """Newest first."""

    items: List[Receipt]


@dataclass(frozen=True)
class ReceiptItems:
    """A receipt with all it lists: runs with their files and hashes, experiments, models, and the blobs removed."""

    receipt: Receipt
    items: List[Dict[str, Any]]


@dataclass(frozen=True)
class GarbageQuery:
    """Blobs brought less than `grace_s` ago stay; None: the yard's own grace, an hour."""

    grace_s: Optional[float] = None


@dataclass(frozen=True)
class GarbageFound:
    """What a garbage collection would remove."""

    blobs: int
    size_bytes: int
    trees: int
