"""SQL of the garbage collection: what nothing refers to, and how it leaves."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from modelyard.server.artifacts.tables import blobs, leaving, removals, snapshots, sweeps, trees
from modelyard.server.kernel.db import Tx, insert

_MANY = 500
_HASH_LENGTH = 64


@dataclass(frozen=True)
class Holders:
    """Everything that refers to blobs and trees; each slice adds what is in its tables."""

    blob_columns: set[sa.Column[Any]] = field(default_factory=set)
    tree_columns: set[sa.Column[Any]] = field(default_factory=set)
    tree_lists: set[Callable[[Tx], Iterable[str]]] = field(default_factory=set)  # where SQL can't see them


def begin_sweep(tx: Tx, sweep: str, now: float) -> None:
    tx.execute(insert(tx, sweeps).values(id=sweep, started_at=now).on_conflict_do_nothing())


def end_sweep(tx: Tx, sweep: str) -> None:
    tx.execute(sa.delete(sweeps).where(sweeps.c.id == sweep))


def sweeping_since(tx: Tx) -> float | None:
    """When the newest sweep that has not ended began."""
    return tx.execute(sa.select(sa.func.max(sweeps.c.started_at))).scalar()


def touch(tx: Tx, hashes: Iterable[str], at: float) -> None:
    """A sweep that began before `at` leaves these alone."""
    for some in _portions(hashes):
        tx.execute(
            sa.update(blobs).where(blobs.c.hash.in_(some), blobs.c.created_at < at).values(created_at=at)
        )


def count_removals(tx: Tx) -> int:
    return tx.execute(sa.select(sa.func.max(removals.c.count))).scalar() or 0


def leaving_among(tx: Tx, hashes: Collection[str]) -> list[str]:
    if tx.execute(sa.select(leaving.c.hash).limit(1)).first() is None:
        return []
    found: list[str] = []
    for some in _portions(hashes):
        found += tx.execute(sa.select(leaving.c.hash).where(leaving.c.hash.in_(some))).scalars()
    return found


def unheld_blobs(
    tx: Tx, holders: Holders, before: float, after: str, limit: int, only: Collection[str] | None = None
) -> dict[str, int]:
    """Hash -> size of blobs brought before that time that no row refers to, by hash; trees are not looked into."""
    query = (
        sa.select(blobs.c.hash, sa.func.max(blobs.c.size))
        .where(blobs.c.hash > after, *(~_refers(column, blobs.c.hash) for column in holders.blob_columns))
        .group_by(blobs.c.hash)
        .having(sa.func.max(blobs.c.created_at) < before)
        .order_by(blobs.c.hash)
        .limit(limit)
    )
    if only is not None:
        query = query.where(blobs.c.hash.in_(only))
    return {row[0]: row[1] for row in tx.execute(query)}


def condemn(tx: Tx, hashes: Collection[str], sweep: str, now: float) -> None:
    """From here on no workspace holds these blobs, and their bytes may be removed."""
    tx.execute(sa.delete(blobs).where(blobs.c.hash.in_(hashes)))
    rows = [{"hash": hash_, "sweep": sweep, "since": now} for hash_ in hashes]
    if rows:
        tx.execute(insert(tx, leaving).on_conflict_do_nothing(), rows)


def unknown(tx: Tx, hashes: Collection[str]) -> list[str]:
    """Those that no workspace holds and that are not leaving."""
    known = set(leaving_among(tx, hashes))
    for some in _portions(hashes):
        known.update(tx.execute(sa.select(blobs.c.hash).where(blobs.c.hash.in_(some))).scalars())
    return [h for h in hashes if h not in known]


def gone(tx: Tx, hashes: Collection[str]) -> None:
    """Their bytes were removed."""
    tx.execute(sa.delete(leaving).where(leaving.c.hash.in_(hashes)))
    count = {"count": removals.c.count + 1}
    tx.execute(
        insert(tx, removals).values(id=1, count=1).on_conflict_do_update(index_elements=["id"], set_=count)
    )


def left_behind(tx: Tx, before: float, limit: int) -> list[str]:
    """Blobs that were to leave before that time and still have not."""
    query = sa.select(leaving.c.hash).where(leaving.c.since < before).order_by(leaving.c.hash)
    return list(tx.execute(query.limit(limit)).scalars())


def abandon(tx: Tx) -> None:
    """Whoever was at work is known to be gone."""
    tx.execute(sa.update(leaving).values(since=0.0))


def unheld_trees(
    tx: Tx, holders: Holders, before: float, after: str, limit: int, only: Collection[str] | None = None
) -> tuple[list[str], str | None]:
    """Trees that nothing refers to, but for snapshots made before that time; and after which to look for more."""
    query = sa.select(trees.c.id).where(
        trees.c.id > after,
        ~sa.exists().where(
            snapshots.c.tree_id == trees.c.id,
            sa.func.coalesce(snapshots.c.asked_at, snapshots.c.created_at) >= before,
        ),
        *(~_refers(column, trees.c.id) for column in holders.tree_columns),
    )
    if only is not None:
        query = query.where(trees.c.id.in_(only))
    found = list(tx.execute(query.order_by(trees.c.id).limit(limit)).scalars())
    following = found[-1] if len(found) == limit else None
    listed = {tree_id for every in holders.tree_lists for tree_id in every(tx)} if found else set()
    return [tree_id for tree_id in found if tree_id not in listed], following


def remove_trees(tx: Tx, tree_ids: Collection[str]) -> None:
    tx.execute(sa.delete(snapshots).where(snapshots.c.tree_id.in_(tree_ids)))
    tx.execute(sa.delete(trees).where(trees.c.id.in_(tree_ids)))


def hashes_in_trees(tx: Tx, after: str, limit: int) -> list[tuple[str, set[bytes]]]:
    """The next trees by id, each with the hashes of its files, as ASCII."""
    query = sa.select(trees.c.id, trees.c.manifest).where(trees.c.id > after).order_by(trees.c.id)
    return [(row.id, _hashes(row.manifest)) for row in tx.execute(query.limit(limit))]


def files_of_trees(tx: Tx, tree_ids: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for some in _portions(tree_ids):
        for row in tx.execute(sa.select(trees.c.manifest).where(trees.c.id.in_(some))):
            found.update(hash_.decode("ascii") for hash_ in _hashes(row.manifest) if hash_)
    return found


def references(tx: Tx, holders: Holders, hashes: Iterable[str]) -> Mapping[str, int]:
    """How many rows refer to each of these blobs; trees are not looked into."""
    counts: dict[str, int] = {}
    for some in _portions(hashes):
        for column in holders.blob_columns:
            query = sa.select(column, sa.func.count()).where(column.in_(some)).group_by(column)
            for hash_, count in tx.execute(query):
                counts[hash_] = counts.get(hash_, 0) + count
    return counts


def tree_references(tx: Tx, holders: Holders, tree_id: str) -> int:
    count = sum(list(every(tx)).count(tree_id) for every in holders.tree_lists)
    for column in holders.tree_columns:
        query = sa.select(sa.func.count()).select_from(column.table).where(column == tree_id)
        count += tx.execute(query).scalar_one()
    return count


def sizes_of(tx: Tx, hashes: Iterable[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for some in _portions(hashes):
        query = sa.select(blobs.c.hash, blobs.c.size).where(blobs.c.hash.in_(some))
        found.update((row[0], row[1]) for row in tx.execute(query))
    return found


def _refers(column: sa.Column[Any], to: sa.Column[Any]) -> sa.Exists:
    return sa.exists().where(column == to)


def _hashes(manifest: bytes) -> set[bytes]:
    """Of the lines of a tree's text (wire/trees.py), which begin with them; a microsecond each."""
    return {line[:_HASH_LENGTH] for line in zlib.decompress(manifest).split(b"\n")}


def _portions(hashes: Iterable[str]) -> Iterator[list[str]]:
    every = list(dict.fromkeys(hashes))
    for start in range(0, len(every), _MANY):
        yield every[start : start + _MANY]
