"""The tables of the data slice."""

from __future__ import annotations

import sqlalchemy as sa

from modelyard.server.artifacts import named_files
from modelyard.server.kernel.db import metadata

datastores = sa.Table(
    "datastores",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("workspace_id", sa.String, nullable=False),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("type", sa.String, nullable=False),
    sa.Column("is_default", sa.Boolean, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.UniqueConstraint("workspace_id", "name", name="datastores_name"),
)

files = sa.Table(
    "datastore_files",
    metadata,
    sa.Column(
        "datastore_id", sa.String, sa.ForeignKey("datastores.id", ondelete="CASCADE"), primary_key=True
    ),
    *named_files.columns(),
    sa.Index("datastore_files_hash", "hash"),
    sqlite_with_rowid=False,
)
