"""What the yard does with registered models."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from starlette.requests import Request
from starlette.responses import Response

from modelyard.server.artifacts.service import ArtifactService, find
from modelyard.server.kernel import events
from modelyard.server.kernel.clock import Clock
from modelyard.server.kernel.db import Database, Tx
from modelyard.server.kernel.errors import Conflict, Invalid, NotFound
from modelyard.server.models import purge, registered_store, rules, store
from modelyard.server.models.store import Search
from modelyard.wire.artifacts import FileEntry
from modelyard.wire.models import ModelInfo, ModelPage, ModelRegister, ModelUpdate

MAX_PAGE = 1000


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
        store.hold(artifacts.garbage.holders)
        self.run_files: Callable[[str, str, str], Sequence[FileEntry]] = _no_files
        self.run_experiment: Callable[[str, str], str | None] = _no_experiment
        self.run_is_within: Callable[[str, str, str], bool] = _is_same
        self.in_use: Callable[[Tx, str, str, int], Sequence[str]] = _no_endpoints

    def register(
        self,
        workspace_id: str,
        body: ModelRegister,
        actor: str = "",
        entries: Sequence[FileEntry] | None = None,
    ) -> ModelInfo:
        """A new version of a model; the same one again for a repeated `request_id`. Raises Invalid, NotFound.

        `entries` given: the files, of which there may be none, found by a caller who knows where the source is.
        """
        rules.check_name(body.name)
        if not body.request_id or len(body.request_id) > 200:
            raise Invalid(
                "bad_request_id", "Send a request_id of 1 to 200 characters, new for each registration."
            )
        with self._db.read() as tx:
            done = store.by_request(tx, workspace_id, body.request_id)
        if done is not None:
            return self._same_request(done, body)
        found = self._entries(workspace_id, body) if entries is None else entries
        experiment = self.run_experiment(workspace_id, body.run_id) if body.run_id else None

        def write(tx: Tx) -> ModelInfo:
            version = store.lock_name(tx, workspace_id, body.name) + 1
            done = store.by_request(tx, workspace_id, body.request_id)
            if done is not None:
                return self._same_request(done, body)
            tree_id = self._artifacts.make_tree(tx, found)
            self._artifacts.check_held(tx, found, workspace_id)
            info = self._new(body, version, found, tree_id, experiment)
            registered_store.register(tx, workspace_id, body.name, info.created_at)
            store.add(tx, workspace_id, body.request_id, info)
            self._publish(tx, "model.registered", workspace_id, info, actor)
            return info

        return self._db.write(write)

    def get(self, workspace_id: str, name: str, version: int | None = None) -> ModelInfo:
        """A version of a model; the latest without `version`. Raises NotFound."""
        with self._db.read() as tx:
            return self._told(tx, workspace_id, [self.found(tx, workspace_id, name, version)])[0]

    def list(self, workspace_id: str, wanted: Search) -> ModelPage:
        """Newest first. Raises Invalid for a page size that is out of bounds."""
        if not 1 <= wanted.limit <= MAX_PAGE:
            raise Invalid("bad_limit", f"A page has 1 to {MAX_PAGE} models, not {wanted.limit}.")
        with self._db.read() as tx:
            rows = store.search(tx, workspace_id, dataclasses.replace(wanted, limit=wanted.limit + 1))
            page = rows[: wanted.limit]
            items = self._told(tx, workspace_id, [info for _, info in page])
        return ModelPage([*items], str(page[-1][0]) if len(rows) > len(page) else None)

    def update(
        self, workspace_id: str, name: str, version: int | None, body: ModelUpdate, actor: str = ""
    ) -> ModelInfo:
        """Only what is given changes. Raises Conflict for a property that has another value already."""

        def write(tx: Tx) -> ModelInfo:
            now = self._clock.now()
            before = self.found(tx, workspace_id, name, version)
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
                stage=before.stage if body.stage is None else rules.stage(body.stage),
            )
            if dataclasses.replace(after, tags=before.tags, properties=before.properties) != before:
                after = dataclasses.replace(
                    after, updated_at=now
                )  # labels alone do not count, as MLflow has it
            if body.archive_existing:
                rules.check_archives(after.stage)
                store.archive_stage(tx, workspace_id, after.stage, after, now)
            store.change(tx, workspace_id, before, after)
            if after.stage != before.stage:
                registered_store.change(tx, workspace_id, name, updated_at=now)
            self._publish(tx, "model.updated", workspace_id, after, actor)
            return self._told(tx, workspace_id, [after])[0]

        return self._db.write(write)

    def trash(self, workspace_id: str, name: str, version: int | None, actor: str = "") -> None:
        """Put a version into the trash. Raises Conflict naming the endpoints that serve it."""

        def write(tx: Tx) -> None:
            info = self.found(tx, workspace_id, name, version)
            self.put_away(tx, workspace_id, info, info.id)
            registered_store.change(tx, workspace_id, name, updated_at=self._clock.now())
            self._publish(tx, "model.deleted", workspace_id, info, actor)

        self._db.write(write)

    def put_away(self, tx: Tx, workspace_id: str, info: ModelInfo, deleted_with: str) -> None:
        """Into the trash with it, without its aliases. Raises Conflict."""
        self.check_unused(tx, workspace_id, info.name, info.version)
        store.set_deleted(tx, workspace_id, info.name, info.version, self._clock.now(), deleted_with)
        store.drop_aliases(tx, workspace_id, info.name, info.version)

    def restore(self, workspace_id: str, name: str, version: int, actor: str = "") -> ModelInfo:
        """Take a version out of the trash. Raises NotFound, Conflict."""

        def write(tx: Tx) -> ModelInfo:
            info = None
            if not rules.name_problem(name):
                info = store.get(tx, workspace_id, name, version, in_trash=True)
            if info is None:
                return self.found(tx, workspace_id, name, version)  # raises
            if info.deleted_at is None:
                raise Conflict("not_in_trash", f"Model {info.id} is not in the trash.")
            if purge.is_condemned(tx, workspace_id, name, version):
                raise Conflict(
                    "deleted_for_good", f"Model {info.id} is being deleted for good and can't come back."
                )
            store.set_deleted(tx, workspace_id, name, version, None, None)
            registered_store.register(tx, workspace_id, name, self._clock.now())
            self._publish(tx, "model.restored", workspace_id, info, actor)
            return self._told(tx, workspace_id, [self.found(tx, workspace_id, name, version)])[0]

        return self._db.write(write)

    def check_unused(self, tx: Tx, workspace_id: str, name: str, version: int) -> None:
        """Raises Conflict naming the endpoints that serve this version."""
        serving = self.in_use(tx, workspace_id, name, version)
        if serving:
            named = " and ".join(repr(e) for e in serving)
            one = len(serving) == 1
            raise Conflict(
                "model_in_use",
                f"Model {name!r} version {version} is served by endpoint{'' if one else 's'} {named}. "
                f"Delete or update the endpoint{'' if one else 's'} first.",
                endpoints=list(serving),
            )

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
        now = self._clock.now()
        return ModelInfo(
            id=f"{body.name}:{version}",
            name=body.name,
            version=version,
            description=body.description,
            tags=body.tags,
            properties=body.properties,
            framework=body.framework,
            framework_version=body.framework_version,
            created_at=now,
            updated_at=now,
            size_bytes=sum(e.size for e in entries),
            file_count=len(entries),
            tree_id=tree_id,
            is_folder=len(entries) != 1 or "/" in entries[0].path,
            user=body.user,
            run_id=body.run_id,
            experiment=experiment,
            recorded=body.recorded,
            source=body.source,
        )

    def _same_request(self, done: ModelInfo, body: ModelRegister) -> ModelInfo:
        if done.name != body.name:
            raise Conflict(
                "request_id_used",
                f"request_id {body.request_id!r} has registered model {done.id}; send a new one.",
            )
        return done

    def found(self, tx: Tx, workspace_id: str, name: str, version: int | None) -> ModelInfo:
        """A version without what other tables tell of it. Raises NotFound."""
        known = not rules.name_problem(name)
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

    def _told(self, tx: Tx, workspace_id: str, infos: Sequence[ModelInfo]) -> Sequence[ModelInfo]:
        """With what other tables tell of them: aliases, endpoints."""
        told = store.with_aliases(tx, workspace_id, infos)
        serving = [self.in_use(tx, workspace_id, info.name, info.version) for info in told]
        return [
            dataclasses.replace(i, endpoints=list(e)) if e else i for i, e in zip(told, serving, strict=True)
        ]

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
