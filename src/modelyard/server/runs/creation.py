"""How runs come into being: asked for, as children of others, or repeated from a record."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import secrets
from collections.abc import Callable

import msgspec

from modelyard.server.artifacts.service import ArtifactService
from modelyard.server.environments.service import EnvironmentService
from modelyard.server.kernel import events
from modelyard.server.kernel.auth import Kind, Principal
from modelyard.server.kernel.clock import Clock
from modelyard.server.kernel.db import Database, Tx
from modelyard.server.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from modelyard.server.runs import experiments_store, lifecycle, rules, store
from modelyard.server.runs.experiments import Experiments
from modelyard.wire import codec
from modelyard.wire.environment_hash import pinned
from modelyard.wire.environments import EnvironmentSpec
from modelyard.wire.experiments import ExperimentCreate, ExperimentInfo
from modelyard.wire.runs import ChildrenCreate, RunCreate, RunInfo, RunSpec, RunStatus, run_id_stem

RERUN_OF = "modelyard.rerun_of"
MAX_CHILDREN_AT_ONCE = 10_000


@dataclasses.dataclass(frozen=True)
class Place:
    """The workspace a run is created in, and who asks."""

    workspace_id: str
    workspace: str
    principal: Principal


class Creation:
    def __init__(
        self,
        db: Database,
        clock: Clock,
        artifacts: ArtifactService,
        environments: EnvironmentService,
        experiments: Experiments,
        lease_s: float,
    ) -> None:
        self._db = db
        self._clock = clock
        self._artifacts = artifacts
        self._environments = environments
        self._experiments = experiments
        self._lease_s = lease_s
        # Plugged in by the app: raises NotFound, naming the targets there are, for a name that is none.
        self.check_target: Callable[[str], object] = rules.check_target

    def create(self, place: Place, body: RunCreate) -> RunInfo:
        """A new run; the one there is when the same request comes again. Raises Invalid, NotFound, Conflict, Forbidden."""
        _check(body)
        request = _hash(msgspec.json.encode(body, order="deterministic"))
        known = self._known(place, body.run_id, request)
        if known is not None:
            return known
        spec = None if body.spec is None else self._settle(place.workspace_id, body.spec)
        if body.snapshot_id:
            self._artifacts.snapshot(place.workspace_id, body.snapshot_id)

        def write(tx: Tx) -> RunInfo:
            repeated = _repeated(tx, place, body.run_id, request)
            if repeated is not None:
                return repeated
            parent = self._parent(tx, place, body.parent_id)
            experiment = self._experiment(tx, place, body.experiment, parent)
            now = self._clock.now()
            number = experiments_store.next_numbers(tx, experiment.id, 1, now)
            self._insert(tx, place, body, spec, parent, experiment.id, number, request, now)
            return _read(tx, body.run_id)

        return self._db.write(write)

    def tell(self, tx: Tx, place: Place, body: RunCreate, request: str, at: float) -> None:
        """A run that began at `at`, as its own machine tells afterwards. Raises as `create`."""
        _check(body)
        if _repeated(tx, place, body.run_id, request) is not None:
            return
        parent = None if body.parent_id is None else store.by_id(tx, place.workspace_id, body.parent_id)
        experiment = self._experiment(tx, place, body.experiment, parent)
        now = self._clock.now()
        number = experiments_store.next_numbers(tx, experiment.id, 1, now)
        self._insert(tx, place, body, None, parent, experiment.id, number, request, now, told_at=at)

    def create_children(self, place: Place, parent_id: str, body: ChildrenCreate) -> list[RunInfo]:
        """Many child runs that have not started, in the order given. Raises as `create`."""
        _check_children(body)
        requests = []
        for position, run_id in enumerate(body.run_ids):
            tags = {body.tag_key: body.tag_values[position]} if body.tag_key else {}
            one = RunCreate(run_id, "", parent_id=parent_id, type="azureml.childrun", tags=tags)
            rules.check_run_id(run_id)
            rules.check_tags(tags)
            requests.append((one, _hash(msgspec.json.encode(one, order="deterministic"))))

        def write(tx: Tx) -> list[RunInfo]:
            new = [(one, r) for one, r in requests if _repeated(tx, place, one.run_id, r) is None]
            if new:
                parent = self._parent(tx, place, parent_id)
                assert parent is not None
                now = self._clock.now()
                number = experiments_store.next_numbers(tx, parent.experiment_id, len(new), now)
                for one, request in new:
                    self._insert(tx, place, one, None, parent, parent.experiment_id, number, request, now)
                    number += 1
            found = {row.id: row for row in store.by_ids(tx, body.run_ids)}
            return [store.info(found[run_id]) for run_id in body.run_ids]

        return self._db.write(write)

    def rerun(self, place: Place, run_id: str) -> RunInfo:
        """A new run from the record of another: snapshot, arguments, inputs, and the environment as it was locked."""
        with self._db.read() as tx:
            row = store.by_id(tx, place.workspace_id, run_id)
        if row is None:
            raise no_such_run(run_id)
        info = store.info(row)
        if info.spec is None:
            raise Conflict(
                "run_is_interactive",
                f"Run {run_id!r} was run by its own process (start_logging or a child run), so the yard has nothing to "
                "run again.",
            )
        environment = info.spec.environment
        spec = dataclasses.replace(
            info.spec,
            snapshot_id=info.spec.snapshot_id or info.snapshot_id,
            environment=None if environment is None else self._pinned(environment, info),
        )
        body = RunCreate(
            run_id=f"{run_id_stem(info.experiment)}_{int(self._clock.now())}_{secrets.token_hex(4)}",
            experiment=info.experiment,
            spec=spec,
            type=info.type,
            display_name=info.display_name if info.display_name != info.id else "",
            description=info.description,
            tags=dict(info.tags),
            properties={**info.properties, RERUN_OF: info.id},
            snapshot_id=info.snapshot_id,
            user=info.user,
        )
        return self.create(place, body)

    def _pinned(self, environment: EnvironmentSpec, info: RunInfo) -> EnvironmentSpec:
        """The environment with exactly the packages, and the Python, that the run had."""
        try:
            version = self._environments.build(info.environment_hash).python_version
        except NotFound:  # user-managed, or not told by its node
            version = ""
        return pinned(environment, info.environment_lock, version)

    def _known(self, place: Place, run_id: str, request: str) -> RunInfo | None:
        with self._db.read() as tx:
            return _repeated(tx, place, run_id, request)

    def _settle(self, workspace_id: str, spec: RunSpec) -> RunSpec:
        """The spec with its environment's content in it, once everything that it names was found."""
        self.check_target(spec.target)
        if spec.snapshot_id:
            if spec.script:
                self._artifacts.snapshot_file(workspace_id, spec.snapshot_id, spec.script)
            else:
                self._artifacts.snapshot(workspace_id, spec.snapshot_id)
        if spec.environment is None:
            return spec
        return dataclasses.replace(
            spec, environment=self._environments.resolve(workspace_id, spec.environment)
        )

    def _parent(self, tx: Tx, place: Place, parent_id: str | None) -> store.Row | None:
        is_run = place.principal.kind is Kind.RUN
        if parent_id is None:
            if is_run:
                raise Forbidden(
                    "other_run",
                    f"{place.principal.name} may create only child runs of itself. Name it, or a run below it, as parent.",
                )
            return None
        if not rules.is_run_id(parent_id):
            raise no_such_run(parent_id)
        if is_run and not is_within(tx, place.workspace_id, place.principal.subject, parent_id):
            raise Forbidden("other_run", f"{place.principal.name} may create only child runs of itself.")
        parent = store.by_id(tx, place.workspace_id, parent_id)
        if parent is None:
            raise no_such_run(parent_id)
        if RunStatus(parent.status) in lifecycle.FINAL:
            raise Conflict(
                "run_is_final",
                f"Run {parent_id!r} is {parent.status}; it can have no new child runs.",
                status=parent.status,
            )
        return parent

    def _experiment(self, tx: Tx, place: Place, name: str, parent: store.Row | None) -> ExperimentInfo:
        if parent is not None:
            experiment = self._experiments.find(tx, place.workspace_id, parent.experiment_id)
            if name not in ("", experiment.name, experiment.id):
                raise Invalid(
                    "other_experiment",
                    f"A child run belongs to its parent's experiment {experiment.name!r}, not to {name[:80]!r}.",
                )
            return experiment
        body = ExperimentCreate(name)
        experiment = self._experiments.ensure(tx, place.workspace_id, body, place.principal.name)
        if experiment.archived_at is not None:
            raise Conflict(
                "experiment_archived", f"Experiment {name!r} is archived. Reactivate it to add runs to it."
            )
        return experiment

    def _insert(
        self, tx: Tx, place: Place, body: RunCreate, spec: RunSpec | None, parent: store.Row | None,
        experiment_id: str, number: int, request: str, now: float, told_at: float | None = None,
    ) -> None:  # fmt: skip
        at = now if told_at is None else told_at
        status = RunStatus.RUNNING if body.started else RunStatus.NOT_STARTED
        reason = ""
        if spec is not None:
            status, reason = RunStatus.QUEUED, f"Waiting for its turn on {spec.target!r}."
        # A child of a live run needs no signs of life of its own: it ends with its parent. A told run has none to give.
        has_lease = status is RunStatus.RUNNING and parent is None and told_at is None
        store.add(
            tx, id=body.run_id, workspace_id=place.workspace_id, workspace=place.workspace,
            experiment_id=experiment_id, number=number, type=body.type, request=request, status=status.value,
            status_reason=reason, display_name=body.display_name or body.run_id, description=body.description,
            parent_id=body.parent_id, root_id=parent.root_id if parent is not None else body.run_id,
            tags=body.tags, properties=body.properties, created_at=at,
            started_at=at if status is RunStatus.RUNNING else None, user=body.user,
            snapshot_id=body.snapshot_id or (spec.snapshot_id if spec else None),
            spec=None if spec is None else codec.to_json(spec), target=spec.target if spec else None,
            lease_expires_at=now + self._lease_s if has_lease else None,
            synced_at=None if told_at is None else now,
        )  # fmt: skip
        events.publish(
            tx, at=now, workspace_id=place.workspace_id, kind="run.created", subject=body.run_id,
            actor=place.principal.name, status=status.value, parent=body.parent_id or "",
        )  # fmt: skip


