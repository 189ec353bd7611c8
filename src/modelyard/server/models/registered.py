"""What the yard does with registered models: names that versions share, with aliases that move between them."""

from __future__ import annotations

from collections.abc import Sequence

from modelyard.server.kernel import events
from modelyard.server.kernel.clock import Clock
from modelyard.server.kernel.db import Database, Tx
from modelyard.server.kernel.errors import Conflict, NotFound
from modelyard.server.models import registered_store, rules, store
from modelyard.server.models.search import Condition, Order
from modelyard.server.models.service import ModelService
from modelyard.wire.models import ModelInfo, RegisteredModel, RegisteredModelCreate, RegisteredModelUpdate


class RegisteredModels:
    """Names with or without versions. The versions are ModelService's."""

    def __init__(self, db: Database, clock: Clock, models: ModelService) -> None:
        self._db = db
        self._clock = clock
        self._models = models

    def create(self, workspace_id: str, body: RegisteredModelCreate, actor: str = "") -> RegisteredModel:
        """A name without a version yet. Raises Invalid, Conflict."""
        rules.check_name(body.name)

        def write(tx: Tx) -> RegisteredModel:
            now = self._clock.now()
            store.lock_name(tx, workspace_id, body.name)
            if registered_store.get(tx, workspace_id, body.name) is not None:
                raise _exists(body.name)
            registered_store.register(tx, workspace_id, body.name, now)
            registered_store.change(tx, workspace_id, body.name, description=body.description)
            registered_store.set_tags(tx, workspace_id, body.name, body.tags)
            return self._changed(tx, "registered_model.created", workspace_id, body.name, actor)

        return self._db.write(write)

    def get(self, workspace_id: str, name: str) -> RegisteredModel:
        """Raises NotFound."""
        with self._db.read() as tx:
            return _found(tx, workspace_id, name)

    def search(
        self,
        workspace_id: str,
        conditions: Sequence[Condition] = (),
        order: Sequence[Order] = (),
        offset: int = 0,
        limit: int = 100,
    ) -> list[RegisteredModel]:
        """Those for which all conditions hold, by name where `order` does not say otherwise."""
        with self._db.read() as tx:
            return registered_store.search_names(tx, workspace_id, conditions, order, offset, limit)

    def search_versions(
        self,
        workspace_id: str,
        conditions: Sequence[Condition] = (),
        order: Sequence[Order] = (),
        offset: int = 0,
        limit: int = 100,
    ) -> list[ModelInfo]:
        """Versions for which all conditions hold, with their aliases."""
        with self._db.read() as tx:
            found = registered_store.search_versions(tx, workspace_id, conditions, order, offset, limit)
            return store.with_aliases(tx, workspace_id, found)

    def update(
        self, workspace_id: str, name: str, body: RegisteredModelUpdate, actor: str = ""
    ) -> RegisteredModel:
        """Only what is given changes. Raises NotFound, Invalid, Conflict."""
        if body.name is not None:
            rules.check_name(body.name)

        def write(tx: Tx) -> RegisteredModel:
            _found(tx, workspace_id, name)
            if body.description is not None:
                now = self._clock.now()
                registered_store.change(tx, workspace_id, name, updated_at=now, description=body.description)
            registered_store.set_tags(tx, workspace_id, name, body.set_tags)
            registered_store.remove_tags(tx, workspace_id, name, body.remove_tags)
            if body.name is not None and body.name != name:
                self._rename(tx, workspace_id, name, body.name)
            return self._changed(tx, "registered_model.updated", workspace_id, body.name or name, actor)

        return self._db.write(write)

    def delete(self, workspace_id: str, name: str, actor: str = "") -> None:
        """The name, and all its versions into the trash. Raises NotFound, and Conflict while an endpoint serves one."""

        def write(tx: Tx) -> None:
            _found(tx, workspace_id, name)
            for version in store.versions(tx, workspace_id, name):
                info = self._models.found(tx, workspace_id, name, version)
                self._models.put_away(tx, workspace_id, info, info.id)
            registered_store.unregister(tx, workspace_id, name)
            self._publish(tx, "registered_model.deleted", workspace_id, name, actor)

        self._db.write(write)

    def set_alias(
        self, workspace_id: str, name: str, alias: str, version: int, actor: str = ""
    ) -> RegisteredModel:
        """From now on `alias` names this version. Raises NotFound, Invalid."""
        rules.check_alias(alias)

        def write(tx: Tx) -> RegisteredModel:
            self._models.found(tx, workspace_id, name, version)
            registered_store.set_alias(tx, workspace_id, name, alias, version)
            return self._changed(tx, "registered_model.updated", workspace_id, name, actor)

        return self._db.write(write)

    def delete_alias(self, workspace_id: str, name: str, alias: str, actor: str = "") -> None:
        """Raises NotFound."""

        def write(tx: Tx) -> None:
            _found(tx, workspace_id, name)
            if not registered_store.remove_alias(tx, workspace_id, name, alias):
                raise _no_alias(name, alias)
            self._publish(tx, "registered_model.updated", workspace_id, name, actor)

        self._db.write(write)

    def version_of(self, workspace_id: str, name: str, alias: str) -> int:
        """The version that an alias names. Raises NotFound."""
        with self._db.read() as tx:
            _found(tx, workspace_id, name)
            version = registered_store.alias(tx, workspace_id, name, alias)
        if version is None:
            raise _no_alias(name, alias)
        return version

    def _rename(self, tx: Tx, workspace_id: str, name: str, new_name: str) -> None:
        for version in store.versions(tx, workspace_id, name):
            self._models.check_unused(tx, workspace_id, name, version)  # a deployment names its models by id
        store.lock_name(tx, workspace_id, new_name)
        if registered_store.get(tx, workspace_id, new_name) is not None:
            raise _exists(new_name)
        if registered_store.has_versions(tx, workspace_id, new_name):
            raise Conflict(
                "model_in_trash",
                f"Versions of a deleted model {new_name!r} lie in the trash. Empty it first, or choose another name.",
            )
        registered_store.rename(tx, workspace_id, name, new_name, self._clock.now())

    def _changed(self, tx: Tx, kind: str, workspace_id: str, name: str, actor: str) -> RegisteredModel:
        self._publish(tx, kind, workspace_id, name, actor)
        return _found(tx, workspace_id, name)

    def _publish(self, tx: Tx, kind: str, workspace_id: str, name: str, actor: str) -> None:
        at, subject = self._clock.now(), f"registered_model:{name}"
        events.publish(tx, at=at, workspace_id=workspace_id, kind=kind, subject=subject, actor=actor)


def _found(tx: Tx, workspace_id: str, name: str) -> RegisteredModel:
    info = None if rules.name_problem(name) else registered_store.get(tx, workspace_id, name)
    if info is None:
        raise NotFound(
            "no_such_model",
            f"There is no registered model {name[:300]!r} in this workspace. List them with 'modelyard model list'.",
        )
    return info


def _exists(name: str) -> Conflict:
    return Conflict("model_exists", f"There is a registered model {name!r} already.")


def _no_alias(name: str, alias: str) -> NotFound:
    return NotFound("no_such_alias", f"Registered model {name!r} has no alias {alias[:300]!r}.")
