"""What people may ask of a slice's tables in SQL: each slice says its views, the sql slice answers queries on them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

TEXT = "VARCHAR"
WHOLE = "BIGINT"
NUMBER = "DOUBLE"
TRUTH = "BOOLEAN"
TIME = "TIMESTAMP"  # UTC; its source is Unix seconds
PAIRS = "MAP(VARCHAR, VARCHAR)"  # its source is a JSON object
JSON = "JSON"

# A view's rows are those of one workspace.
WORKSPACE_ID: sa.BindParameter[str] = sa.bindparam("workspace_id", type_=sa.String)


@dataclass(frozen=True)
class Column:
    """`type` is one of the types above."""

    name: str
    type: str
    meaning: str


@dataclass(frozen=True)
class Source:
    """Where rows of a view come from: `rows` selects its columns, by their names.

    Where a row of the database is not a row of the view, `reader` makes the ones out of the others: `module:function`,
    called with a `kernel.queries.Scan` in the process that answers the query, which has no SQLAlchemy.
    `more` are the further selects that it needs, by name.
    """

    rows: sa.Select[Any]
    reader: str = ""
    more: dict[str, sa.Select[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class View:
    """A table that people see: the rows of all `sources` together, or what `query`, in DuckDB's SQL, makes of other views."""

    name: str
    meaning: str
    columns: tuple[Column, ...]
    sources: tuple[Source, ...] = ()
    query: str = ""


def text_of(json_column: sa.ColumnElement[Any]) -> sa.ColumnElement[str]:
    """A JSON column as the text it is kept as."""
    return sa.cast(json_column, sa.Text)
