"""How datastores and their files leave in a file of a workspace and come in from one."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from itertools import groupby
from typing import Any

from modelyard.server.artifacts.transfer import ArtifactTransfer, check_held, entry
from modelyard.server.data import store, tables
from modelyard.server.kernel.db import Database, Tx
from modelyard.server.kernel.ids import new_id
from modelyard.server.kernel.transfer import (
    Fate,
    FileTable,
    In,
    Out,
    Scope,
    Target,
    columns_of,
    refuse,
)
from modelyard.wire.artifacts import FileEntry
from modelyard.wire.data import DatastoreInfo

DATASTORES = FileTable("datastores", columns_of(tables.datastores, "workspace_id"))
FILES = FileTable("datastore_files", columns_of(tables.files))
_MANY = 500


class DataTransfer:
    tables = (DATASTORES, FILES)

    def __init__(self, db: Database, artifacts: ArtifactTransfer) -> None:
        self._db = db
        self._artifacts = artifacts

    def leave(self, tx: Tx, scope: Scope, out: Out) -> None:
        if not scope.is_whole:
            return
        for row in store.rows(tx, scope.workspace_id):
            out.rows(DATASTORES, [DATASTORES.row(row._mapping)])
            if scope.with_files:
                files = store.files.below(tx, row.id, "")
                out.rows(FILES, (FILES.row(file._mapping) for file in files))
                out.blobs.update((file.hash, file.size) for file in files)

    def come_in(self, given: In, target: Target) -> None:
        names: dict[str, str] = {}
        for row in map(DATASTORES.mapping, given.rows(DATASTORES)):
            if (
                not isinstance(row["name"], str)
                or not isinstance(row["type"], str)
                or row["created_at"] is None
            ):
                refuse(f"Datastore {str(row['name'])[:80]!r} lacks its name, type or time.")
            names[str(row["id"])] = row["name"]
            if not target.is_rehearsal:
                self._db.write(lambda tx, row=row: _add(tx, target.workspace_id, row))  # type: ignore[misc]
        for datastore_id, rows in groupby(given.rows(FILES), key=lambda row: row[0]):
            name = names.get(str(datastore_id))
            if name is None:
                refuse(f"A file belongs to datastore {str(datastore_id)[:80]!r}, which is not in it.")
            every = [FILES.mapping(row) for row in rows]
            for start in range(0, len(every), _MANY):
                self._take_files(given, target, name, every[start : start + _MANY])

    def _take_files(self, given: In, target: Target, name: str, rows: list[dict[str, Any]]) -> None:
        entries = {e.path: (e, float(row["created_at"] or 0)) for row in rows for e in [entry(row)]}
        check_held(given, (e for e, _ in entries.values()))

        def work(tx: Tx) -> None:
            datastore_id = next(
                (i for i, info in store.every(tx, target.workspace_id) if info.name == name), ""
            )
            there = store.files.by_paths(
                tx, datastore_id, [*entries, *(_renamed(e) for e, _ in entries.values())]
            )
            wanted: list[tuple[FileEntry, float]] = []
            for path, (one, at) in entries.items():
                same = any(p in there and there[p].hash == one.hash for p in (path, _renamed(one)))
                fate = target.decide("datastore file", f"{name}/{path}", path in there, same)
                if fate is Fate.RENAMED:
                    one = FileEntry(_renamed(one), one.hash, one.size, one.executable)
                if fate.is_written:
                    wanted.append((one, at))
            new = {
                e.path
                for e in store.files.new(
                    tx, datastore_id, [e for e, _ in wanted], True, f"Datastore {name!r}"
                )
            }
            if not target.is_rehearsal:
                self._artifacts.refer_to(tx, [e for e, _ in wanted], target.workspace_id)
                for at, group in groupby(wanted, key=lambda pair: pair[1]):
                    store.files.put(tx, datastore_id, [e for e, _ in group if e.path in new], at)

        if target.is_rehearsal:
            with self._db.read() as tx:
                work(tx)
        else:
            self._db.write(work)


def _add(tx: Tx, workspace_id: str, row: Mapping[str, Any]) -> None:
    known = store.every(tx, workspace_id)
    if any(info.name == row["name"] for _, info in known):
        return
    is_default = bool(row["is_default"]) and not any(info.is_default for _, info in known)
    datastore_id = new_id() if store.is_taken(tx, row["id"]) else row["id"]
    store.add(
        tx, datastore_id, workspace_id, DatastoreInfo(row["name"], row["type"], is_default, row["created_at"])
    )


def _renamed(file: FileEntry) -> str:
    """The same for the same bytes, so that a second import finds the file of the first."""
    stem, ending = posixpath.splitext(file.path)
    return f"{stem}-{file.hash[:8]}{ending}"
