"""Whatever refers to a blob or a tree is known to the garbage collection, and can be asked by an index."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from whole_yard import open_yard

from modelyard.server.migrations.schema import whole

# Columns that look like a reference and are none: the collection's own tables, hashes of other things, and what is
# looked into by a function (endpoint_revisions.model_trees).
_NO_REFERENCE = {
    "blobs.hash", "blobs_leaving.hash", "snapshots.tree_id", "tokens.hash", "uploads.hash",
    "environments.content_hash", "environments.definition_hash", "environment_builds.content_hash",
    "environment_build_logs.content_hash", "runs.environment_hash", "endpoint_revisions.model_trees",
}  # fmt: skip


def test_every_column_that_refers_to_a_blob_or_tree_is_held_and_indexed(tmp_path: Path) -> None:
    yard = open_yard(tmp_path)
    holders = yard.yard.artifacts.garbage.holders
    yard.yard.close()
    held = {f"{c.table.name}.{c.name}": c for c in (*holders.blob_columns, *holders.tree_columns)}
    looks_like_one = {
        f"{table.name}.{column.name}"
        for table in whole().tables.values()
        for column in table.columns
        if any(word in column.name for word in ("hash", "tree", "snapshot", "blob"))
    }
    assert looks_like_one - _NO_REFERENCE == set(held)
    assert [name for name, column in held.items() if not _is_indexed(column)] == []


def _is_indexed(column: sa.Column[object]) -> bool:
    return any(next(iter(index.columns)) is column for index in column.table.indexes)
