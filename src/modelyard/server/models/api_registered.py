"""Routes of registered models: names, what versions share, and aliases."""

from __future__ import annotations

from dataclasses import dataclass

from modelyard.server.kernel.auth import Permission
from modelyard.server.kernel.errors import Invalid
from modelyard.server.kernel.http import WORKSPACE, Call, Routes
from modelyard.server.models.registered import RegisteredModels
from modelyard.server.models.search import Condition
from modelyard.server.models.service import MAX_PAGE
from modelyard.wire.models import (
    ModelAlias,
    RegisteredModel,
    RegisteredModelCreate,
    RegisteredModelPage,
    RegisteredModelUpdate,
)

_NAMES = f"{WORKSPACE}/registered-models"
_NAME = f"{_NAMES}/{{name}}"
_ALIAS = f"{_NAME}/aliases/{{alias}}"


@dataclass(frozen=True)
class NamesQuery:
    """`after` is the `next` of the page before."""

    limit: int = 100
    after: str = ""


def routes(registered: RegisteredModels) -> Routes:
    r = Routes("registered-models")

    @r.post(_NAMES, Permission.MODEL_REGISTER, status=201)
    def create(call: Call, body: RegisteredModelCreate) -> RegisteredModel:
        """Take a name for a model that has no version yet."""
        return registered.create(call.workspace_id, body, call.principal.name)

    @r.get(_NAMES, Permission.READ)
    def every(call: Call, query: NamesQuery) -> RegisteredModelPage:
        """List registered models by name."""
        if not 1 <= query.limit <= MAX_PAGE:
            raise Invalid("bad_limit", f"A page has 1 to {MAX_PAGE} models, not {query.limit}.")
        later = [Condition("name", ">", query.after)] if query.after else []
        found = registered.search(call.workspace_id, later, limit=query.limit + 1)
        page = found[: query.limit]
        return RegisteredModelPage(page, page[-1].name if len(found) > len(page) else None)

    @r.get(_NAME, Permission.READ)
    def get(call: Call) -> RegisteredModel:
        """Show a registered model: what its versions share, and the newest of each stage."""
        return registered.get(call.workspace_id, call.path["name"])

    @r.patch(_NAME, Permission.CONTRIBUTE)
    def update(call: Call, body: RegisteredModelUpdate) -> RegisteredModel:
        """Change name, description and tags; renaming is refused while an endpoint serves a version."""
        return registered.update(call.workspace_id, call.path["name"], body, call.principal.name)

    @r.delete(_NAME, Permission.CONTRIBUTE)
    def delete(call: Call) -> None:
        """Delete all versions of a model and its name; refused while an endpoint serves one."""
        registered.delete(call.workspace_id, call.path["name"], call.principal.name)

    @r.put(_ALIAS, Permission.CONTRIBUTE)
    def set_alias(call: Call, body: ModelAlias) -> RegisteredModel:
        """Let an alias name a version, in place of the one it named."""
        name, alias = call.path["name"], call.path["alias"]
        return registered.set_alias(call.workspace_id, name, alias, body.version, call.principal.name)

    @r.delete(_ALIAS, Permission.CONTRIBUTE)
    def delete_alias(call: Call) -> None:
        """Let an alias name nothing any more."""
        registered.delete_alias(call.workspace_id, call.path["name"], call.path["alias"], call.principal.name)

    return r
