"""Experiments: named groups of runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, List, Optional


@dataclass(frozen=True)
class ExperimentCreate:
    """Create, or answer the one that has this name."""

    name: str
    tags: Dict[str, str] = field(default_factory=dict)
    description: str = ""


@dataclass(frozen=True)
class ExperimentInfo:
    """An experiment. `archived_at` None: it is active."""

    id: str
    name: str
    tags: Dict[str, str]
    description: str
    created_at: float
    archived_at: Optional[float] = None
    run_count: int = 0
    last_run_at: Optional[float] = None
    deleted_at: Optional[float] = None  # since when it lies in the trash
    updated_at: Optional[float] = None  # None: not since it was created


@dataclass(frozen=True)
class ExperimentUpdate:
    """Only what is given changes. `archived` False brings an archived experiment back."""

    name: Optional[str] = None
    description: Optional[str] = None
    archived: Optional[bool] = None
    set_tags: Dict[str, str] = field(default_factory=dict)
    remove_tags: List[str] = field(default_factory=list)


@dataclass(frozen=True)
class ExperimentList:
    """Experiments by name."""

    items: List[ExperimentInfo]
