"""The files behind artifact places: who may reach them, and where in the yard they are."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from modelyard.server.artifacts.service import ArtifactService
from modelyard.server.kernel.errors import NotFound
from modelyard.server.kernel.http import Call
from modelyard.server.mlflow import errors, logged_models, shapes, trace_routes
from modelyard.server.mlflow.access import RunAccess
from modelyard.server.mlflow.places import LoggedPlace, Place, RunPlace, TracePlace, VersionPlace
from modelyard.server.mlflow.traces import Traces
from modelyard.server.models.service import ModelService
from modelyard.wire.artifacts import FileEntry, FileInfo, FilesAdd

_VERSIONS_TAG = "mlflow.modelVersions"


class Holder(Protocol):
    """What keeps files of its own by an id: logged models, and traces."""

    def add_files(self, workspace_id: str, owner: str, body: FilesAdd, /) -> list[FileInfo]: ...

    def files_below(self, workspace_id: str, owner: str, directory: str, /) -> list[FileInfo]: ...

    def files_at(self, workspace_id: str, owner: str, path: str, /) -> list[FileEntry]: ...

    def remove_files(self, workspace_id: str, owner: str, path: str, /) -> None: ...


class ArtifactFiles:
    def __init__(
        self, artifacts: ArtifactService, access: RunAccess, models: ModelService, traces: Traces
    ) -> None:
        self._artifacts = artifacts
        self._traces = traces
        self._access = access
        self._runs = access.runs
        self._models = models

    def run_place(self, call: Call, run_id: str, path: str) -> tuple[str, RunPlace]:
        """The artifact URI of a run, and the place of `path` in it. Raises RESOURCE_DOES_NOT_EXIST, PERMISSION_DENIED."""
        self._access.check(call, run_id)
        try:
            info = self._runs.get(call.workspace_id, run_id, in_trash=True)
        except NotFound:
            raise errors.not_found(f"Run with id={run_id[:200]} not found") from None
        return shapes.run_root(info.experiment_id, info.id), RunPlace(info.experiment_id, info.id, path)

    def logged_place(self, call: Call, model_id: str, path: str) -> LoggedPlace:
        """The place of `path` in a logged model. Raises RESOURCE_DOES_NOT_EXIST."""
        model = self._runs.logged_models.get(call.workspace_id, model_id)
        return LoggedPlace(model.experiment_id, model.id, path)

    def root_of_logged(self, place: LoggedPlace) -> str:
        return shapes.model_root(place.experiment_id, place.model_id)

    def run_of_logged(self, call: Call, place: LoggedPlace) -> str:
        """The run that a logged model was made in; empty for none."""
        return self._runs.logged_models.get(call.workspace_id, place.model_id).source_run_id

    def note_version(self, call: Call, model_id: str, name: str, version: int) -> None:
        """A logged model tells of which registered versions it became, in the tag that MLflow's clients look for."""
        tags = self._runs.logged_models.get(call.workspace_id, model_id).tags
        try:
            known = json.loads(tags.get(_VERSIONS_TAG, "[]"))
        except ValueError:  # anybody may set the tag
            known = []
        known = known if isinstance(known, list) else []
        told = json.dumps([*known, {"name": name, "version": str(version)}])
        self._runs.logged_models.change(call.workspace_id, model_id, {_VERSIONS_TAG: told})

    def listed(self, call: Call, place: Place) -> tuple[str, list[FileInfo]]:
        """The directory that a place is, and all files below it; none for a file and for what is not there."""
        if isinstance(place, RunPlace):
            self._check_run(call, place)
            return place.path, self._runs.files.below(call.workspace_id, place.run_id, place.path)
        if isinstance(place, VersionPlace):
            start = f"{place.path}/" if place.path else ""
            found = [e for e in self._version_files(call, place) if e.path.startswith(start)]
            return place.path, [FileInfo(e.path, e.size, 0.0, e.hash) for e in found]
        holder, owner = self._holder(call, place)
        return place.path, holder.files_below(call.workspace_id, owner, place.path)

    def response(self, call: Call, place: Place) -> Response:
        """A file or a range of it. Raises RESOURCE_DOES_NOT_EXIST."""
        if isinstance(place, RunPlace):
            self._check_run(call, place)
            try:
                return self._runs.files.response(
                    call.workspace_id, place.run_id, _named(place.path), call.request
                )
            except NotFound:
                raise _no_artifact(place.path) from None
        if isinstance(place, VersionPlace):
            for entry in self._version_files(call, place):
                if entry.path == place.path:
                    return self._artifacts.file_response(entry, call.request, entry.path)
            raise _no_artifact(place.path)
        holder, owner = self._holder(call, place)
        for entry in holder.files_at(call.workspace_id, owner, _named(place.path)):
            if entry.path == place.path:
                return self._artifacts.file_response(entry, call.request, entry.path)
        raise _no_artifact(place.path)

    async def put(self, call: Call, place: Place, stream: AsyncIterator[bytes]) -> None:
        """Keep a body of any size as the file at `place`, durably."""
        await self.checked(call, place)
        hash_, size = await self._artifacts.receive_one(call.workspace_id, stream)
        await self.keep(call, place, hash_, size)

    async def put_of_run(
        self, call: Call, run_id: str, path: str, stream: AsyncIterator[bytes], most: int
    ) -> None:
        """The same by run and path, for a body of at most so many bytes."""
        _, place = await run_in_threadpool(self.run_place, call, run_id, path)
        await self.put(call, place, _at_most(stream, most))

    async def checked(self, call: Call, place: Place) -> Place:
        await run_in_threadpool(self.check_writable, call, place)
        return place

    async def keep(self, call: Call, place: Place, hash_: str, size: int) -> None:
        """Let a blob that is held be the file at `place`."""
        await run_in_threadpool(self._keep, call, place, hash_, size)

    def check_writable(self, call: Call, place: Place) -> None:
        """Raises RESOURCE_DOES_NOT_EXIST, PERMISSION_DENIED, INVALID_PARAMETER_VALUE."""
        if isinstance(place, VersionPlace):
            raise errors.invalid(
                f"Files of version {place.version} of registered model '{place.name}' can't be changed: a version keeps the "
                "files it was made of. Log to a run and register another version."
            )
        if isinstance(place, RunPlace):
            self._check_run(call, place)
        else:
            self._holder(call, place, writing=True)

    def delete(self, call: Call, place: Place) -> None:
        """A file, or a directory with all that is in it; what is not there is fine."""
        self.check_writable(call, place)
        if isinstance(place, RunPlace):
            self._runs.files.remove(call.workspace_id, place.run_id, place.path, call.principal.name)
        elif not isinstance(place, VersionPlace):
            holder, owner = self._holder(call, place)
            holder.remove_files(call.workspace_id, owner, place.path)

    def entries(self, call: Call, place: Place) -> Sequence[FileEntry]:
        """The file at a place, or all files below it, with paths that begin with the place's last part."""
        if isinstance(place, RunPlace):
            self._check_run(call, place)
            try:
                found: Sequence[FileEntry] = self._runs.files.under(
                    call.workspace_id, place.run_id, place.path
                )
            except NotFound:
                return []
            return _from_last_part(found, place.path)
        if isinstance(place, VersionPlace):
            return self._models.files(call.workspace_id, place.name, place.version)
        holder, owner = self._holder(call, place)
        found = holder.files_at(call.workspace_id, owner, place.path)
        if place.path or not isinstance(place, LoggedPlace):
            return _from_last_part(found, place.path)
        name = self._runs.logged_models.get(call.workspace_id, owner).name
        return [dataclasses.replace(entry, path=f"{name}/{entry.path}") for entry in found]

    def _keep(self, call: Call, place: Place, hash_: str, size: int) -> None:
        assert not isinstance(place, VersionPlace)
        body = FilesAdd([FileEntry(_named(place.path), hash_, size)], overwrite=True)
        if isinstance(place, RunPlace):
            self._runs.files.add(call.workspace_id, place.run_id, body, call.principal.name)
        else:
            holder, owner = self._holder(call, place)
            holder.add_files(call.workspace_id, owner, body)

    def _holder(
        self, call: Call, place: LoggedPlace | TracePlace, writing: bool = False
    ) -> tuple[Holder, str]:
        """What keeps the files of a logged model or a trace, and its id. Raises RESOURCE_DOES_NOT_EXIST, PERMISSION_DENIED."""
        holder: Holder
        if isinstance(place, LoggedPlace):
            model = self._runs.logged_models.get(call.workspace_id, place.model_id)
            if writing:
                logged_models.check_maker(self._access, call, model.source_run_id)
            holder, owner, experiment_id = self._runs.logged_models, model.id, model.experiment_id
        else:
            trace = self._traces.get(call.workspace_id, place.trace_id)
            if writing:
                trace_routes.check_experiment(self._access, call, trace.experiment_id)
            holder, owner, experiment_id = self._traces, trace.id, trace.experiment_id
        if experiment_id != place.experiment_id:
            raise errors.not_found(
                f"No such artifact: {owner} is of experiment {experiment_id}, not {place.experiment_id}."
            )
        return holder, owner

    def _check_run(self, call: Call, place: RunPlace) -> None:
        _, there = self.run_place(call, place.run_id, "")
        if there.experiment_id != place.experiment_id:
            raise errors.not_found(
                f"No such artifact: run {place.run_id} is of experiment {there.experiment_id}, not {place.experiment_id}."
            )

    def _version_files(self, call: Call, place: VersionPlace) -> list[FileEntry]:
        """With paths from where the model begins: inside its one folder, if it has one."""
        found = self._models.files(call.workspace_id, place.name, place.version)
        tops = {entry.path.partition("/")[0] for entry in found}
        top = f"{next(iter(tops))}/" if len(tops) == 1 else ""
        if not all(entry.path.startswith(top) for entry in found):
            return list(found)
        return [dataclasses.replace(entry, path=entry.path[len(top) :]) for entry in found]


def _from_last_part(found: Sequence[FileEntry], path: str) -> list[FileEntry]:
    cut = path.rfind("/") + 1
    return [dataclasses.replace(entry, path=entry.path[cut:]) for entry in found]


def _named(path: str) -> str:
    if not path:
        raise errors.invalid("Invalid path: it names a directory. Name a file in it.")
    return path


def _no_artifact(path: str) -> errors.Refusal:
    return errors.not_found(f"No such artifact: '{path}'")


async def _at_most(stream: AsyncIterator[bytes], most: int) -> AsyncIterator[bytes]:
    size = 0
    async for piece in stream:
        size += len(piece)
        if size > most:
            raise errors.invalid("Artifact size is too large. Max size is 10MB.")
        yield piece
    if not size:
        raise errors.invalid("Request must specify data.")
