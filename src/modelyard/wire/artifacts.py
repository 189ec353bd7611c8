"""Content-addressed bytes: blobs named by SHA-256, and trees of them (snapshots, models, outputs)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import List, Optional

# Every blob hash on the wire is the lower-case hex SHA-256 of the blob's bytes.


@dataclass(frozen=True)
class FileEntry:
    """One file of a tree. `path` is relative, `/`-separated, without `.` or `..` parts."""

    path: str
    hash: str
    size: int
    executable: bool = False


@dataclass(frozen=True)
class BlobQuery:
    """Which of these blobs does the yard hold, or: give me these."""

    hashes: List[str]


@dataclass(frozen=True)
class BlobsMissing:
    """Those asked about that the workspace does not hold, in the order asked."""

    missing: List[str]


@dataclass(frozen=True)
class BlobsStored:
    """How many blobs came in, and their bytes together."""

    stored: int
    size_bytes: int


@dataclass(frozen=True)
class SnapshotCreate:
    """The files of a snapshot, whose blobs the workspace holds already."""

    entries: List[FileEntry]


@dataclass(frozen=True)
class SnapshotInfo:
    """`id` is the SHA-256 of the canonical manifest, so equal trees have equal ids."""

    id: str
    file_count: int
    size_bytes: int
    created_at: float
    entries: List[FileEntry] = field(default_factory=list)


@dataclass(frozen=True)
class FileInfo:
    """A file of a run or model as listed. `live`: a log that is still growing; its hash comes at the end."""

    path: str
    size: int
    created_at: float
    hash: Optional[str] = None
    live: bool = False


@dataclass(frozen=True)
class FileList:
    """Files by path."""

    items: List[FileInfo]


@dataclass(frozen=True)
class FilesAdd:
    """Attach blobs that the yard already holds as files. `overwrite=False`: an existing path is refused."""

    entries: List[FileEntry]
    overwrite: bool = False


@dataclass(frozen=True)
class Offset:
    """How many bytes of an append-only stream (journal, log) the yard holds durably."""

    offset: int
