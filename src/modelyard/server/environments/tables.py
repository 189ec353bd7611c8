"""The tables of the environments slice."""

from __future__ import annotations

import sqlalchemy as sa

from modelyard.server.kernel.db import metadata

environments = sa.Table(
    "environments",
    metadata,
    sa.Column("workspace_id", sa.String, primary_key=True),
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("version", sa.String, primary_key=True),
    sa.Column("position", sa.Integer, nullable=False),  # 1, 2, 3 … as registered; the largest is the latest
    sa.Column("spec", sa.JSON, nullable=False),
    sa.Column("content_hash", sa.String, nullable=False),
    sa.Column("definition_hash", sa.String, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.UniqueConstraint("workspace_id", "name", "position"),
)

# The newest build of each content on each node.
builds = sa.Table(
    "environment_builds",
    metadata,
    sa.Column("content_hash", sa.String, primary_key=True),
    sa.Column("node", sa.String, primary_key=True),
    sa.Column("status", sa.String, nullable=False),
    sa.Column("python_version", sa.String, nullable=False),
    sa.Column("lock", sa.JSON, nullable=False),
    sa.Column("error", sa.Text, nullable=False),
    sa.Column("started_at", sa.Float, nullable=False),
    sa.Column("finished_at", sa.Float),
    sa.Index("environment_builds_newest", "started_at"),
)

build_logs = sa.Table(
    "environment_build_logs",
    metadata,
    sa.Column("content_hash", sa.String, primary_key=True),
    sa.Column("node", sa.String, primary_key=True),
    sa.Column("start", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("stop", sa.BigInteger, nullable=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
)
