"""What a web service does: it is asked for, takes over revision by revision, and its node tells of it."""

from __future__ import annotations

import dataclasses
import secrets
import string
from typing import Any

import msgspec

from modelyard.server.artifacts.service import ArtifactService
from modelyard.server.endpoints import mlflow_model, rules, store
from modelyard.server.endpoints.lifecycle import standing
from modelyard.server.endpoints.node_work import WAITING, NodeServices
from modelyard.server.environments.service import EnvironmentService
from modelyard.server.kernel import events
from modelyard.server.kernel.clock import Clock
from modelyard.server.kernel.db import Database, Tx
from modelyard.server.kernel.errors import Conflict, Invalid, NotFound
from modelyard.server.kernel.events import Hub
from modelyard.server.kernel.ids import new_id
from modelyard.server.kernel.settings import Settings
from modelyard.server.models.service import ModelService
from modelyard.wire.artifacts import FileEntry, Offset
from modelyard.wire.endpoints import (
    EndpointCreate,
    EndpointInfo,
    EndpointKeys,
    EndpointList,
    EndpointUpdate,
    KeyRegenerate,
    ServiceReport,
    ServiceSpec,
    ServiceState,
)
from modelyard.wire.environments import EnvironmentSpec
from modelyard.wire.models import ModelInfo

_LOG_ANSWER_BYTES = 4 * 1024 * 1024
_KEY_CHARS = string.ascii_letters + string.digits


