"""What a file of a workspace says of itself, and how its members are named."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import msgspec

FORMAT = "modelyard-workspace"
VERSION = 1  # grows when an older modelyard could no longer read the file
MANIFEST = "manifest.json"
MAX_MANIFEST_BYTES = 64 << 20
MAX_PART_ROWS = 1 << 20  # of a table in one member; more go to the next

_TABLE = re.compile(r"tables/([a-z_]+)-([0-9]{4,6})\.parquet")
_BLOB = re.compile(r"blobs/([0-9a-f]{64})")


@dataclass(frozen=True)
class Part:
    """One member that holds rows of a table."""

    table: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """`workspace`: the exported one as WorkspaceInfo. `experiments`, `runs`: what was asked for; None: everything."""

    format: str
    version: int
    modelyard: str
    exported_at: float
    workspace: dict[str, Any]
    experiments: list[str] | None
    runs: list[str] | None
    files: bool
    tables: dict[str, dict[str, str]]  # table -> column -> what it holds
    parts: dict[str, Part]  # member -> what is in it
    blob_count: int
    blob_bytes: int

    @property
    def is_whole(self) -> bool:
        return self.experiments is None and self.runs is None

    def encode(self) -> bytes:
        return msgspec.json.format(msgspec.json.encode(self), indent=2)

    def rows(self, table: str) -> int:
        return sum(part.rows for part in self.parts.values() if part.table == table)


def part_name(table: str, number: int) -> str:
    return f"tables/{table}-{number:04}.parquet"


def blob_name(hash_: str) -> str:
    return f"blobs/{hash_}"


def table_of(member: str) -> str:
    """The table that a member holds rows of; empty for another member."""
    match = _TABLE.fullmatch(member)
    return match[1] if match else ""


def hash_of(member: str) -> str:
    """The hash of the blob that a member holds; empty for another member."""
    match = _BLOB.fullmatch(member)
    return match[1] if match else ""


def is_member(name: str) -> bool:
    return name == MANIFEST or bool(table_of(name) or hash_of(name))
