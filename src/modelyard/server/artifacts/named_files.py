"""Files by path that belong to one thing: a run, a datastore. Each slice has a table of its own for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from modelyard.server.artifacts.garbage_store import Holders
from modelyard.server.kernel.db import Tx
from modelyard.server.kernel.errors import Conflict
from modelyard.wire.artifacts import FileEntry

Row = sa.Row[Any]
_MANY = 500


def columns() -> tuple[sa.Column[Any], ...]:
    """What such a table has beside the column of its owner."""
    return (
        sa.Column("path", sa.String, primary_key=True),
        sa.Column("hash", sa.String, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("executable", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
    )


class NamedFiles:
    """The rows of `table`, whose column `owner` says what each file belongs to."""

    def __init__(self, table: sa.Table, owner: str) -> None:
        self._table = table
        self._owner = owner

    def hold(self, holders: Holders) -> None:
        """Keep the blobs of these files from the garbage collection."""
        holders.blob_columns.add(self._table.c.hash)

    def by_paths(self, tx: Tx, owner: str, paths: Iterable[str]) -> dict[str, Row]:
        """The files among these paths that are there."""
        wanted = list(paths)
        found: dict[str, Row] = {}
        for start in range(0, len(wanted), _MANY):
            query = self._of(owner).where(self._table.c.path.in_(wanted[start : start + _MANY]))
            found.update((row.path, row) for row in tx.execute(query))
        return found

    def below(self, tx: Tx, owner: str, directory: str) -> list[Row]:
        """The files below a directory, by path; all of them for an empty one."""
        query = self._of(owner)
        if directory:
            query = query.where(*self._range(tx, directory))
        return sorted(tx.execute(query), key=lambda row: str(row.path))

    def at(self, tx: Tx, owner: str, path: str) -> list[Row]:
        """The file at `path`, or all files below that directory."""
        exact = self.by_paths(tx, owner, [path]) if path else {}
        return list(exact.values()) or self.below(tx, owner, path)

    def new(
        self, tx: Tx, owner: str, entries: Sequence[FileEntry], overwrite: bool, named: str
    ) -> list[FileEntry]:
        """Those of `entries` that have to be written. Raises Conflict for what is in their way.

        `named` says whose files they are, at the beginning of a sentence.
        """
        there = self.by_paths(tx, owner, [e.path for e in entries])
        changed = [e for e in entries if e.path not in there or there[e.path].hash != e.hash]
        taken = [e for e in changed if e.path in there]
        if taken and not overwrite:
            raise Conflict(
                "file_exists",
                f"{named} has a file {taken[0].path!r} already, with other content. Choose another path, or ask to "
                "overwrite it.",
                paths=[e.path for e in taken[:100]],
            )
        parents = {parent for e in changed for parent in _parents(e.path)}
        for parent in self.by_paths(tx, owner, parents):
            raise Conflict("file_exists", f"{named} has a file {parent!r}, so nothing can be put below it.")
        for entry in changed:
            if entry.path not in there and self._has_below(tx, owner, entry.path):
                raise Conflict(
                    "file_exists", f"{named} has files below {entry.path!r}, so it can't be a file."
                )
        return changed

    def put(self, tx: Tx, owner: str, entries: Sequence[FileEntry], now: float) -> None:
        """Add files, in place of those that have these paths."""
        if not entries:
            return
        self.remove(tx, owner, [e.path for e in entries])
        rows = [
            {
                self._owner: owner,
                "path": e.path,
                "hash": e.hash,
                "size": e.size,
                "executable": e.executable,
                "created_at": now,
            }
            for e in entries
        ]
        tx.execute(sa.insert(self._table), rows)

    def remove(self, tx: Tx, owner: str, paths: Iterable[str]) -> None:
        gone = [{"gone": path} for path in paths]
        if gone:
            one = self._table.c.path == sa.bindparam("gone")
            tx.execute(sa.delete(self._table).where(self._table.c[self._owner] == owner, one), gone)

    def _of(self, owner: str) -> sa.Select[Any]:
        return sa.select(self._table).where(self._table.c[self._owner] == owner)

    def _has_below(self, tx: Tx, owner: str, directory: str) -> bool:
        return tx.execute(self._of(owner).where(*self._range(tx, directory)).limit(1)).first() is not None

    def _range(self, tx: Tx, directory: str) -> tuple[sa.ColumnElement[bool], ...]:
        # "0" follows "/" in ASCII; PostgreSQL may sort by a language's rules, hence the plain order asked for.
        path: sa.ColumnElement[Any] = self._table.c.path
        if tx.dialect.name != "sqlite":
            path = sa.collate(path, "C")
        return (path >= directory + "/", path < directory + "0")


def entries(rows: Iterable[Row]) -> Iterator[FileEntry]:
    return (FileEntry(row.path, row.hash, row.size, row.executable) for row in rows)


def _parents(path: str) -> Sequence[str]:
    parts = path.split("/")
    return ["/".join(parts[:n]) for n in range(1, len(parts))]
