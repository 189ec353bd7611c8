"""What other slices' views need of trees."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from modelyard.server.artifacts.tables import trees

TREE_READER = "modelyard.server.artifacts.tree_reader:read"


def manifest_of(tree_id: sa.ColumnElement[str]) -> sa.ScalarSelect[Any]:
    """A tree's deflated text, which TREE_READER takes apart; the select names it `manifest`."""
    return sa.select(trees.c.manifest).where(trees.c.id == tree_id).scalar_subquery()
