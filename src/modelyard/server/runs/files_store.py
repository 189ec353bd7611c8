"""Files and log streams of runs in the database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from modelyard.server.artifacts.named_files import NamedFiles
from modelyard.server.kernel.db import Tx
from modelyard.server.runs import tables
from modelyard.server.runs.tables import log_chunks, streams

Row = sa.Row[Any]
_MANY = 500


files = NamedFiles(tables.files, "run_id")


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
