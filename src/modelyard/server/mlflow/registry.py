"""MLflow's model registry: registered models, which are names, and their versions."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, TypeVar

from modelyard.server.kernel.auth import Permission
from modelyard.server.kernel.errors import Conflict, Invalid, NotFound
from modelyard.server.kernel.http import Call, Routes
from modelyard.server.mlflow import errors, paging, places, registry_search
from modelyard.server.mlflow.experiments import KeyValue
from modelyard.server.mlflow.model_shapes import model_version, registered_model
from modelyard.server.mlflow.names import MAX_KEY, check_key, check_length
from modelyard.server.mlflow.protocol import Message, route
from modelyard.server.mlflow.shapes import Json
from modelyard.server.mlflow.sources import Sources
from modelyard.server.models import rules
from modelyard.server.models.registered import RegisteredModels
from modelyard.server.models.service import ModelService
from modelyard.wire.models import (
    STAGES,
    ModelInfo,
    ModelRegister,
    ModelUpdate,
    RegisteredModelCreate,
    RegisteredModelUpdate,
)

_NAMES = "registered-models"
_VERSIONS = "model-versions"
_PREFIXES = ("2.0/mlflow", "2.0/preview/mlflow")  # the second is that of clients before 2.0
_MAX_TAG_VALUE = 100_000
_MAX_NAMES = 1000
_MAX_VERSIONS = 200_000
_PROMPT = "mlflow.prompt.is_prompt"

H = TypeVar("H", bound=Callable[..., Any])


class Named(Message):
    required: ClassVar[tuple[str, ...]] = ("name",)
    name: str = ""


class CreateName(Named):
    description: str = ""
    tags: list[KeyValue] = []


class UpdateName(Named):
    description: str = ""


class RenameName(Named):
    required: ClassVar[tuple[str, ...]] = ("name", "new_name")
    new_name: str = ""


class Search(Message):
    filter: str = ""
    max_results: int = 100
    order_by: list[str] = []
    page_token: str = ""


class SearchVersions(Search):
    max_results: int = _MAX_VERSIONS


class Latest(Named):
    stages: list[str] = []


class Tag(Named):
    required: ClassVar[tuple[str, ...]] = ("name", "key")
    key: str = ""
    value: str = ""


class Alias(Named):
    required: ClassVar[tuple[str, ...]] = ("name", "alias")
    alias: str = ""


class SetAlias(Alias):
    required: ClassVar[tuple[str, ...]] = ("name", "alias", "version")
    version: str = ""


class Version(Named):
    required: ClassVar[tuple[str, ...]] = ("name", "version")
    version: str = ""


class UpdateVersion(Version):
    description: str | None = None


class VersionTag(Version):
    required: ClassVar[tuple[str, ...]] = ("name", "version", "key")
    key: str = ""
    value: str = ""


class MoveVersion(Version):
    required: ClassVar[tuple[str, ...]] = ("name", "version", "stage")
    stage: str = ""
    archive_existing_versions: bool = False


class CreateVersion(Named):
    required: ClassVar[tuple[str, ...]] = ("name", "source")
    source: str = ""
    run_id: str | None = None
    model_id: str | None = None
    run_link: str = ""
    description: str = ""
    tags: list[KeyValue] = []


def add(r: Routes, registered: RegisteredModels, models: ModelService, sources: Sources) -> None:
    _add_names(r, registered)
    _add_name_changes(r, registered)
    _add_labels(r, registered, models)
    _add_versions(r, registered, models)
    _add_version_changes(r, registered, models, sources)


def _add_names(r: Routes, registered: RegisteredModels) -> None:
    @_route(r, "GET", f"{_NAMES}/get", Permission.READ)
    def get(call: Call, body: Named) -> Json:
        with _of_name(body.name):
            return {"registered_model": registered_model(registered.get(call.workspace_id, body.name))}

    @_route(r, "GET", f"{_NAMES}/list", Permission.READ)  # what clients before 2.0 ask for
    @_route(r, "GET", f"{_NAMES}/search", Permission.READ)
    def search(call: Call, body: Search) -> Json:
        paging.check_max_results(body.max_results, _MAX_NAMES)
        conditions, order = registry_search.of_names(body.filter, body.order_by)
        start = paging.start_of(body.page_token)
        found = registered.search(call.workspace_id, conditions, order, start, body.max_results + 1)
        page = found[: body.max_results]
        # As MLflow's searches have it: the latest versions by their stage here, versions without aliases below.
        page = [dataclasses.replace(i, latest=sorted(i.latest, key=lambda v: v.stage)) for i in page]
        answer: Json = {"registered_models": [registered_model(info) for info in page]} if page else {}
        if len(found) > len(page):
            answer["next_page_token"] = paging.token_at(start + len(page))
        return answer

    def latest(call: Call, body: Latest) -> Json:
        with _of_name(body.name):
            info = registered.get(call.workspace_id, body.name)
            stages = {rules.stage(stage) for stage in body.stages} or set(STAGES)
        found = [v for v in info.latest if v.stage in stages]
        named = [_with_aliases(v, info.aliases) for v in found]
        return {"model_versions": [model_version(v) for v in named]} if named else {}

    for method in ("GET", "POST"):
        _route(r, method, f"{_NAMES}/get-latest-versions", Permission.READ)(latest)


def _add_name_changes(r: Routes, registered: RegisteredModels) -> None:
    @_route(r, "POST", f"{_NAMES}/create", Permission.MODEL_REGISTER)
    def create(call: Call, body: CreateName) -> Json:
        _check_name(body.name)
        for tag in body.tags:
            _check_tag(tag.key, tag.value)
        given = RegisteredModelCreate(body.name, body.description, {tag.key: tag.value for tag in body.tags})
        try:
            made = registered.create(call.workspace_id, given, call.principal.name)
        except Conflict:
            raise _taken(registered, call, given) from None
        return {"registered_model": registered_model(made)}

    @_route(r, "PATCH", f"{_NAMES}/update", Permission.MODEL_REGISTER)
    def update(call: Call, body: UpdateName) -> Json:
        change = RegisteredModelUpdate(description=body.description)
        with _of_name(body.name):
            info = registered.update(call.workspace_id, body.name, change, call.principal.name)
        return {"registered_model": registered_model(info)}

    @_route(r, "POST", f"{_NAMES}/rename", Permission.CONTRIBUTE)
    def rename(call: Call, body: RenameName) -> Json:
        _check_name(body.new_name)
        change = RegisteredModelUpdate(name=body.new_name)
        with _of_name(body.name):
            try:
                info = registered.update(call.workspace_id, body.name, change, call.principal.name)
            except Conflict as error:
                if error.code != "model_exists":
                    raise
                raise errors.exists(f"Registered Model (name={body.new_name}) already exists.") from None
        return {"registered_model": registered_model(info)}

    @_route(r, "DELETE", f"{_NAMES}/delete", Permission.CONTRIBUTE)
    def delete(call: Call, body: Named) -> Json:
        with _of_name(body.name):
            registered.delete(call.workspace_id, body.name, call.principal.name)
        return {}


def _add_labels(r: Routes, registered: RegisteredModels, models: ModelService) -> None:
    @_route(r, "POST", f"{_NAMES}/set-tag", Permission.MODEL_REGISTER)
    def set_tag(call: Call, body: Tag) -> Json:
        _check_tag(body.key, body.value)
        with _of_name(body.name):
            change = RegisteredModelUpdate(set_tags={body.key: body.value})
            registered.update(call.workspace_id, body.name, change, call.principal.name)
        return {}

    @_route(r, "DELETE", f"{_NAMES}/delete-tag", Permission.MODEL_REGISTER)
    def delete_tag(call: Call, body: Tag) -> Json:
        with _of_name(body.name):
            change = RegisteredModelUpdate(remove_tags=[body.key])
            registered.update(call.workspace_id, body.name, change, call.principal.name)
        return {}

    @_route(r, "POST", f"{_NAMES}/alias", Permission.MODEL_REGISTER)
    def set_alias(call: Call, body: SetAlias) -> Json:
        number = _number(body.version)
        with _of_version(body.name, body.version):
            registered.set_alias(call.workspace_id, body.name, body.alias, number, call.principal.name)
        return {}

    @_route(r, "DELETE", f"{_NAMES}/alias", Permission.MODEL_REGISTER)
    def delete_alias(call: Call, body: Alias) -> Json:
        with _of_name(body.name):
            try:
                registered.delete_alias(call.workspace_id, body.name, body.alias, call.principal.name)
            except NotFound as error:
                if error.code != "no_such_alias":  # which is fine, as MLflow has it
                    raise
        return {}

    @_route(r, "GET", f"{_NAMES}/alias", Permission.READ)
    def by_alias(call: Call, body: Alias) -> Json:
        with _of_name(body.name):
            try:
                version = registered.version_of(call.workspace_id, body.name, body.alias)
            except NotFound as error:
                if error.code != "no_such_alias":
                    raise
                raise errors.invalid(f"Registered model alias {body.alias} not found.") from None
            return {"model_version": model_version(models.get(call.workspace_id, body.name, version))}


def _add_versions(r: Routes, registered: RegisteredModels, models: ModelService) -> None:
    @_route(r, "GET", f"{_VERSIONS}/get", Permission.READ)
    def get(call: Call, body: Version) -> Json:
        return {"model_version": model_version(_get(models, call, body))}

    @_route(r, "GET", f"{_VERSIONS}/get-download-uri", Permission.READ)
    def download_uri(call: Call, body: Version) -> Json:
        info = _get(models, call, body)
        # One that was made of what is not in the yard is where its maker said.
        return {
            "artifact_uri": places.version_root(info.name, info.version) if info.file_count else info.source
        }

    @_route(r, "GET", f"{_VERSIONS}/search", Permission.READ)
    def search(call: Call, body: SearchVersions) -> Json:
        paging.check_max_results(body.max_results, _MAX_VERSIONS)
        conditions, order = registry_search.of_versions(body.filter, body.order_by)
        start = paging.start_of(body.page_token)
        found = registered.search_versions(call.workspace_id, conditions, order, start, body.max_results + 1)
        page = [dataclasses.replace(info, aliases=[]) for info in found[: body.max_results]]
        answer: Json = {"model_versions": [model_version(info) for info in page]} if page else {}
        if len(found) > len(page):
            answer["next_page_token"] = paging.token_at(start + len(page))
        return answer


def _add_version_changes(
    r: Routes, registered: RegisteredModels, models: ModelService, sources: Sources
) -> None:
    @_route(r, "POST", f"{_VERSIONS}/create", Permission.MODEL_REGISTER)
    def create(call: Call, body: CreateVersion) -> Json:
        tags = {tag.key: tag.value for tag in body.tags}
        for key, value in tags.items():
            _check_tag(key, value)
        source = sources.find(call, body.source, body.run_id, body.model_id, tags)
        with _of_name(body.name):
            registered.get(call.workspace_id, body.name)
        given = ModelRegister(
            name=body.name,
            request_id=uuid.uuid4().hex,
            run_id=source.run_id or None,
            description=body.description,
            tags=tags,
            recorded={k: v for k, v in (("run_link", body.run_link), ("model_id", source.model_id)) if v},
            source=source.uri,
        )
        made = models.register(call.workspace_id, given, call.principal.name, source.entries)
        if source.model_id:
            sources.note(call, source.model_id, made)
        return {"model_version": model_version(made)}

    @_route(r, "PATCH", f"{_VERSIONS}/update", Permission.MODEL_REGISTER)
    def update(call: Call, body: UpdateVersion) -> Json:
        change = ModelUpdate(description=body.description or "")
        return {"model_version": model_version(_change(models, call, body, change))}

    @_route(r, "POST", f"{_VERSIONS}/transition-stage", Permission.MODEL_REGISTER)
    def move(call: Call, body: MoveVersion) -> Json:
        change = ModelUpdate(stage=body.stage, archive_existing=body.archive_existing_versions)
        return {"model_version": model_version(_change(models, call, body, change))}

    @_route(r, "DELETE", f"{_VERSIONS}/delete", Permission.CONTRIBUTE)
    def delete(call: Call, body: Version) -> Json:
        number = _number(body.version)
        with _of_version(body.name, body.version):
            models.trash(call.workspace_id, body.name, number, call.principal.name)
        return {}

    @_route(r, "POST", f"{_VERSIONS}/set-tag", Permission.MODEL_REGISTER)
    def set_tag(call: Call, body: VersionTag) -> Json:
        _check_tag(body.key, body.value)
        _change(models, call, body, ModelUpdate(set_tags={body.key: body.value}))
        return {}

    @_route(r, "DELETE", f"{_VERSIONS}/delete-tag", Permission.MODEL_REGISTER)
    def delete_tag(call: Call, body: VersionTag) -> Json:
        _change(models, call, body, ModelUpdate(remove_tags=[body.key]))
        return {}


def _route(r: Routes, method: str, path: str, permission: Permission) -> Callable[[H], H]:
    def register(handler: H) -> H:
        for prefix in _PREFIXES:
            route(r, method, f"{prefix}/{path}", permission)(handler)
        return handler

    return register


def _get(models: ModelService, call: Call, body: Version) -> ModelInfo:
    number = _number(body.version)
    with _of_version(body.name, body.version):
        return models.get(call.workspace_id, body.name, number)


def _change(models: ModelService, call: Call, body: Version, change: ModelUpdate) -> ModelInfo:
    number = _number(body.version)
    with _of_version(body.name, body.version):
        return models.update(call.workspace_id, body.name, number, change, call.principal.name)


def _number(version: str) -> int:
    try:
        number = int(version)
    except ValueError:
        raise errors.invalid(f"Parameter 'version' must be an integer, got '{version}'.") from None
    return number if 0 < number < 1 << 31 else 0  # which no version has


@contextmanager
def _of_name(name: str) -> Iterator[None]:
    """A name that is not there is refused in MLflow's words."""
    try:
        yield
    except NotFound as error:
        _check_name(name)
        if error.code != "no_such_model":
            raise
        raise errors.not_found(f"Registered Model with name={name} not found") from None


