"""The table of the transfer slice."""

from __future__ import annotations

import sqlalchemy as sa

from modelyard.server.kernel.db import metadata

# Workspaces that are coming in. Their rows are under an id that no workspace has yet, so nobody sees them; the last
# transaction of an import makes the workspace and takes its row here away.
incoming = sa.Table(
    "incoming_workspaces",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("workspace_id", sa.String, nullable=False),
    sa.Column("file", sa.String, nullable=False),  # hash of the file's manifest
    sa.Column("touched_at", sa.Float, nullable=False),
)
