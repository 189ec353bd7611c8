"""What the yard does with registered models."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence

from starlette.requests import Request
from starlette.responses import Response

from modelyard.server.artifacts.service import ArtifactService, find
from modelyard.server.kernel import events
from modelyard.server.kernel.clock import Clock
from modelyard.server.kernel.db import Database, Tx
from modelyard.server.kernel.errors import Conflict, Invalid, NotFound
from modelyard.server.models import store
from modelyard.server.models.store import Search
from modelyard.wire.artifacts import FileEntry
from modelyard.wire.models import ModelInfo, ModelPage, ModelRegister, ModelUpdate

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
_MAX_PAGE = 1000


class ModelService:
    """Registers, finds and deletes models.

    What the slices above know comes by callables, plugged in when the yard is built: `run_files` gives a run's files
    under a path, `run_experiment` the name of its experiment, `run_is_within` whether a run is another or below it,
    `in_use` the endpoints that serve a version.
    """

    def __init__(self, db: Database, clock: Clock, artifacts: ArtifactService) -> None:
        self._db = db
        self._clock = clock
        self._artifacts = artifacts
        self.run_files: Callable[[str, str, str], Sequence[FileEntry]] = _no_files
        self.run_experiment: Callable[[str, str], str | None] = _no_experiment
        self.run_is_within: Callable[[str, str, str], bool] = _is_same
        self.in_use: Callable[[Tx, str, str, int], Sequence[str]] = _no_endpoints

    def register(self, workspace_id: str, body: ModelRegister, actor: str = "") -> ModelInfo:
        """A new version of a model; the same one again for a repeated `request_id`. Raises Invalid, NotFound."""
        check_name(body.name)
        if not body.request_id or len(body.request_id) > 200:
            raise Invalid(
                "bad_request_id", "Send a request_id of 1 to 200 characters, new for each registration."
            )
        with self._db.read() as tx:
            done = store.by_request(tx, workspace_id, body.request_id)
        if done is not None:
            return self._same_request(done, body)
        entries = self._entries(workspace_id, body)
        experiment = self.run_experiment(workspace_id, body.run_id) if body.run_id else None

        def write(tx: Tx) -> ModelInfo:
            version = store.lock_name(tx, workspace_id, body.name) + 1
            done = store.by_request(tx, workspace_id, body.request_id)
            if done is not None:
                return self._same_request(done, body)
            tree_id = self._artifacts.make_tree(tx, entries)
            self._artifacts.check_held(tx, entries, workspace_id)
            info = self._new(body, version, entries, tree_id, experiment)
            store.add(tx, workspace_id, body.request_id, info)
            self._publish(tx, "model.registered", workspace_id, info, actor)
            return info

        return self._db.write(write)

    def get(self, workspace_id: str, name: str, version: int | None = None) -> ModelInfo:
        """A version of a model; the latest without `version`. Raises NotFound."""
        with self._db.read() as tx:
            return self._with_endpoints(tx, workspace_id, self._found(tx, workspace_id, name, version))

    def list(self, workspace_id: str, wanted: Search) -> ModelPage:
        """Newest first. Raises Invalid for a page size that is out of bounds."""
        if not 1 <= wanted.limit <= _MAX_PAGE:
            raise Invalid("bad_limit", f"A page has 1 to {_MAX_PAGE} models, not {wanted.limit}.")
        with self._db.read() as tx:
            rows = store.search(tx, workspace_id, dataclasses.replace(wanted, limit=wanted.limit + 1))
            page = rows[: wanted.limit]
            items = [self._with_endpoints(tx, workspace_id, info) for _, info in page]
        return ModelPage(items, str(page[-1][0]) if len(rows) > len(page) else None)

    def update(
        self, workspace_id: str, name: str, version: int | None, body: ModelUpdate, actor: str = ""
    ) -> ModelInfo:
        """Only what is given changes. Raises Conflict for a property that has another value already."""

        def write(tx: Tx) -> ModelInfo:
            before = self._found(tx, workspace_id, name, version)
            for key, value in body.add_properties.items():
                if before.properties.get(key, value) != value:
                    raise Conflict(
                        "property_is_final",
                        f"Property {key!r} of model {before.id} is {before.properties[key]!r} and can't be changed: "
                        "properties are set once. Use a tag for what changes.",
                    )
            tags = {k: v for k, v in {**before.tags, **body.set_tags}.items() if k not in body.remove_tags}
            after = dataclasses.replace(
                before,
                tags=tags,
                properties={**before.properties, **body.add_properties},
                description=before.description if body.description is None else body.description,
                framework=body.framework or before.framework,
                framework_version=(
                    before.framework_version if body.framework_version is None else body.framework_version
                ),
            )
            store.change(tx, workspace_id, before, after)
            self._publish(tx, "model.updated", workspace_id, after, actor)
            return self._with_endpoints(tx, workspace_id, after)

        return self._db.write(write)

    def trash(self, workspace_id: str, name: str, version: int | None, actor: str = "") -> None:
        """Put a version into the trash. Raises Conflict naming the endpoints that serve it."""

        def write(tx: Tx) -> None:
            info = self._found(tx, workspace_id, name, version)
            serving = self.in_use(tx, workspace_id, name, info.version)
            if serving:
                named = " and ".join(repr(e) for e in serving)
                one = len(serving) == 1
                raise Conflict(
                    "model_in_use",
                    f"Model {name!r} version {info.version} is served by endpoint{'' if one else 's'} {named}. "
                    f"Delete or update the endpoint{'' if one else 's'} first.",
                    endpoints=list(serving),
                )
            store.set_deleted(tx, workspace_id, name, info.version, self._clock.now(), info.id)
            self._publish(tx, "model.deleted", workspace_id, info, actor)

        self._db.write(write)

    def restore(self, workspace_id: str, name: str, version: int, actor: str = "") -> ModelInfo:
        """Take a version out of the trash. Raises NotFound, Conflict."""

        def write(tx: Tx) -> ModelInfo:
            info = (
                store.get(tx, workspace_id, name, version, in_trash=True) if _NAME.fullmatch(name) else None
            )
            if info is None:
                return self._found(tx, workspace_id, name, version)  # raises
            if info.deleted_at is None:
                raise Conflict("not_in_trash", f"Model {info.id} is not in the trash.")
            store.set_deleted(tx, workspace_id, name, version, None, None)
            self._publish(tx, "model.restored", workspace_id, info, actor)
            return self._with_endpoints(tx, workspace_id, self._found(tx, workspace_id, name, version))

        return self._db.write(write)

    def files(self, workspace_id: str, name: str, version: int | None) -> Sequence[FileEntry]:
        """The files of a version, sorted by path. Raises NotFound."""
        return self._artifacts.tree(self.get(workspace_id, name, version).tree_id)

    def file(self, workspace_id: str, name: str, version: int | None, path: str) -> FileEntry:
        """One file of a version. Raises Invalid (path), NotFound."""
        info = self.get(workspace_id, name, version)
        return find(self._artifacts.tree(info.tree_id), path, f"Model {info.id}")

    def file_response(
        self, workspace_id: str, name: str, version: int | None, path: str, request: Request
    ) -> Response:
        """One file's bytes as the answer to a GET."""
        entry = self.file(workspace_id, name, version, path)
        return self._artifacts.file_response(entry, request, entry.path)

    def forget_workspace(self, tx: Tx, workspace_id: str) -> None:
        store.forget_workspace(tx, workspace_id)

    def _entries(self, workspace_id: str, body: ModelRegister) -> Sequence[FileEntry]:
        """The model's files: those given, or the run's, whose paths begin at the last part of `run_path`."""
        if body.entries:
            if body.run_path:
                raise Invalid("model_files_twice", "Send either entries or run_path, not both.")
            return body.entries
        if not body.run_id or not body.run_path:
            raise Invalid(
                "model_without_files", f"Model {body.name!r} needs files: entries, or run_id with run_path."
            )
        wanted = body.run_path.strip("/").removeprefix("./")
        wanted = "" if wanted == "." else wanted
        found = self.run_files(workspace_id, body.run_id, wanted)
        if not found:
            raise NotFound(
                "no_such_run_file",
                f"Run {body.run_id!r} has no file or folder {body.run_path!r}. What a script writes to ./outputs is there "
                "when the run has ended; until then use run.upload_file or run.upload_folder.",
            )
        parent = wanted.rpartition("/")[0]
        cut = len(parent) + 1 if parent else 0
        return [dataclasses.replace(e, path=e.path[cut:]) for e in found]

    def _new(
        self,
        body: ModelRegister,
        version: int,
        entries: Sequence[FileEntry],
        tree_id: str,
        experiment: str | None,
    ) -> ModelInfo:
        return ModelInfo(
            id=f"{body.name}:{version}",
            name=body.name,
            version=version,
            description=body.description,
            tags=body.tags,
            properties=body.properties,
            framework=body.framework,
            framework_version=body.framework_version,
            created_at=self._clock.now(),
            size_bytes=sum(e.size for e in entries),
            file_count=len(entries),
            tree_id=tree_id,
            is_folder=len(entries) > 1 or "/" in entries[0].path,
            user=body.user,
            run_id=body.run_id,
            experiment=experiment,
            recorded=body.recorded,
        )

    def _same_request(self, done: ModelInfo, body: ModelRegister) -> ModelInfo:
        if done.name != body.name:
            raise Conflict(
                "request_id_used",
                f"request_id {body.request_id!r} has registered model {done.id}; send a new one.",
            )
        return done

    def _found(self, tx: Tx, workspace_id: str, name: str, version: int | None) -> ModelInfo:
        known = _NAME.fullmatch(name) is not None
        info = store.get(tx, workspace_id, name, version) if known else None
        if info is not None:
            return info
        there = store.versions(tx, workspace_id, name) if known else []
        if there:
            shown = ", ".join(str(v) for v in there[-10:])
            raise NotFound("no_such_model", f"Model {name!r} has no version {version}. It has: {shown}.")
        raise NotFound(
            "no_such_model",
            f"There is no model {name[:300]!r} in this workspace. List them with 'modelyard model list'.",
        )

    def _with_endpoints(self, tx: Tx, workspace_id: str, info: ModelInfo) -> ModelInfo:
        serving = self.in_use(tx, workspace_id, info.name, info.version)
        return dataclasses.replace(info, endpoints=list(serving)) if serving else info

    def _publish(self, tx: Tx, kind: str, workspace_id: str, info: ModelInfo, actor: str) -> None:
        at = self._clock.now()
        events.publish(
            tx, at=at, workspace_id=workspace_id, kind=kind, subject=f"model:{info.id}", actor=actor
        )


def _no_files(_workspace_id: str, _run_id: str, _path: str) -> Sequence[FileEntry]:
    return ()


def _no_experiment(_workspace_id: str, _run_id: str) -> str | None:
    return None


def _is_same(_workspace_id: str, ancestor: str, run: str) -> bool:
    return ancestor == run


def _no_endpoints(_tx: Tx, _workspace_id: str, _name: str, _version: int) -> Sequence[str]:
    return ()


def check_name(name: str) -> None:
    """Raises Invalid unless the name is one that v1 takes."""
    if not _NAME.fullmatch(name):
        raise Invalid(
            "bad_model_name",
            f"Model name {name[:300]!r} can't be used: it needs 1 to 255 letters, digits, '.', '-' or '_' and begins "
            "with a letter or digit.",
        )