@contextmanager
def _of_version(name: str, version: str) -> Iterator[None]:
    try:
        yield
    except NotFound as error:
        _check_name(name)
        if error.code != "no_such_model":
            raise
        raise errors.not_found(f"Model Version (name={name}, version={version}) not found") from None


def _check_name(name: str) -> None:
    if not name.strip():
        raise errors.missing("name")
    if "/" in name or ":" in name:
        raise errors.invalid(f"Invalid model name '{name}'. Names cannot contain '/' or ':'.")
    try:
        rules.check_name(name)
    except Invalid as error:
        raise errors.invalid(error.detail) from None


def _check_tag(key: str, value: str) -> None:
    check_key(key)
    check_length("key", key, MAX_KEY)
    check_length("value", value, _MAX_TAG_VALUE)


def _taken(registered: RegisteredModels, call: Call, given: RegisteredModelCreate) -> errors.Refusal:
    there = registered.get(call.workspace_id, given.name)
    kinds = [
        "prompt" if tags.get(_PROMPT) == "true" else "registered model" for tags in (there.tags, given.tags)
    ]
    if kinds[0] != kinds[1]:
        return errors.exists(
            f"Tried to create a {kinds[1]} with name {given.name!r}, but the name is already taken by a {kinds[0]}. "
            "MLflow does not allow creating a model and a prompt with the same name."
        )
    return errors.exists(f"{kinds[1].title()} (name={given.name}) already exists.")


def _with_aliases(info: ModelInfo, aliases: dict[str, int]) -> ModelInfo:
    return dataclasses.replace(info, aliases=[a for a, version in aliases.items() if version == info.version])
