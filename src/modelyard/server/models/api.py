"""Routes of the models slice."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from starlette.responses import Response

from modelyard.server.kernel.auth import Kind, Permission
from modelyard.server.kernel.errors import Forbidden, Invalid
from modelyard.server.kernel.http import WORKSPACE, Call, Routes
from modelyard.server.models.registered import RegisteredModels
from modelyard.server.models.service import ModelService
from modelyard.server.models.store import Search
from modelyard.wire.artifacts import FileInfo, FileList
from modelyard.wire.models import ModelInfo, ModelPage, ModelRegister, ModelUpdate

_VERSION = f"{WORKSPACE}/models/{{name}}/versions/{{version}}"
_NUMBER = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True)
class ModelsQuery:
    """`tag` and `property` are `key` or `key=value` and must all hold; `after` is the `next` of the page before."""

    name: str = ""
    tag: list[str] = field(default_factory=list)
    property: list[str] = field(default_factory=list)
    run_id: str = ""
    framework: str = ""
    latest: bool = False
    limit: int = 100
    after: str = ""


def routes(service: ModelService, registered: RegisteredModels) -> Routes:
    r = Routes("models")

    @r.post(f"{WORKSPACE}/models", Permission.MODEL_REGISTER, status=201)
    def register(call: Call, body: ModelRegister) -> ModelInfo:
        """Register the next version of a model, from blobs or from a run's files."""
        caller = call.principal
        of_run = bool(body.run_id) and caller.kind is Kind.RUN
        if of_run and not service.run_is_within(call.workspace_id, caller.subject, body.run_id or ""):
            raise Forbidden(
                "other_run", f"{caller.name} may register models of itself and its child runs only."
            )
        return service.register(call.workspace_id, body, caller.name)

    @r.get(f"{WORKSPACE}/models", Permission.READ)
    def every(call: Call, query: ModelsQuery) -> ModelPage:
        """List models, newest first."""
        before = None
        if query.after:
            before = _number(query.after, "bad_cursor", "'after' is the 'next' of an earlier page")
        wanted = Search(
            name=query.name,
            tags=query.tag,
            properties=query.property,
            run_id=query.run_id,
            framework=query.framework,
            latest=query.latest,
            before=before,
            limit=query.limit,
        )
        return service.list(call.workspace_id, wanted)

    @r.get(_VERSION, Permission.READ)
    def get(call: Call) -> ModelInfo:
        """Show a version of a model; `latest` is the highest, `@ALIAS` the one that an alias names."""
        return service.get(call.workspace_id, *_named(registered, call))

    @r.patch(_VERSION, Permission.CONTRIBUTE)
    def update(call: Call, body: ModelUpdate) -> ModelInfo:
        """Change description, framework, stage and tags; add properties."""
        return service.update(call.workspace_id, *_named(registered, call), body, call.principal.name)

    @r.delete(_VERSION, Permission.CONTRIBUTE)
    def delete(call: Call) -> None:
        """Put a version of a model into the trash; refused while an endpoint serves it."""
        service.trash(call.workspace_id, *_named(registered, call), call.principal.name)

    @r.get(f"{_VERSION}/files", Permission.READ)
    def files(call: Call) -> FileList:
        """List the files of a version."""
        name, version = _named(registered, call)
        info = service.get(call.workspace_id, name, version)
        entries = service.files(call.workspace_id, name, info.version)
        return FileList([FileInfo(e.path, e.size, info.created_at, e.hash) for e in entries])

    @r.get(f"{_VERSION}/files/{{path:path}}", Permission.READ, raw="application/octet-stream")
    def file(call: Call) -> Response:
        """Download one file of a version or a range of it."""
        return service.file_response(
            call.workspace_id, *_named(registered, call), call.path["path"], call.request
        )

    return r


def _named(registered: RegisteredModels, call: Call) -> tuple[str, int | None]:
    name, text = call.path["name"], call.path["version"]
    if text == "latest":
        return name, None
    if text.startswith("@"):
        return name, registered.version_of(call.workspace_id, name, text[1:])
    return name, _number(text, "bad_version", "A model's version is a number, 'latest' or '@' and an alias")


def _number(text: str, code: str, rule: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise Invalid(code, f"{rule}, not {text[:80]!r}.")
    return int(text)
