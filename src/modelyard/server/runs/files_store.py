"""Files and log streams of runs in the database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from modelyard.server.kernel.db import Tx
from modelyard.server.runs.tables import files, log_chunks, streams
from modelyard.wire.artifacts import FileEntry

Row = sa.Row[Any]
_MANY = 500


def by_paths(tx: Tx, run_id: str, paths: Iterable[str]) -> dict[str, Row]:
    """The files among these paths that are there."""
    wanted = list(paths)
    found: dict[str, Row] = {}
    for start in range(0, len(wanted), _MANY):
        query = sa.select(files).where(
            files.c.run_id == run_id, files.c.path.in_(wanted[start : start + _MANY])
        )
        found.update((row.path, row) for row in tx.execute(query))
    return found


def below(tx: Tx, run_id: str, directory: str) -> list[Row]:
    """The files below a directory; all of them for an empty one."""
    query = sa.select(files).where(files.c.run_id == run_id)
    if directory:
        query = query.where(*_range(tx, directory))
    return sorted(tx.execute(query), key=lambda row: str(row.path))


def has_below(tx: Tx, run_id: str, directory: str) -> bool:
    query = sa.select(files.c.path).where(files.c.run_id == run_id, *_range(tx, directory))
    return tx.execute(query.limit(1)).first() is not None


def _range(tx: Tx, directory: str) -> tuple[sa.ColumnElement[bool], ...]:
    # "0" follows "/" in ASCII; PostgreSQL may sort by a language's rules, hence the plain order asked for.
    path = files.c.path if tx.dialect.name == "sqlite" else sa.collate(files.c.path, "C")
    return (path >= directory + "/", path < directory + "0")


def put(tx: Tx, run_id: str, entries: Sequence[FileEntry], now: float) -> None:
    """Add files, in place of those that have these paths."""
    if not entries:
        return
    tx.execute(
        sa.delete(files).where(files.c.run_id == run_id, files.c.path == sa.bindparam("gone")),
        [{"gone": e.path} for e in entries],
    )
    rows = [
        {
            "run_id": run_id,
            "path": e.path,
            "hash": e.hash,
            "size": e.size,
            "executable": e.executable,
            "created_at": now,
        }
        for e in entries
    ]
    tx.execute(sa.insert(files), rows)


def drop_logs(tx: Tx, run_id: str, paths: Sequence[str]) -> None:
    """The streams of these paths are files now."""
    for start in range(0, len(paths), _MANY):
        some = paths[start : start + _MANY]
        tx.execute(sa.delete(log_chunks).where(log_chunks.c.run_id == run_id, log_chunks.c.path.in_(some)))
        tx.execute(
            sa.delete(streams).where(
                streams.c.run_id == run_id, streams.c.kind == "log", streams.c.name.in_(some)
            )
        )


def logs(tx: Tx, run_id: str) -> list[Row]:
    """The live logs: name, size, created_at."""
    query = sa.select(streams).where(streams.c.run_id == run_id, streams.c.kind == "log")
    return list(tx.execute(query.order_by(streams.c.name)))


def log(tx: Tx, run_id: str, path: str) -> Row | None:
    return tx.execute(
        sa.select(streams).where(streams.c.run_id == run_id, streams.c.kind == "log", streams.c.name == path)
    ).first()


def add_chunk(tx: Tx, run_id: str, path: str, start: int, data: bytes) -> None:
    tx.execute(
        sa.insert(log_chunks).values(run_id=run_id, path=path, start=start, stop=start + len(data), data=data)
    )


def read_log(tx: Tx, run_id: str, path: str, offset: int, limit: int) -> bytes:
    """Up to about `limit` bytes of a log from `offset` on."""
    query = (
        sa.select(log_chunks.c.start, log_chunks.c.data)
        .where(log_chunks.c.run_id == run_id, log_chunks.c.path == path, log_chunks.c.stop > offset)
        .where(log_chunks.c.start < offset + limit)
        .order_by(log_chunks.c.start)
    )
    pieces = [bytes(data)[max(0, offset - start) :] for start, data in tx.execute(query)]
    return b"".join(pieces)[:limit]


def entries(rows: Iterable[Row]) -> Iterator[FileEntry]:
    return (FileEntry(row.path, row.hash, row.size, row.executable) for row in rows)
