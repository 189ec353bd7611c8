"""What a yard does with environments: keeps them by name and version, and shows how their builds go."""

from __future__ import annotations

import builtins
import dataclasses

from modelyard.server.environments import curated, rules, store
from modelyard.server.kernel import events
from modelyard.server.kernel.clock import Clock
from modelyard.server.kernel.db import Database, Tx
from modelyard.server.kernel.errors import Conflict, NotFound, TooLarge, Unavailable
from modelyard.server.kernel.events import Hub
from modelyard.wire.artifacts import Offset
from modelyard.wire.environment_hash import content_hash, definition_hash, names_only
from modelyard.wire.environments import BuildInfo, BuildReport, BuildStatus, EnvironmentInfo, EnvironmentSpec

MAX_BUILD_LOG_BYTES = 64 * 1024 * 1024
_READ_BYTES = 1024 * 1024
_BUILDS_SHOWN = 500
_TRIES = 20  # registrations of one name at the same moment, on PostgreSQL


class EnvironmentService:
    """Registered environments of every workspace, and the builds of all nodes."""

    def __init__(self, db: Database, clock: Clock, hub: Hub) -> None:
        self._db = db
        self._clock = clock
        self._hub = hub

    def register(self, workspace_id: str, spec: EnvironmentSpec, actor: str = "") -> EnvironmentInfo:
        """The next version, or the one given. Equal to what is there: that one, and nothing is made.

        Raises Invalid, Conflict (the version is there with other content).
        """
        rules.check_registration(spec)
        definition = definition_hash(spec)

        def work(tx: Tx) -> EnvironmentInfo | None:
            there = store.one(tx, workspace_id, spec.name, spec.version)
            if there is not None and there[1] == definition:
                return there[0]
            if there is not None and spec.version:
                raise Conflict(
                    "environment_version_exists",
                    f"Environment {spec.name!r} version {spec.version} is there with other content. Versions do not "
                    "change: leave the version out to get the next one, or choose another.",
                )
            position = store.last_position(tx, workspace_id, spec.name) + 1
            version = spec.version or _next_version(tx, workspace_id, spec.name)
            info = EnvironmentInfo(
                dataclasses.replace(spec, version=version), content_hash(spec), self._clock.now()
            )
            if not store.add(tx, workspace_id, info, position, definition):
                return None
            events.publish(
                tx, at=info.created_at, workspace_id=workspace_id, kind="environment.registered", subject=spec.name,
                actor=actor, version=version,
            )  # fmt: skip
            return info

        for _ in range(_TRIES):
            made = self._db.write(work)
            if made is not None:
                return made
        raise Unavailable(
            "environment_busy", f"Environment {spec.name!r} is being registered by others. Try again."
        )

    def get(self, workspace_id: str, name: str, version: str = "") -> EnvironmentInfo:
        """`version` empty or `latest`: the newest. A name that was not registered may be a curated one. Raises NotFound."""
        version = "" if version == "latest" else version
        known: list[str] = []
        if rules.is_name(name) and (not version or rules.is_version(version)):
            with self._db.read() as tx:
                found = store.one(tx, workspace_id, name, version)
                if found is not None:
                    return found[0]
                known = [info.spec.version for info in store.versions(tx, workspace_id, name)]
        if not known:
            spec = curated.find(name)
            if spec is not None and version in ("", spec.version):
                return EnvironmentInfo(spec, content_hash(spec), 0.0)
            if spec is not None:
                known = [spec.version]
        if known:
            raise NotFound(
                "no_such_environment_version",
                f"Environment {name!r} has no version {version[:80]!r}. It has {', '.join(known[-20:])}.",
            )
        raise NotFound(
            "no_such_environment",
            f"There is no environment {name[:80]!r}. List them with 'modelyard environment list' or register it.",
        )

    def list(self, workspace_id: str, name: str = "") -> list[EnvironmentInfo]:
        """The latest of each name, curated ones last; with `name` every version of it, oldest first."""
        with self._db.read() as tx:
            if name:
                return store.versions(tx, workspace_id, name) if rules.is_name(name) else []
            own = store.latest_of_each(tx, workspace_id)
        specs = [spec for spec in map(curated.find, curated.LISTED) if spec is not None]
        return own + [EnvironmentInfo(spec, content_hash(spec), 0.0) for spec in specs]

    def resolve(self, workspace_id: str, spec: EnvironmentSpec) -> EnvironmentSpec:
        """What a run or web service will get: a spec that only names an environment is filled, any other is checked.

        Variables given beside the name go over the registered ones. Raises NotFound, Invalid.
        """
        if not names_only(spec):
            rules.check_content(spec)
            return spec
        found = self.get(workspace_id, spec.name, spec.version).spec
        return dataclasses.replace(found, variables={**found.variables, **spec.variables})

    def forget_workspace(self, tx: Tx, workspace_id: str) -> None:
        store.forget_workspace(tx, workspace_id)

    def report(self, node: str, digest: str, report: BuildReport) -> None:
        """A node tells how a build goes. A build that begins takes the place of the one before, log and all."""
        rules.check_build(node, digest)
        now = self._clock.now()

        def work(tx: Tx) -> None:
            before = store.build(tx, digest, node)
            begins = report.status is BuildStatus.BUILDING
            if begins:
                store.clear_log(tx, digest, node)
            started_at = now if begins else now - max(0.0, report.duration_s)
            if before is not None and not begins and before.finished_at is None:
                started_at = before.started_at
            store.put_build(
                tx,
                BuildInfo(
                    digest, node, report.status, report.python_version.replace("\0", ""), list(report.lock),
                    report.error.replace("\0", ""), started_at, None if begins else now,
                ),
            )  # fmt: skip
            events.publish(
                tx, at=now, workspace_id="", kind=f"build.{report.status.value.lower()}", subject=_topic(digest),
                actor=f"node:{node}",
            )  # fmt: skip

        self._db.write(work)

    def append_log(self, node: str, digest: str, offset: int, data: bytes) -> Offset:
        """Append-only by offset, as every stream: known bytes are skipped, a gap is refused."""
        rules.check_build(node, digest)

        def work(tx: Tx) -> Offset:
            if store.build(tx, digest, node) is None:
                raise NotFound("no_such_build", f"Node {node!r} has not said that it builds {digest[:12]}….")
            end = store.log_end(tx, digest, node)
            if offset > end:
                raise Conflict("stream_gap", f"The build log ends at byte {end}, not {offset}.", offset=end)
            fresh = data[end - offset :]
            if end + len(fresh) > MAX_BUILD_LOG_BYTES:
                raise TooLarge("log_too_large", f"A build log is kept up to {MAX_BUILD_LOG_BYTES} bytes.")
            if fresh:
                store.append_log(tx, digest, node, end, fresh)
                events.touch(tx, _topic(digest))
            return Offset(end + len(fresh))

        return self._db.write(work)

    def builds(self) -> builtins.list[BuildInfo]:
        """Newest first."""
        with self._db.read() as tx:
            return store.newest_builds(tx, _BUILDS_SHOWN)

    def build(self, digest: str) -> BuildInfo:
        """On whichever node it was built last. Raises NotFound."""
        with self._db.read() as tx:
            return _found(store.build(tx, digest) if rules.is_build_hash(digest) else None, digest)

    async def wait_for_log(self, digest: str, offset: int, wait_s: float) -> tuple[bytes, bool]:
        """The log from `offset` on, and whether that is its end. Waits up to `wait_s` for something new."""

        def look() -> tuple[bytes, bool]:
            with self._db.read() as tx:
                info = _found(store.build(tx, digest) if rules.is_build_hash(digest) else None, digest)
                data = store.read_log(tx, digest, info.node, offset, _READ_BYTES)
                whole = offset + len(data) >= store.log_end(tx, digest, info.node)
                return data, whole and info.status is not BuildStatus.BUILDING

        def something() -> tuple[bytes, bool] | None:
            data, complete = look()
            return (data, complete) if data or complete else None

        return await self._hub.wait_for({_topic(digest)}, something, wait_s) or (b"", False)


def _topic(digest: str) -> str:
    return f"build-{digest}"


def _next_version(tx: Tx, workspace_id: str, name: str) -> str:
    numbers = [
        int(i.spec.version) for i in store.versions(tx, workspace_id, name) if i.spec.version.isdigit()
    ]
    return str(max(numbers, default=0) + 1)


def _found(info: BuildInfo | None, digest: str) -> BuildInfo:
    if info is None:
        raise NotFound("no_such_build", f"No node has built an environment with content {digest[:80]!r}.")
    return info
