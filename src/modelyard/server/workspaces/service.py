"""What a yard does with its workspaces."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence

from modelyard.server.kernel import events
from modelyard.server.kernel.clock import Clock
from modelyard.server.kernel.db import Database, Tx
from modelyard.server.kernel.errors import Conflict, Invalid, NotFound
from modelyard.server.kernel.ids import new_id
from modelyard.server.workspaces import store
from modelyard.wire.workspaces import WorkspaceCreate, WorkspaceInfo, WorkspaceUpdate

DEFAULT = "default"
# Labels for a yard that has no cloud behind it; scripts print them, config.json holds them.
_NO_SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"
_LOCAL = "local"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{1,32}")
_KNOWN_S = 30.0  # how long another process's deletion of a workspace may stay unseen here


class WorkspaceService:
    """Creates, finds and deletes workspaces.

    `blockers` are asked before a workspace is deleted: each answers a sentence naming what is still active in it, or
    nothing. `on_create` give a new workspace what their slice wants it to begin with, `on_delete` take away what their
    slice keeps for it, both in the same transaction.
    """

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._known: dict[str, tuple[str, float]] = {}  # name -> id, good until
        self.blockers: list[Callable[[Tx, str], str]] = []
        self.on_create: list[Callable[[Tx, str], None]] = []
        self.on_delete: list[Callable[[Tx, str], None]] = []

    def id_of(self, name: str) -> str:
        """The id behind a name; every request asks, so it is remembered. Raises NotFound."""
        known = self.known_id(name)
        if known is not None:
            return known
        until = self._clock.monotonic() + _KNOWN_S
        info = self.get(name)
        self._known[name] = (info.id, until)
        return info.id

    def known_id(self, name: str) -> str | None:
        """The id, where it is remembered."""
        known = self._known.get(name)
        return known[0] if known is not None and self._clock.monotonic() < known[1] else None

    def ensure_default(self) -> WorkspaceInfo:
        return self.create(WorkspaceCreate(DEFAULT, friendly_name="Default workspace", exist_ok=True))

    def create(self, body: WorkspaceCreate, actor: str = "") -> WorkspaceInfo:
        """A new workspace; the existing one with `exist_ok`. Raises Invalid (name), Conflict (taken)."""
        check_name(body.name)
        info = WorkspaceInfo(
            id=new_id(),
            name=body.name,
            subscription_id=body.subscription_id or _NO_SUBSCRIPTION,
            resource_group=body.resource_group or _LOCAL,
            location=body.location or _LOCAL,
            sku=body.sku,
            friendly_name=body.friendly_name or body.name,
            description=body.description,
            tags=body.tags,
            created_at=self._clock.now(),
        )

        def write(tx: Tx) -> WorkspaceInfo:
            if not store.add(tx, info):
                if not body.exist_ok:
                    raise _exists(body.name)
                return _found(store.by_name(tx, body.name), body.name)
            for begin in self.on_create:
                begin(tx, info.id)
            self._publish(tx, "workspace.created", info, actor)
            return info

        return self._db.write(write)

    def ids(self) -> Sequence[str]:
        return [info.id for info in self.list()]

    def list(self) -> list[WorkspaceInfo]:
        with self._db.read() as tx:
            return store.every(tx)

    def get(self, name: str) -> WorkspaceInfo:
        if not _NAME.fullmatch(name):  # PostgreSQL would not even take a NUL
            return _found(None, name)
        with self._db.read() as tx:
            return _found(store.by_name(tx, name), name)

    def info_by_id(self, workspace_id: str) -> WorkspaceInfo:
        with self._db.read() as tx:
            return _found(store.by_id(tx, workspace_id), workspace_id)

    def update(self, name: str, body: WorkspaceUpdate, actor: str = "") -> WorkspaceInfo:
        """Only what is given changes."""

        def write(tx: Tx) -> WorkspaceInfo:
            info = _found(store.by_name(tx, name), name)
            changes = {k: v for k, v in dataclasses.asdict(body).items() if v is not None}
            store.update(tx, info.id, changes)
            changed = dataclasses.replace(info, **changes)
            self._publish(tx, "workspace.updated", changed, actor)
            return changed

        return self._db.write(write)

    def delete(self, name: str, actor: str = "") -> None:
        """Take the workspace and everything in it away. Raises Conflict naming what is still active."""

        def write(tx: Tx) -> None:
            info = _found(store.by_name(tx, name), name)
            reasons = [reason for reason in (ask(tx, info.id) for ask in self.blockers) if reason]
            if reasons:
                raise Conflict(
                    "workspace_active",
                    f"Workspace {name!r} can't be deleted yet: {' '.join(reasons)}",
                    reasons=reasons,
                )
            for take_away in self.on_delete:
                take_away(tx, info.id)
            store.remove(tx, info.id)
            self._publish(tx, "workspace.deleted", info, actor)

        self._db.write(write)
        self._known.pop(name, None)

    def is_name_taken(self, tx: Tx, name: str) -> bool:
        return store.by_name(tx, name) is not None

    def is_id_taken(self, tx: Tx, workspace_id: str) -> bool:
        return store.by_id(tx, workspace_id) is not None

    def take_in(self, tx: Tx, info: WorkspaceInfo) -> None:
        """A workspace whose things are here already becomes one that people see. Raises Conflict for a taken name."""
        if not store.add(tx, info):
            raise _exists(info.name)
        for begin in self.on_create:
            begin(tx, info.id)

    def _publish(self, tx: Tx, kind: str, info: WorkspaceInfo, actor: str) -> None:
        events.publish(
            tx,
            at=self._clock.now(),
            workspace_id=info.id,
            kind=kind,
            subject=info.id,
            actor=actor,
            name=info.name,
        )


def check_name(name: str) -> None:
    """Raises Invalid unless the name is one that v1 takes."""
    if not _NAME.fullmatch(name):
        raise Invalid(
            "bad_workspace_name",
            f"Workspace name {name[:80]!r} can't be used: it needs 2 to 33 letters, digits, '-' or '_' and begins "
            "with a letter or digit.",
        )


def _exists(name: str) -> Conflict:
    return Conflict(
        "workspace_exists",
        f"Workspace {name!r} exists already. Choose another name, or create it with exist_ok.",
    )


def _found(info: WorkspaceInfo | None, name: str) -> WorkspaceInfo:
    if info is None:
        raise NotFound(
            "no_such_workspace",
            f"There is no workspace {name[:80]!r}. List them with 'modelyard workspace list' or create it.",
        )
    return info
