"""Where the files of a new model version come from.

The yard follows only what lies in the workspace itself: a run, a logged model, another version. An address elsewhere
(s3://…) is noted and never opened; a path of a machine's file system is refused.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote_plus, urlsplit

from modelyard.server.kernel.errors import NotFound
from modelyard.server.kernel.http import Call
from modelyard.server.mlflow import errors, places
from modelyard.server.mlflow.artifact_files import ArtifactFiles
from modelyard.server.mlflow.places import LoggedPlace, Place, TracePlace, VersionPlace
from modelyard.server.models.registered import RegisteredModels
from modelyard.server.models.service import ModelService
from modelyard.wire.artifacts import FileEntry
from modelyard.wire.models import STAGES, ModelInfo

_PROMPT_SOURCES = ("dummy-source", "prompt-template")
_LOGGED_ID = re.compile(r"m-[0-9a-f]{32}")


@dataclass(frozen=True)
class Source:
    """What a version is made of. `entries` is empty where the files are not in the yard."""

    uri: str
    run_id: str
    model_id: str
    entries: Sequence[FileEntry]


class Sources:
    def __init__(self, files: ArtifactFiles, registered: RegisteredModels, models: ModelService) -> None:
        self._files = files
        self._registered = registered
        self._models = models

    def find(
        self, call: Call, source: str, run_id: str | None, model_id: str | None, tags: Mapping[str, str]
    ) -> Source:
        """Raises INVALID_PARAMETER_VALUE for a source that may not be followed, RESOURCE_DOES_NOT_EXIST."""
        if tags.get("mlflow.prompt.is_prompt", "").lower() == "true":
            if source not in _PROMPT_SOURCES:
                raise errors.invalid(
                    f"Invalid prompt source: '{source}'. Prompt sources must use an MLflow placeholder."
                )
            return Source(source, run_id or "", model_id or "", [])
        parts = urlsplit(source)
        if parts.scheme in ("", "file") or (len(parts.scheme) == 1):
            raise errors.invalid(
                f"Invalid model version source: '{source}'. To use a local path as a model version source, the run_id "
                "request parameter has to be specified and the local path has to be contained within the artifact "
                "directory of the run specified by the run_id."
            )
        _check_plain(source)
        if parts.scheme in ("models", "runs") and parts.netloc:
            raise _mismatch(source, "run_id")
        if parts.scheme == "models" and not _LOGGED_ID.fullmatch(parts.path.strip("/")):
            return self._of_version(call, source, parts.path.strip("/"), run_id, model_id)
        place = self._place(call, source, run_id)
        if place is None:
            if model_id:
                self._files.logged_place(call, model_id, "")
            return Source(source, run_id or "", model_id or "", [])
        return self._of_place(call, source, place, run_id or "", model_id or "")

    def note(self, call: Call, model_id: str, made: ModelInfo) -> None:
        """Let the logged model tell of the version that was made of it."""
        self._files.note_version(call, model_id, made.name, made.version)

    def _place(self, call: Call, source: str, run_id: str | None) -> Place | None:
        parts = urlsplit(source)
        if parts.scheme == "models":
            return self._files.logged_place(call, parts.path.strip("/"), "")
        if parts.scheme == "runs":
            named, _, path = parts.path.lstrip("/").partition("/")
            if not run_id or named != run_id:
                raise _mismatch(source, "run_id")
            try:
                return self._files.run_place(call, named, places.below(path))[1]
            except errors.Refusal:
                raise _mismatch(source, "run_id") from None
        return places.of_uri(source)

    def _of_place(self, call: Call, source: str, place: Place, run_id: str, model_id: str) -> Source:
        if isinstance(place, VersionPlace):
            info = self._version(call, source, place.name, place.version)
            files = self._models.files(call.workspace_id, info.name, info.version)
            return Source(source, run_id or info.run_id or "", model_id, files)
        if isinstance(place, LoggedPlace):
            if place.model_id != model_id:
                raise _mismatch(source, "model_id")
            run_id = run_id or self._files.run_of_logged(call, place)
        elif isinstance(place, TracePlace) or place.run_id != run_id:
            raise _mismatch(source, "run_id")
        return Source(source, run_id, model_id, self._files.entries(call, place))

    def _of_version(
        self, call: Call, source: str, path: str, run_id: str | None, model_id: str | None
    ) -> Source:
        info = self._named_version(call, source, path)
        own_model = str(info.recorded.get("model_id", ""))
        if (run_id is not None and run_id != (info.run_id or "")) or (
            model_id is not None and model_id != own_model
        ):
            raise errors.invalid(
                f"Invalid model version source: '{source}'. The run_id and model_id request parameters must match the "
                "referenced model version."
            )
        files = self._models.files(call.workspace_id, info.name, info.version)
        uri = f"models:/{info.name}/{info.version}"
        return Source(uri, run_id or info.run_id or "", own_model if model_id is None else model_id, files)

    def _named_version(self, call: Call, source: str, path: str) -> ModelInfo:
        """Of `name/version`, `name/stage`, `name/latest` or `name@alias`."""
        name, slash, which = path.partition("/")
        if not slash:
            name, at, alias = path.rpartition("@")
            if not at or not name or not alias:
                raise _mismatch(source, "model_id")
            try:
                version = self._registered.version_of(call.workspace_id, name, alias)
            except NotFound as error:
                raise errors.invalid(error.detail) from None
            return self._version(call, source, name, version)
        if which.isdigit():
            return self._version(call, source, name, int(which))
        if which.lower() == "latest":
            return self._version(call, source, name, None)
        try:
            latest = self._registered.get(call.workspace_id, name).latest
        except NotFound as error:
            raise errors.not_found(error.detail) from None
        for info in latest:
            if info.stage.lower() == which.lower() and info.stage in STAGES:
                return info
        raise errors.invalid(f"No versions of model with name '{name}' and stage '{which}' found")

    def _version(self, call: Call, source: str, name: str, version: int | None) -> ModelInfo:
        try:
            return self._models.get(call.workspace_id, name, version)
        except NotFound as error:
            raise errors.not_found(f"Invalid model version source: '{source}'. {error.detail}") from None


def _check_plain(source: str) -> None:
    """However often it is decoded, a source never leaves the place it names."""
    plain = source
    while (decoded := unquote_plus(plain)) != plain:
        plain = decoded
    path = re.sub("/+", "/", urlsplit(plain).path.rstrip("/"))
    if "\0" in path or ".." in plain.split("/") or (path and posixpath.normpath(path) != path):
        raise errors.invalid(
            f"Invalid model version source: '{source}'. If supplying a source as an http, https, local file path, ftp, "
            "objectstore, or mlflow-artifacts uri, an absolute path must be provided without relative path references "
            "present. Please provide an absolute path."
        )


def _mismatch(source: str, parameter: str) -> errors.Refusal:
    return errors.invalid(
        f"Invalid model version source: '{source}'. The {parameter} request parameter must identify the resource that "
        "contains the source."
    )
