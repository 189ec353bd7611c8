"""How registered environments leave in a file of a workspace and come in from one."""

from __future__ import annotations

import dataclasses
from typing import Any

from modelyard.server.environments import store, tables
from modelyard.server.kernel.db import Database, Tx
from modelyard.server.kernel.transfer import Fate, FileTable, In, Out, Scope, Target, columns_of, refuse
from modelyard.wire import codec
from modelyard.wire.environments import EnvironmentInfo, EnvironmentSpec

ENVIRONMENTS = FileTable("environments", columns_of(tables.environments, "workspace_id"))


class EnvironmentTransfer:
    tables = (ENVIRONMENTS,)

    def __init__(self, db: Database) -> None:
        self._db = db

    def leave(self, tx: Tx, scope: Scope, out: Out) -> None:
        if scope.is_whole:
            out.rows(ENVIRONMENTS, (ENVIRONMENTS.row(r._mapping) for r in store.rows(tx, scope.workspace_id)))

    def come_in(self, given: In, target: Target) -> None:
        for row in map(ENVIRONMENTS.mapping, given.rows(ENVIRONMENTS)):
            info = _info(row)

            def work(tx: Tx, row: dict[str, Any] = row, info: EnvironmentInfo = info) -> None:
                _take(tx, target, row, info)

            if target.is_rehearsal:
                with self._db.read() as tx:
                    work(tx)
            else:
                self._db.write(work)


def _take(tx: Tx, target: Target, row: dict[str, Any], info: EnvironmentInfo) -> None:
    wid, name, version = target.workspace_id, info.spec.name, info.spec.version
    there = store.one(tx, wid, name, version)
    same = there is not None and (there[0].content_hash, there[1]) == (
        info.content_hash,
        row["definition_hash"],
    )
    position = max(store.last_position(tx, wid, name) + 1, int(row["position"] or 1))
    if there is not None and not same and any(
        old.content_hash == info.content_hash and old.spec == dataclasses.replace(info.spec, version=old.spec.version)
        for old in store.versions(tx, wid, name)
    ):  # fmt: skip
        same = True  # an earlier import has renamed it
    fate = target.decide("environment", f"{name}:{version}", there is not None, same)
    if target.is_rehearsal or not fate.is_written:
        return
    if fate is Fate.REPLACED:
        store.remove(tx, wid, name, version)
    if fate is Fate.RENAMED:
        info = dataclasses.replace(info, spec=dataclasses.replace(info.spec, version=str(position)))
    store.add(tx, wid, info, position, row["definition_hash"])


def _info(row: dict[str, Any]) -> EnvironmentInfo:
    try:
        spec = codec.from_json(EnvironmentSpec, row["spec"])
    except (ValueError, TypeError) as error:
        refuse(f"Environment {str(row['name'])[:80]!r} is no definition of one: {error}.")
    texts = (row["name"], row["version"], row["content_hash"], row["definition_hash"])
    if (
        not all(isinstance(t, str) and t for t in texts)
        or (spec.name, spec.version) != texts[:2]
        or not row["created_at"]
    ):
        refuse(f"Environment {str(row['name'])[:80]!r} lacks its name, version, hashes or time.")
    return EnvironmentInfo(spec, row["content_hash"], row["created_at"])
