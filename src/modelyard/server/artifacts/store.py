"""SQL of the artifacts slice: wire dataclasses in and out."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterable, Iterator

import sqlalchemy as sa

from modelyard.server.artifacts.tables import blobs, snapshots, trees, uploads
from modelyard.server.kernel.db import Tx, insert
from modelyard.wire.artifacts import FileEntry, SnapshotInfo
from modelyard.wire.trees import parse_manifest

_NOBODY = ""  # in place of a workspace
_MANY = 2000  # parameters of one statement; SQLite takes 32,766, PostgreSQL 65,535


def add_blobs(tx: Tx, workspace_id: str, sizes: dict[str, int], now: float) -> None:
    """Note that the workspace holds these blobs, by hash, from now on or once more."""
    rows = [{"workspace_id": workspace_id, "hash": h, "size": s, "created_at": now} for h, s in sizes.items()]
    if rows:
        statement = insert(tx, blobs)
        tx.execute(
            statement.on_conflict_do_update(
                index_elements=["workspace_id", "hash"], set_={"created_at": statement.excluded.created_at}
            ),
            rows,
        )


def sizes(tx: Tx, workspace_id: str | None, hashes: Collection[str]) -> dict[str, int]:
    """Hash -> size of those that the workspace (None: any workspace) holds."""
    found: dict[str, int] = {}
    for some in _portions(hashes):
        query = sa.select(blobs.c.hash, blobs.c.size).where(blobs.c.hash.in_(some))
        if workspace_id is not None:
            query = query.where(blobs.c.workspace_id == workspace_id)
        found.update((row[0], row[1]) for row in tx.execute(query))
    return found


def add_tree(tx: Tx, tree_id: str, manifest: bytes, file_count: int, size_bytes: int) -> None:
    tx.execute(
        insert(tx, trees)
        .values(id=tree_id, manifest=zlib.compress(manifest, 1), file_count=file_count, size_bytes=size_bytes)
        .on_conflict_do_nothing()
    )


def tree(tx: Tx, tree_id: str) -> list[FileEntry] | None:
    row = tx.execute(sa.select(trees.c.manifest).where(trees.c.id == tree_id)).first()
    return None if row is None else parse_manifest(zlib.decompress(row.manifest))


def add_snapshot(
    tx: Tx, workspace_id: str, tree_id: str, created_at: float, asked_at: float | None = None
) -> None:
    """`asked_at`: now, where that differs from when it was made."""
    tx.execute(
        insert(tx, snapshots)
        .values(workspace_id=workspace_id, tree_id=tree_id, created_at=created_at, asked_at=asked_at)
        .on_conflict_do_update(
            index_elements=["workspace_id", "tree_id"], set_={"asked_at": asked_at or created_at}
        )
    )


def snapshot(tx: Tx, workspace_id: str, tree_id: str) -> SnapshotInfo | None:
    """Without its entries."""
    row = tx.execute(
        sa.select(trees.c.file_count, trees.c.size_bytes, snapshots.c.created_at)
        .join(snapshots, snapshots.c.tree_id == trees.c.id)
        .where(snapshots.c.workspace_id == workspace_id, snapshots.c.tree_id == tree_id)
    ).first()
    return None if row is None else SnapshotInfo(tree_id, row.file_count, row.size_bytes, row.created_at)


def snapshots_of(tx: Tx, workspace_id: str) -> list[tuple[str, float]]:
    """Tree id and time of each, by tree."""
    query = sa.select(snapshots.c.tree_id, snapshots.c.created_at)
    query = query.where(snapshots.c.workspace_id == workspace_id).order_by(snapshots.c.tree_id)
    return [(row.tree_id, row.created_at) for row in tx.execute(query)]


def forget_workspace(tx: Tx, workspace_id: str) -> None:
    """Its blobs belong to nobody, until the garbage collection removes their bytes too."""
    tx.execute(sa.delete(uploads).where(uploads.c.workspace_id == workspace_id))
    tx.execute(sa.delete(snapshots).where(snapshots.c.workspace_id == workspace_id))
    mine = sa.select(sa.literal(_NOBODY), blobs.c.hash, blobs.c.size, blobs.c.created_at).where(
        blobs.c.workspace_id == workspace_id
    )
    names = ["workspace_id", "hash", "size", "created_at"]
    tx.execute(insert(tx, blobs).from_select(names, mine).on_conflict_do_nothing())
    tx.execute(sa.delete(blobs).where(blobs.c.workspace_id == workspace_id))


def _portions(hashes: Iterable[str]) -> Iterator[list[str]]:
    every = list(dict.fromkeys(hashes))
    for start in range(0, len(every), _MANY):
        yield every[start : start + _MANY]
