"""Datastores: places of a workspace where files lie by path."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import List

from modelyard.wire.artifacts import FileEntry


@dataclass(frozen=True)
class DatastoreInfo:
    """`type` is v1's name of the kind, such as AzureBlob."""

    name: str
    type: str
    is_default: bool
    created_at: float


@dataclass(frozen=True)
class DatastoreList:
    """Datastores by name."""

    items: List[DatastoreInfo]


@dataclass(frozen=True)
class DatastoreFilesAdd:
    """Put blobs that the yard holds at these paths. `overwrite=False`: a path that is taken is left as it is."""

    entries: List[FileEntry]
    overwrite: bool = False


@dataclass(frozen=True)
class DatastoreFilesAdded:
    """How many files were written, and the paths that were taken and left alone."""

    added: int
    skipped: List[str] = field(default_factory=list)