def is_within(tx: Tx, workspace_id: str, ancestor: str, run_id: str) -> bool:
    """Whether the run is `ancestor` or below it."""
    at: str | None = run_id
    while at is not None and at != ancestor:
        at = store.parent_of(tx, workspace_id, at)
    return at is not None


def no_such_run(run_id: str) -> NotFound:
    return NotFound("no_such_run", f"There is no run {run_id[:80]!r} in this workspace.")


def _repeated(tx: Tx, place: Place, run_id: str, request: str) -> RunInfo | None:
    row = store.anywhere(tx, run_id)
    if row is None:
        return None
    if row.deleted_at is not None:
        raise Conflict(
            "run_id_in_trash",
            f"Run id {run_id!r} is that of a run in the trash. Choose another, restore that run with "
            f"'modelyard trash restore {run_id}', or delete it for good with 'modelyard trash empty {run_id}'.",
        )
    if row.workspace_id == place.workspace_id and row.request == request:
        return store.info(row)
    raise Conflict("run_id_taken", f"Run id {run_id!r} is taken by another run. Choose another.")


def _read(tx: Tx, run_id: str) -> RunInfo:
    row = store.anywhere(tx, run_id)
    assert row is not None
    return store.info(row)


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _check(body: RunCreate) -> None:
    rules.check_run_id(body.run_id)
    rules.check_tags(body.tags)
    rules.check_properties(body.properties)
    rules.check_text("The display name", body.display_name, 1000)
    rules.check_text("The description", body.description)
    rules.check_text("The type", body.type, 255)
    rules.check_text("The user", body.user, 255)
    rules.check_text("The snapshot", body.snapshot_id or "", 255)
    if body.parent_id is None:
        rules.check_experiment_name(body.experiment)
    spec = body.spec
    if spec is None:
        return
    if bool(spec.script) == bool(spec.command):
        raise Invalid("bad_spec", "A run needs either a script or a command, and not both.")
    rules.check_text("The snapshot", spec.snapshot_id or "", 255)
    rules.check_target(spec.target)
    if spec.node_count != 1:
        raise Invalid(
            "bad_spec", f"node_count is {spec.node_count}; compute {spec.target!r} runs a run on 1 node."
        )
    if spec.max_duration_s is not None and not (
        spec.max_duration_s > 0 and math.isfinite(spec.max_duration_s)
    ):
        raise Invalid("bad_spec", f"max_duration_s must be above 0 seconds, not {spec.max_duration_s}.")
    for key, value in spec.variables.items():
        if not key or "=" in key or "\0" in key or "\0" in value:
            raise Invalid("bad_spec", f"{key[:80]!r} can't be an environment variable with that value.")
    if any("\0" in text for text in (spec.script, *spec.arguments, *spec.command)):
        raise Invalid("bad_spec", "An argument of the run holds a NUL character.")


def _check_children(body: ChildrenCreate) -> None:
    if len(body.run_ids) > MAX_CHILDREN_AT_ONCE:
        raise Invalid(
            "too_many_children",
            f"At most {MAX_CHILDREN_AT_ONCE} child runs are created at once; send more requests.",
        )
    if len(set(body.run_ids)) != len(body.run_ids):
        raise Invalid("bad_children", "A run id is there twice.")
    if body.tag_values and not body.tag_key:
        raise Invalid("bad_children", "tag_values need a tag_key.")
    if body.tag_key and len(body.tag_values) != len(body.run_ids):
        raise Invalid(
            "bad_children",
            f"{len(body.run_ids)} child runs need as many tag values, not {len(body.tag_values)}.",
        )
