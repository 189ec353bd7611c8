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
    kind: str  # deletion | garbage | retention
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


@dataclass(frozen=True)
class RetentionRule:
    """What becomes of old runs by itself, once a day.

    `what`: runs go into the trash; outputs, logs and snapshots of runs go for good, and the runs stay. `experiment` empty:
    each of them. Runs younger than `keep_days`, the `keep_last` newest of an experiment, those tagged `keep`, and those
    that registered models came from are left alone, and so are runs that `filter` (the language of run search) does not find.
    """

    name: str
    what: str = "runs"  # runs | outputs | logs | snapshots
    experiment: str = ""
    keep_days: float = 0.0
    keep_last: int = 0
    filter: str = ""


@dataclass(frozen=True)
class RetentionRules:
    """By name."""

    items: List[RetentionRule]


@dataclass(frozen=True)
class RetentionQuery:
    """`names` of rules; empty: all of them."""

    names: List[str] = field(default_factory=list)


@dataclass(frozen=True)
class RetentionFound:
    """What a rule would take away now: `runs` are ids, at most 10,000 at a time."""

    rule: str
    what: str
    runs: List[str]
    files: int
    size_bytes: int


@dataclass(frozen=True)
class RetentionPreview:
    """Of each rule."""

    items: List[RetentionFound]