class EndpointService:
    def __init__(
        self,
        db: Database,
        clock: Clock,
        hub: Hub,
        artifacts: ArtifactService,
        models: ModelService,
        environments: EnvironmentService,
        settings: Settings,
    ) -> None:
        self._db = db
        self._clock = clock
        self._hub = hub
        self._artifacts = artifacts
        store.hold(artifacts.garbage.holders)
        self._models = models
        self._environments = environments
        self._host = settings.host

    def create(self, workspace_id: str, workspace: str, body: EndpointCreate) -> EndpointInfo:
        """A new web service, or with `overwrite` a new revision of the one of this name.

        `workspace` is the workspace's name. Raises Conflict `endpoint_exists`; Invalid for what can't work.
        """
        rules.check_create(body)
        with self._db.read() as tx:
            if not body.overwrite and store.by_name(tx, workspace_id, body.name) is not None:
                raise _exists(body.name)
        revision = self._settle(workspace_id, body.spec)
        endpoint_id = new_id()

        def work(tx: Tx) -> None:
            now = self._clock.now()
            row = store.by_name(tx, workspace_id, body.name)
            if row is not None:
                if not body.overwrite:
                    raise _exists(body.name)
                generation = store.revision(tx, row.id, row.revision).spec.generation + 1
                given = {
                    "compute_type": body.compute_type,
                    "description": body.description,
                    "tags": body.tags,
                    "properties": body.properties,
                    **_keys(body.primary_key, body.secondary_key, row),
                }
                self._revise(tx, row, _with(revision, generation=generation), now, **given)
                return
            self._check_port(tx, "", revision.spec.port)
            store.add(
                tx,
                id=endpoint_id,
                workspace_id=workspace_id,
                workspace=workspace,
                name=body.name,
                compute_type=body.compute_type,
                description=body.description,
                tags=body.tags,
                properties=body.properties,
                **_keys(body.primary_key, body.secondary_key),
                port=revision.spec.port,
                state=ServiceState.TRANSITIONING.value,
                state_reason=WAITING,
                revision=1,
                replicas_ready=0,
                telemetry={},
                seen_at=now,
                created_at=now,
                updated_at=now,
                version=1,
            )
            store.add_revision(tx, endpoint_id, 1, revision, now)
            events.publish(
                tx,
                at=now,
                workspace_id=workspace_id,
                kind="endpoint.created",
                subject=endpoint_id,
                name=body.name,
            )

        self._db.write(work)
        return self.get(workspace_id, body.name)

    def get(self, workspace_id: str, name: str) -> EndpointInfo:
        with self._db.read() as tx:
            return self._info(tx, _found(tx, workspace_id, name))

    def all(self, workspace_id: str) -> EndpointList:
        with self._db.read() as tx:
            return EndpointList([self._info(tx, row) for row in store.in_workspace(tx, workspace_id)])

    async def wait(self, workspace_id: str, name: str, version: int, wait_s: float) -> EndpointInfo:
        """The endpoint as soon as its version is above `version`, or as it is after `wait_s`."""
        last: list[EndpointInfo] = []

        def look() -> EndpointInfo | None:
            last[:] = [self.get(workspace_id, name)]
            return last[0] if last[0].version > version else None

        return await self._hub.wait_for({"endpoint"}, look, wait_s) or last[0]

    def update(self, workspace_id: str, name: str, body: EndpointUpdate) -> EndpointInfo:
        """Change labels at once; a new `spec`, `reload` or other authentication makes a new revision."""
        rules.check_update(body)
        settled = self._settle(workspace_id, body.spec) if body.spec else None

        def work(tx: Tx) -> None:
            now = self._clock.now()
            row = _found(tx, workspace_id, name)
            current = store.revision(tx, row.id, row.revision)
            revision = current
            if settled is not None or body.reload:
                revision = _with(settled or current, generation=current.spec.generation + int(body.reload))
            if body.auth_enabled is not None and body.auth_enabled != revision.spec.auth_enabled:
                revision = _with(revision, auth_enabled=body.auth_enabled)
            labels = _labels(row, body)
            if revision is not current:
                self._revise(tx, row, revision, now, **labels)
            elif labels:
                store.change(tx, row, now, **labels)

        self._db.write(work)
        return self.get(workspace_id, name)

    def delete(self, workspace_id: str, name: str) -> None:
        """The name is free at once; the node ends the processes."""
        self._db.write(lambda tx: store.remove(tx, _found(tx, workspace_id, name), self._clock.now()))

    def keys(self, workspace_id: str, name: str) -> EndpointKeys:
        with self._db.read() as tx:
            row = _found(tx, workspace_id, name)
            _check_auth(row, store.revision(tx, row.id, row.revision).spec)
            return EndpointKeys(row.primary_key, row.secondary_key)

    def regenerate_key(self, workspace_id: str, name: str, body: KeyRegenerate) -> EndpointKeys:
        """Replace one key. It takes effect with the revision this makes, whose processes are those that run."""
        which = body.key.lower()
        if which not in ("primary", "secondary"):
            raise Invalid("bad_key_name", f"There is no key {body.key!r}; say 'primary' or 'secondary'.")
        rules.check_key(which, body.value)

        def work(tx: Tx) -> EndpointKeys:
            row = _found(tx, workspace_id, name)
            revision = store.revision(tx, row.id, row.revision)
            _check_auth(row, revision.spec)
            keys = {"primary_key": row.primary_key, "secondary_key": row.secondary_key}
            keys[f"{which}_key"] = body.value or _new_key()
            self._revise(tx, row, revision, self._clock.now(), **keys)
            return EndpointKeys(keys["primary_key"], keys["secondary_key"])

        return self._db.write(work)

    def report(self, workspace_id: str, name: str, report: ServiceReport) -> None:
        """What a node says of one revision. Of any but the newest only the sign of life counts."""

        def work(tx: Tx) -> None:
            now = self._clock.now()
            row = _found(tx, workspace_id, name)
            _check_same(row, report.endpoint_id)
            if report.revision > row.revision:
                raise Conflict(
                    "unknown_revision",
                    f"Endpoint {name!r} is at revision {row.revision}; there is no {report.revision} to report on.",
                )
            store.note_telemetry(tx, row.id, report.telemetry or dict(row.telemetry), now)
            if report.revision == row.revision:
                self._take_report(tx, row, report, now)

        self._db.write(work)

    def append_log(
        self, workspace_id: str, name: str, offset: int, data: bytes, endpoint_id: str = ""
    ) -> Offset:
        """Append-only by offset, as every stream: known bytes are skipped, a gap is refused."""

        def work(tx: Tx) -> Offset:
            row = _found(tx, workspace_id, name)
            _check_same(row, endpoint_id)
            end = store.log_end(tx, row.id)
            if offset > end:
                raise Conflict(
                    "stream_gap", f"The log of {name!r} ends at byte {end}, not {offset}.", offset=end
                )
            fresh = data[end - offset :]
            if fresh:
                store.append_log(tx, row.id, end, fresh)
                events.touch(tx, row.id)
            return Offset(end + len(fresh))

        return self._db.write(work)

    def log_tail(self, workspace_id: str, name: str, lines: int) -> tuple[bytes, int]:
        """The last lines, and the byte at which the log goes on."""
        with self._db.read() as tx:
            endpoint_id = _found(tx, workspace_id, name).id
            return store.log_tail(tx, endpoint_id, lines), store.log_end(tx, endpoint_id)

    async def wait_log(
        self, workspace_id: str, name: str, offset: int, wait_s: float
    ) -> tuple[bytes, int] | None:
        """What is kept of the log from `offset` on and where it ends, as soon as there is something; None after `wait_s`."""

        def look() -> tuple[bytes, int] | None:
            with self._db.read() as tx:
                data, end = store.log_from(tx, _found(tx, workspace_id, name).id, offset, _LOG_ANSWER_BYTES)
            return (data, end) if data else None

        with self._db.read() as tx:
            endpoint_id = _found(tx, workspace_id, name).id
        return await self._hub.wait_for({endpoint_id}, look, wait_s)

    def using_model(self, tx: Tx, workspace_id: str, name: str, version: int) -> list[str]:
        return store.using_model(tx, workspace_id, f"{name}:{version}")

    def serving_in(self, tx: Tx, workspace_id: str) -> str:
        """A sentence naming web services that keep the workspace from being deleted; empty when there are none."""
        names = [row.name for row in store.in_workspace(tx, workspace_id)]
        shown = ", ".join(repr(n) for n in names[:3]) + (", …" if len(names) > 3 else "")
        return f"Web services are there ({shown}); delete them first." if names else ""

    def forget_workspace(self, tx: Tx, workspace_id: str) -> None:
        """Its services end with the workspace."""
        for row in store.in_workspace(tx, workspace_id):
            store.remove(tx, row, self._clock.now())

    def source(self) -> NodeServices:
        """What compute asks for the work of a node."""
        return NodeServices(self._db, self._clock, self._host)

    def _settle(self, workspace_id: str, spec: ServiceSpec) -> store.Revision:
        """Look up everything the spec names, so that what is stored can't change under it."""
        rules.check_spec(spec)
        models = [self._models.get(workspace_id, *rules.split_model_id(each)) for each in spec.models]
        if spec.entry_script:
            snapshot = self._artifacts.snapshot(workspace_id, spec.snapshot_id)
            rules.check_entry_script(spec.entry_script, self._artifacts.tree(snapshot.id))
            wanted = spec.environment
        else:
            wanted = self._without_code(models, spec.environment)
        environment = self._environments.resolve(workspace_id, wanted) if wanted else None
        settled = dataclasses.replace(
            spec, models=[model.id for model in models], environment=environment, generation=0
        )
        return store.Revision(
            settled,
            {model.id: model.tree_id for model in models},
            {model.id: model.framework for model in models},
        )

    def _without_code(
        self, models: list[ModelInfo], environment: EnvironmentSpec | None
    ) -> EnvironmentSpec | None:
        """The environment of a service without an entry script. Raises Invalid where the models need one."""
        if len(models) == 1:
            entries = self._artifacts.tree(models[0].tree_id)
            root = mlflow_model.root_of(entries)
            if root is not None:
                made = mlflow_model.environment_of(models[0].id, entries, root, self._read)
                return environment or made
        rules.check_no_code([model.framework for model in models])
        return environment

    def _read(self, entry: FileEntry) -> bytes:
        return b"".join(self._artifacts.read(entry.hash))

    def _revise(self, tx: Tx, row: store.Row, revision: store.Revision, now: float, **values: Any) -> None:
        """The newest revision is now this one. The port stays unless another is asked for."""
        port = revision.spec.port or row.port
        self._check_port(tx, row.id, port)
        number = row.revision + 1
        store.move(
            tx,
            row,
            ServiceState.TRANSITIONING,
            WAITING,
            now,
            revision=number,
            port=port,
            error=None,
            lost_from=None,
            seen_at=now,
            **values,
        )
        store.add_revision(tx, row.id, number, revision, now)

    def _check_port(self, tx: Tx, endpoint_id: str, port: int) -> None:
        for other in store.everywhere(tx) if port else ():
            if other.port == port and other.id != endpoint_id:
                raise Conflict(
                    "port_taken", f"Port {port} belongs to endpoint {other.name!r}. Choose another, or 0."
                )

    def _take_report(self, tx: Tx, row: store.Row, report: ServiceReport, now: float) -> None:
        stands = standing(report, row.active_revision)
        error = msgspec.to_builtins(stands.error) if stands.error else None
        news = {
            "active_revision": stands.active_revision,
            "error": error,
            "replicas_ready": report.replicas_ready,
            "port": report.port or row.port,
        }
        said = {**news, "state": stands.state.value, "state_reason": stands.reason, "lost_from": None}
        if any(getattr(row, key) != value for key, value in said.items()):
            store.move(tx, row, stands.state, stands.reason, now, **news, lost_from=None)

    def _info(self, tx: Tx, row: store.Row) -> EndpointInfo:
        host = "127.0.0.1" if self._host in ("", "0.0.0.0", "::") else self._host  # compared, not bound
        host = f"[{host}]" if ":" in host else host
        address = f"http://{host}:{row.port}" if row.port else ""
        return store.info(row, store.revision(tx, row.id, row.revision).spec, address)


