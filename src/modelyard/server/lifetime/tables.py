"""The tables of receipts and retention rules."""

from __future__ import annotations

import sqlalchemy as sa

from modelyard.server.kernel.db import metadata

# What was, or is being, removed for good. A receipt is never changed once it is finished, and never deleted.
receipts = sa.Table(
    "receipts",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("workspace_id", sa.String, nullable=False),  # empty: of the whole yard
    sa.Column("kind", sa.String, nullable=False),  # deletion | garbage | retention
    sa.Column("actor", sa.String, nullable=False),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("requested_at", sa.Float, nullable=False),
    sa.Column("finished_at", sa.Float),
    sa.Column("grace_s", sa.Float, nullable=False),
    sa.Column("figures", sa.JSON, nullable=False),  # name -> count, as in the wire type
    sa.Index("receipts_listed", "workspace_id", "requested_at"),
)

# What it lists, a portion a row as it went: deflated JSON.
receipt_parts = sa.Table(
    "receipt_parts",
    metadata,
    sa.Column("receipt_id", sa.String, sa.ForeignKey("receipts.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("items", sa.LargeBinary, nullable=False),
)

retention_rules = sa.Table(
    "retention_rules",
    metadata,
    sa.Column("workspace_id", sa.String, primary_key=True),
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("what", sa.String, nullable=False),  # runs | outputs | logs | snapshots
    sa.Column("experiment", sa.String, nullable=False),  # its name; empty: every one
    sa.Column("keep_days", sa.Float, nullable=False),
    sa.Column("keep_last", sa.Integer, nullable=False),
    sa.Column("filter", sa.String, nullable=False),
)
