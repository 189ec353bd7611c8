"""Views as the process that answers a query gets them: JSON, their selects as text in the database's own SQL."""

from __future__ import annotations

import functools
import importlib
from typing import Any

import sqlalchemy as sa

from modelyard.server.kernel.sql_views import WORKSPACE_ID
from modelyard.server.sql.catalog import VIEWS


@functools.lru_cache(maxsize=64)
def of_workspace(workspace_id: str, is_sqlite: bool) -> list[dict[str, Any]]:
    """All views, of this workspace's rows."""

    def text(select: sa.Select[Any]) -> dict[str, Any]:
        # Only the one in use: the other costs time at start.
        dialect: Any = importlib.import_module(
            f"sqlalchemy.dialects.{'sqlite' if is_sqlite else 'postgresql'}"
        ).dialect
        bound = select.params({WORKSPACE_ID.key: workspace_id})
        compiled = bound.compile(dialect=dialect(), compile_kwargs={"literal_binds": True})
        return {"text": str(compiled), "columns": [column.name for column in select.selected_columns]}

    return [
        {
            "name": view.name,
            "query": view.query,
            "columns": [[column.name, column.type] for column in view.columns],
            "sources": [
                {
                    "rows": text(source.rows),
                    "reader": source.reader,
                    "more": {name: text(select) for name, select in source.more.items()},
                }
                for source in view.sources
            ],
        }
        for view in VIEWS
    ]
