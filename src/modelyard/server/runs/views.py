"""Which runs and experiments a list shows: what is archived or in the trash is left out unless asked for."""

from __future__ import annotations

import sqlalchemy as sa

from modelyard.server.kernel.errors import Invalid

VIEWS = ("active", "archived", "all", "trash")  # all: but for the trash


def check(view: str) -> None:
    if view not in VIEWS:
        raise Invalid("bad_view", f"View {view[:80]!r} is not one of {', '.join(VIEWS)}.")


def conditions(table: sa.Table, view: str) -> list[sa.ColumnElement[bool]]:
    """What holds for the rows of `table` that the view shows."""
    in_trash = table.c.deleted_at.is_not(None)
    if view == "trash":
        return [in_trash]
    if view == "all":
        return [~in_trash]
    is_archived = table.c.archived_at.is_not(None)
    return [~in_trash, is_archived if view == "archived" else ~is_archived]
