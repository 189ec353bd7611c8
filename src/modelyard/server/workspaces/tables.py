"""The tables of the workspaces slice."""

from __future__ import annotations

import sqlalchemy as sa

from modelyard.server.kernel.db import metadata

workspaces = sa.Table(
    "workspaces",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("name", sa.String, nullable=False, unique=True),
    sa.Column("subscription_id", sa.String, nullable=False),
    sa.Column("resource_group", sa.String, nullable=False),
    sa.Column("location", sa.String, nullable=False),
    sa.Column("sku", sa.String, nullable=False),
    sa.Column("friendly_name", sa.String, nullable=False),
    sa.Column("description", sa.String, nullable=False),
    sa.Column("tags", sa.JSON, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
)