def _with(revision: store.Revision, **fields: Any) -> store.Revision:
    return dataclasses.replace(revision, spec=dataclasses.replace(revision.spec, **fields))


def _found(tx: Tx, workspace_id: str, name: str) -> store.Row:
    row = store.by_name(tx, workspace_id, name)
    if row is None:
        raise NotFound("no_such_endpoint", f"There is no web service {name!r} in this workspace.")
    return row


def _exists(name: str) -> Conflict:
    return Conflict(
        "endpoint_exists",
        f"A web service {name!r} exists already. Update or delete it, or deploy with overwrite.",
    )


def _check_same(row: store.Row, endpoint_id: str) -> None:
    if endpoint_id and endpoint_id != row.id:
        raise Conflict(
            "other_endpoint",
            f"The web service {row.name!r} that this speaks of was deleted; another has its name now.",
        )


def _check_auth(row: store.Row, spec: ServiceSpec) -> None:
    if not spec.auth_enabled:
        raise Conflict(
            "auth_disabled",
            f"Web service {row.name!r} has no keys: authentication is off. Turn it on by an update.",
        )


def _new_key() -> str:
    return "".join(secrets.choice(_KEY_CHARS) for _ in range(32))


def _keys(primary: str, secondary: str, row: store.Row | None = None) -> dict[str, str]:
    """Given keys, else those there are, else new ones; made even with authentication off, for when it is on."""
    return {
        "primary_key": primary or (row.primary_key if row is not None else _new_key()),
        "secondary_key": secondary or (row.secondary_key if row is not None else _new_key()),
    }


def _labels(row: store.Row, body: EndpointUpdate) -> dict[str, Any]:
    """The columns that change. Raises Conflict for a property that has another value already."""
    changed: dict[str, Any] = {}
    if body.description is not None:
        changed["description"] = body.description
    if body.set_tags or body.remove_tags:
        kept = {key: value for key, value in row.tags.items() if key not in body.remove_tags}
        changed["tags"] = {**kept, **body.set_tags}
    for key, value in body.add_properties.items():
        if row.properties.get(key, value) != value:
            raise Conflict(
                "property_exists",
                f"Property {key!r} of {row.name!r} is {row.properties[key]!r} and stays so.",
            )
    if body.add_properties:
        changed["properties"] = {**row.properties, **body.add_properties}
    return changed
