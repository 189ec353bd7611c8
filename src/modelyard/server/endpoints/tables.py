"""The tables of web services."""

from __future__ import annotations

import sqlalchemy as sa

from modelyard.server.kernel.db import metadata

endpoints = sa.Table(
    "endpoints",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("workspace_id", sa.String, nullable=False),
    sa.Column("workspace", sa.String, nullable=False),  # its name, which a node needs in addresses
    sa.Column("name", sa.String, nullable=False),
    sa.Column("compute_type", sa.String, nullable=False),
    sa.Column("description", sa.String, nullable=False),
    sa.Column("tags", sa.JSON, nullable=False),
    sa.Column("properties", sa.JSON, nullable=False),
    sa.Column("primary_key", sa.String, nullable=False),
    sa.Column("secondary_key", sa.String, nullable=False),
    sa.Column("port", sa.Integer, nullable=False),  # 0 until the first keeper has chosen one
    sa.Column("state", sa.String, nullable=False),
    sa.Column("state_reason", sa.String, nullable=False),
    sa.Column("error", sa.JSON),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("active_revision", sa.Integer),
    sa.Column("replicas_ready", sa.Integer, nullable=False),
    sa.Column("telemetry", sa.JSON, nullable=False),
    sa.Column("lost_from", sa.String),  # the state before the node went silent
    sa.Column("seen_at", sa.Float, nullable=False),  # last sign of life from the node
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("updated_at", sa.Float, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.UniqueConstraint("workspace_id", "name"),
)

revisions = sa.Table(
    "endpoint_revisions",
    metadata,
    sa.Column("endpoint_id", sa.String, sa.ForeignKey("endpoints.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("revision", sa.Integer, primary_key=True),
    sa.Column("spec", sa.JSON, nullable=False),
    sa.Column("model_trees", sa.JSON, nullable=False),  # model id -> tree id
    sa.Column("model_frameworks", sa.JSON, nullable=False),  # model id -> framework
    sa.Column("created_at", sa.Float, nullable=False),
)

# Deleted services that a node may still be ending: their port is not given out again before they are gone.
stopping = sa.Table(
    "endpoints_stopping",
    metadata,
    sa.Column("endpoint_id", sa.String, primary_key=True),
    sa.Column("port", sa.Integer, nullable=False),
    sa.Column("at", sa.Float, nullable=False),
)

log_chunks = sa.Table(
    "endpoint_log_chunks",
    metadata,
    sa.Column("endpoint_id", sa.String, sa.ForeignKey("endpoints.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("start", sa.BigInteger, primary_key=True),
    sa.Column("stop", sa.BigInteger, nullable=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
)
