"""Registered environments as people ask for them in SQL."""

from __future__ import annotations

import sqlalchemy as sa

from modelyard.server.environments.tables import environments
from modelyard.server.kernel.sql_views import (
    JSON,
    TEXT,
    TIME,
    WHOLE,
    WORKSPACE_ID,
    Column,
    Source,
    View,
    text_of,
)

ENVIRONMENTS = View(
    "environments",
    "Registered environments: one row for each version.",
    (
        Column("name", TEXT, "The environment's name."),
        Column("version", TEXT, "Its version."),
        Column("position", WHOLE, "1, 2, 3 … as registered; the largest is the latest."),
        Column("content_hash", TEXT, "What decides its installation; the same as `runs.environment_hash`."),
        Column("spec", JSON, "Python, packages, variables."),
        Column("created_at", TIME, "When it was registered."),
    ),
    (
        Source(
            sa.select(
                environments.c.name, environments.c.version, environments.c.position, environments.c.content_hash,
                text_of(environments.c.spec).label("spec"), environments.c.created_at,
            ).where(environments.c.workspace_id == WORKSPACE_ID)
        ),
    ),
)  # fmt: skip
