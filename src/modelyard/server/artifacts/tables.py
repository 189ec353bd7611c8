"""The tables of the artifacts slice."""

from __future__ import annotations

import sqlalchemy as sa

from modelyard.server.kernel.db import metadata

# Which blobs a workspace holds. The bytes are kept once, but a workspace may use only what was brought to it: knowing
# the hash of another workspace's file opens nothing.
blobs = sa.Table(
    "blobs",
    metadata,
    sa.Column("workspace_id", sa.String, primary_key=True),
    sa.Column("hash", sa.String, primary_key=True),
    sa.Column("size", sa.BigInteger, nullable=False),
    # When it was last brought; or referred to, if that was during a sweep of the garbage collection.
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Index("blobs_hash", "hash"),
)

# Blobs that no workspace holds any more, and whose bytes are being removed.
leaving = sa.Table(
    "blobs_leaving",
    metadata,
    sa.Column("hash", sa.String, primary_key=True),
    sa.Column("sweep", sa.String, nullable=False),
    sa.Column("since", sa.Float, nullable=False),
)

# The sweeps of the garbage collection that have not ended.
sweeps = sa.Table(
    "blob_sweeps",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("started_at", sa.Float, nullable=False),
)

# One row, whose count grows each time the bytes of blobs were removed.
removals = sa.Table(
    "blob_removals",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("count", sa.BigInteger, nullable=False),
)

# A tree's canonical text (wire/trees.py), deflated. Trees never change, so one row serves all who have the tree.
trees = sa.Table(
    "trees",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("manifest", sa.LargeBinary, nullable=False),
    sa.Column("file_count", sa.Integer, nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
)

snapshots = sa.Table(
    "snapshots",
    metadata,
    sa.Column("workspace_id", sa.String, primary_key=True),
    sa.Column("tree_id", sa.String, primary_key=True),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("asked_at", sa.Float),  # when it was last made once more, or imported
    sa.Index("snapshots_tree", "tree_id"),
)

# Files that come in parts, each of them a blob until all are there. `hash` and `size` are set when they were put together.
uploads = sa.Table(
    "uploads",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("workspace_id", sa.String, nullable=False),
    sa.Column("target", sa.String, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("hash", sa.String),
    sa.Column("size", sa.BigInteger),
    sa.Index("uploads_workspace", "workspace_id", "created_at"),
)

upload_parts = sa.Table(
    "upload_parts",
    metadata,
    sa.Column("upload_id", sa.String, sa.ForeignKey("uploads.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("hash", sa.String, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Index("upload_parts_hash", "hash"),
)
