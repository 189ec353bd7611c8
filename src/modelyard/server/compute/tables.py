"""The table of nodes."""

from __future__ import annotations

import sqlalchemy as sa

from modelyard.server.kernel.db import metadata

nodes = sa.Table(
    "nodes",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("target", sa.String, nullable=False),
    sa.Column("slots", sa.Integer, nullable=False),
    sa.Column("machine", sa.JSON, nullable=False),
    sa.Column("first_seen_at", sa.Float, nullable=False),
    sa.Column("last_seen_at", sa.Float, nullable=False),
)
