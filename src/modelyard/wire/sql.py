"""SQL over everything that a workspace keeps: queries, their rows, and the views they may ask."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List


@dataclass(frozen=True)
class SqlQuery:
    """One SELECT. `params`: a text, number, true, false or null for each `$name` in it. `format`: `json` (SqlRows),
    `csv`, `arrow` (an IPC stream) or `parquet`."""

    query: str
    params: Dict[str, Any] = field(default_factory=dict)
    format: str = "json"


@dataclass(frozen=True)
class SqlColumn:
    """`type` is DuckDB's name of it."""

    name: str
    type: str


@dataclass(frozen=True)
class SqlRows:
    """Values as JSON has them; NaN and infinities are the texts `NaN`, `Infinity`, `-Infinity`, times ISO 8601 in UTC,
    bytes base64."""

    columns: List[SqlColumn]
    rows: List[List[Any]]


@dataclass(frozen=True)
class SqlViewColumn:
    name: str
    type: str
    meaning: str


@dataclass(frozen=True)
class SqlView:
    """A table that a query may name."""

    name: str
    meaning: str
    columns: List[SqlViewColumn]


@dataclass(frozen=True)
class SqlSchema:
    """All views, in the order in which they are shown."""

    views: List[SqlView]
