"""How registered models leave in a file of a workspace and come in from one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import msgspec

from modelyard.server.artifacts.transfer import ArtifactTransfer
from modelyard.server.kernel.db import Database, Tx
from modelyard.server.kernel.errors import Conflict
from modelyard.server.kernel.transfer import Fate, FileTable, In, Out, Scope, Target, columns_of, refuse
from modelyard.server.models import registered_store, store, tables
from modelyard.server.models.rules import check_name
from modelyard.wire.models import ModelInfo

NAMES = FileTable("model_names", columns_of(tables.model_names, "workspace_id"))
NAME_TAGS = FileTable("model_name_tags", columns_of(tables.model_name_tags, "workspace_id"))
ALIASES = FileTable("model_aliases", columns_of(tables.model_aliases, "workspace_id"))
MODELS = FileTable("models", columns_of(tables.models, "id", "workspace_id", "deleted_at", "deleted_with"))
# What two versions of the same content may differ in.
_OWN = {
    "id", "version", "run_id", "experiment", "endpoints", "aliases", "stage", "updated_at", "deleted_at",
}  # fmt: skip


class ModelTransfer:
    tables = (NAMES, NAME_TAGS, ALIASES, MODELS)

    def __init__(
        self, db: Database, artifacts: ArtifactTransfer, in_use: Callable[[Tx, str, str, int], Any]
    ) -> None:
        self._db = db
        self._artifacts = artifacts
        self._in_use = in_use

    def leave(self, tx: Tx, scope: Scope, out: Out) -> None:
        """All of them, or those that were registered from the runs that leave. A model is its files, so none without."""
        if not scope.with_files:
            return
        names = set()
        for row in store.rows(tx, scope.workspace_id):
            if scope.is_whole or row.run_id in out.run_ids:
                names.add(row.name)
                out.rows(MODELS, [MODELS.row(row._mapping)])
                out.trees.add(row.tree_id)
        for table, rows in (
            (NAMES, registered_store.name_rows(tx, scope.workspace_id)),
            (NAME_TAGS, registered_store.tag_rows(tx, scope.workspace_id)),
            (ALIASES, registered_store.alias_rows(tx, scope.workspace_id)),
        ):
            out.rows(table, (table.row(r._mapping) for r in rows if scope.is_whole or r.name in names))

    def come_in(self, given: In, target: Target) -> None:
        """Versions after their names, aliases after the versions they name."""
        tags: dict[str, dict[str, str]] = {}
        for row in map(NAME_TAGS.mapping, given.rows(NAME_TAGS)):
            if not all(isinstance(row[column], str) for column in NAME_TAGS.columns):
                refuse(f"A tag of model {str(row['name'])[:80]!r} lacks its name or value.")
            tags.setdefault(row["name"], {})[row["key"]] = row["value"]
        for row in map(NAMES.mapping, given.rows(NAMES)):
            self._do(target, partial(_take_name, target=target, row=row, tags=tags.get(str(row["name"]), {})))
        for row in map(MODELS.mapping, given.rows(MODELS)):
            info = _info(row)
            if info.tree_id not in given.trees:
                refuse(f"The files of model {info.id} are not in it.")
            self._do(target, partial(self._take, target=target, info=info, request_id=str(row["request_id"])))
        for row in map(ALIASES.mapping, given.rows(ALIASES)):
            self._do(target, partial(_take_alias, target=target, row=row))

    def _do(self, target: Target, work: Callable[[Tx], None]) -> None:
        if target.is_rehearsal:
            with self._db.read() as tx:
                work(tx)
        else:
            self._db.write(work)

    def _take(self, tx: Tx, *, target: Target, info: ModelInfo, request_id: str) -> None:
        wid = target.workspace_id
        there = store.get(tx, wid, info.name, info.version, in_trash=True)
        again = None if there is None else _find_same(tx, wid, info)
        fate = target.decide("model", info.id, there is not None, again is not None)
        if again is not None and again.version != info.version:
            target.model_ids[info.id] = again.id
        if fate is Fate.REPLACED and self._in_use(tx, wid, info.name, info.version):
            raise Conflict(
                "model_in_use",
                f"Model {info.id} is served by an endpoint here and can't be replaced. Delete the endpoint first, or import "
                "with --merge skip or rename.",
            )
        if target.is_rehearsal or not fate.is_written:
            return
        self._artifacts.refer_to_tree(tx, wid, info.tree_id)
        last = store.lock_name(tx, wid, info.name)
        if fate is Fate.REPLACED:
            store.remove(tx, wid, info.name, info.version)
        if fate is Fate.RENAMED:
            info = dataclasses.replace(info, id=f"{info.name}:{last + 1}", version=last + 1)
            target.model_ids[f"{info.name}:{(there or info).version}"] = info.id
        if store.by_request(tx, wid, request_id) is not None:
            request_id = f"imported-{info.id}"
        info = dataclasses.replace(info, run_id=target.run_id(info.run_id))
        if registered_store.get(tx, wid, info.name) is None:
            registered_store.register(tx, wid, info.name, target.at)
        store.add(tx, wid, request_id, info)
        _raise_last(tx, wid, info.name, last)


def _find_same(tx: Tx, workspace_id: str, info: ModelInfo) -> ModelInfo | None:
    """The version with this content: the one of this number, or one that an earlier import has renamed."""
    first = [info.version, *store.versions(tx, workspace_id, info.name)]
    for version in first:
        other = store.get(tx, workspace_id, info.name, version)
        if other is not None and _content(other) == _content(info):
            return other
    return None


def _content(info: ModelInfo) -> dict[str, Any]:
    return {f.name: getattr(info, f.name) for f in dataclasses.fields(info) if f.name not in _OWN}


def _take_name(tx: Tx, *, target: Target, row: Mapping[str, Any], tags: Mapping[str, str]) -> None:
    """What all versions of a name share."""
    numbers = [row[column] for column in ("created_at", "updated_at")]
    if not isinstance(row["last_version"], int) or not all(isinstance(n, float) for n in numbers):
        refuse(f"Model {str(row['name'])[:80]!r} lacks its last version or times.")
    check_name(str(row["name"]))
    name, wid = row["name"], target.workspace_id
    there = registered_store.get(tx, wid, name)
    same = there is not None and (there.description, there.tags) == (row["description"], tags)
    fate = Fate.SAME
    if row["registered"]:
        fate = target.decide("model name", name, there is not None, same, can_rename=False)
    if target.is_rehearsal:
        return
    _raise_last(tx, wid, name, row["last_version"])
    if fate in (Fate.ADDED, Fate.REPLACED):
        if there is not None:
            registered_store.remove_tags(tx, wid, name, list(there.tags))
        kept = {column: row[column] for column in ("description", "created_at", "updated_at")}
        registered_store.change(tx, wid, name, registered=True, **kept)
        registered_store.set_tags(tx, wid, name, tags)


def _take_alias(tx: Tx, *, target: Target, row: Mapping[str, Any]) -> None:
    name, alias, wid = row["name"], row["alias"], target.workspace_id
    if not isinstance(name, str) or not isinstance(alias, str) or not isinstance(row["version"], int):
        refuse(f"An alias of model {str(name)[:80]!r} lacks its name or version.")
    here = target.model_ids.get(f"{name}:{row['version']}", f"{name}:{row['version']}")
    version = int(here.rpartition(":")[2])
    there = registered_store.alias(tx, wid, name, alias)
    fate = target.decide("alias", f"{name}@{alias}", there is not None, there == version, can_rename=False)
    if not target.is_rehearsal and fate in (Fate.ADDED, Fate.REPLACED):
        registered_store.set_alias(tx, wid, name, alias, version)


def _raise_last(tx: Tx, workspace_id: str, name: str, last_version: int) -> None:
    """A version is never given out twice, neither here nor where the file is from."""
    last = store.lock_name(tx, workspace_id, name)
    registered_store.change(tx, workspace_id, name, last_version=max(last, last_version))


def _info(row: Mapping[str, Any]) -> ModelInfo:
    try:
        info = msgspec.convert(
            {**row, "deleted_at": None, "id": f"{row['name']}:{row['version']}"}, ModelInfo
        )
    except msgspec.ValidationError as error:
        refuse(f"Model {str(row['name'])[:80]!r} can't be kept: {error}.")
    check_name(info.name)
    if info.version < 1:
        refuse(f"Model {info.name!r} has version {info.version}; versions begin at 1.")
    return info
