"""What a run does: it is asked for, told of by whoever runs it, cancelled, looked at, deleted."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from modelyard.server.artifacts.service import ArtifactService
from modelyard.server.environments.service import EnvironmentService
from modelyard.server.kernel.auth import Kind, Principal
from modelyard.server.kernel.clock import Clock
from modelyard.server.kernel.db import Database, Tx
from modelyard.server.kernel.errors import Conflict, Forbidden
from modelyard.server.kernel.events import Hub
from modelyard.server.kernel.settings import Settings
from modelyard.server.runs import (
    experiments_store,
    files_store,
    lifecycle,
    metrics_store,
    news,
    rules,
    store,
    trash,
)
from modelyard.server.runs.appending import Appender
from modelyard.server.runs.comparing import RunComparison
from modelyard.server.runs.creation import Creation, Place, is_within, no_such_run
from modelyard.server.runs.experiments import Experiments
from modelyard.server.runs.files import RunFiles
from modelyard.server.runs.journal import Journal
from modelyard.server.runs.logged_models import LoggedModels
from modelyard.server.runs.logs import RunLogs
from modelyard.server.runs.metrics import Metrics
from modelyard.server.runs.placement import Placement
from modelyard.server.runs.search.expression import All, Attribute, OneOf
from modelyard.server.runs.search.query import Query
from modelyard.server.runs.search.service import FoundRun, Page, RunSearch
from modelyard.server.runs.series import SeriesReads
from modelyard.server.runs.tail import Tail
from modelyard.server.runs.told import ToldRuns
from modelyard.server.runs.tracking import Tracking
from modelyard.wire.artifacts import FileEntry
from modelyard.wire.runs import (
    ChildrenCreate,
    HeartbeatAnswer,
    RunCreate,
    RunInfo,
    RunStatus,
    RunStatusReport,
    RunUpdate,
)

_S = RunStatus


class RunService:
    """The runs themselves; what hangs on them is in `experiments`, `journal`, `metrics`, `files`, `logs` and `told`."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        hub: Hub,
        artifacts: ArtifactService,
        environments: EnvironmentService,
        settings: Settings,
    ) -> None:
        self._db = db
        self._clock = clock
        self._hub = hub
        store.hold(artifacts.garbage.holders)
        files_store.files.hold(artifacts.garbage.holders)
        self.lease_s = settings.lease_s
        self.lost_after_s = settings.lost_after_s
        self.experiments = Experiments(db, clock)
        self.journal = Journal(db)
        self.metrics = Metrics(db)
        self._search = RunSearch(db)
        self.comparison = RunComparison(db, artifacts)
        self.appender = Appender(db, clock)
        self.series = SeriesReads(db)
        self.tail = Tail(db, hub)
        self.files = RunFiles(db, clock, artifacts)
        self.logged_models = LoggedModels(db, clock, artifacts)
        self.tracking = Tracking(db, clock)
        self.logs = RunLogs(db, clock, hub, self.files)
        self._creation = Creation(db, clock, artifacts, environments, self.experiments, settings.lease_s)
        self.told = ToldRuns(db, clock, self._creation, self.files)
        self._placement = Placement(db, clock, settings.lease_s)
        # A run host could give no sign of life while the yard was down, so no lease ends before it had time to.
        self.started_at = clock.now()

    def source(self) -> Placement:
        """The compute source that hands queued runs to nodes."""
        return self._placement

    def plug_targets(self, check_target: Callable[[str], object]) -> None:
        """`check_target` raises NotFound for a compute target that there is not."""
        self._creation.check_target = check_target

    def create(self, place: Place, body: RunCreate) -> RunInfo:
        return self._creation.create(place, body)

    def create_children(self, place: Place, parent_id: str, body: ChildrenCreate) -> list[RunInfo]:
        return self._creation.create_children(place, parent_id, body)

    def rerun(self, place: Place, run_id: str) -> RunInfo:
        return self._creation.rerun(place, run_id)

    def get(self, workspace_id: str, run_id: str, in_trash: bool = False) -> RunInfo:
        """`in_trash`: also one that was deleted. Raises NotFound."""
        with self._db.read() as tx:
            return store.info(find(tx, workspace_id, run_id, in_trash))

    async def wait(self, workspace_id: str, run_id: str, above: int, wait_s: float) -> RunInfo | None:
        """The run as soon as its version is above `above`; None when that takes longer than `wait_s`."""

        def look() -> RunInfo | None:
            with self._db.read() as tx:
                if (store.version(tx, workspace_id, run_id) or above + 1) <= above:
                    return None
                return store.info(find(tx, workspace_id, run_id))

        return await self._hub.wait_for({run_id}, look, wait_s)

    def search(self, workspace_id: str, principal: Principal, query: Query) -> Page:
        """The runs that a query finds, of those that the caller may see: a run sees itself and the runs below it.

        Raises Invalid, Forbidden.
        """
        if principal.kind is Kind.RUN:
            with self._db.read() as tx:
                ids = (principal.subject, *store.descendant_ids(tx, principal.subject))
            own = OneOf(Attribute("run_id"), ids)
            query = dataclasses.replace(query, filter=All((own, query.filter)))
        elif principal.kind is not Kind.OWNER:
            raise Forbidden("not_allowed", f"{principal.name} may not search runs.")
        return self._search.search(workspace_id, query)

    def exists(self, workspace_id: str, run_id: str) -> bool:
        """Whether there is such a run, not in the trash."""
        if not rules.is_run_id(run_id):
            return False
        with self._db.read() as tx:
            return store.exists(tx, workspace_id, run_id)

    def found(self, workspace_id: str, run_id: str) -> FoundRun:
        """The run with its metrics, also one in the trash. Raises NotFound."""
        found = self._search.get(workspace_id, run_id) if rules.is_run_id(run_id) else None
        if found is None:
            raise no_such_run(run_id)
        return found

    def children(self, workspace_id: str, run_id: str, recursive: bool) -> list[RunInfo]:
        """In the order of creation; archived ones only where the run itself is archived."""
        with self._db.read() as tx:
            row = find(tx, workspace_id, run_id)
            if recursive:
                below = store.by_ids(tx, store.descendant_ids(tx, run_id))
            else:
                below = store.children(tx, run_id)
            shown = [r for r in below if r.deleted_at is None and (row.archived_at or not r.archived_at)]
            return store.infos(shown)

    def update(self, workspace_id: str, run_id: str, body: RunUpdate, actor: str = "") -> RunInfo:
        """Set tags and texts, add properties. Raises Conflict for another value of a property that exists."""
        news.check_update(body)

        def write(tx: Tx) -> RunInfo:
            news.update(tx, find(tx, workspace_id, run_id), body, self._clock.now(), actor)
            return store.info(find(tx, workspace_id, run_id))

        if body.snapshot_id is not None:
            self.files.check_snapshot(workspace_id, body.snapshot_id)
        return self._db.write(write)

    def report(self, workspace_id: str, run_id: str, body: RunStatusReport, actor: str = "") -> RunInfo:
        """Take in what the one who runs the run says of it; the same word twice is fine. Raises Conflict, Invalid."""
        news.check_report(body)

        def write(tx: Tx) -> RunInfo:
            now = self._clock.now()
            news.report(tx, find(tx, workspace_id, run_id), body, now, actor, lease_until=now + self.lease_s)
            return store.info(find(tx, workspace_id, run_id))

        return self._db.write(write)

    def heartbeat(self, workspace_id: str, run_id: str) -> HeartbeatAnswer:
        """Renew the lease; a run that was thought silent is back. Answers whether somebody asked to cancel."""
        with self._db.read() as tx:
            row = find(tx, workspace_id, run_id)
        now = self._clock.now()
        status = RunStatus(row.status)
        fresh = row.lease_expires_at is None or row.lease_expires_at > now + self.lease_s * 0.9
        if status not in lifecycle.FINAL and (status is _S.NOT_RESPONDING or not fresh):

            def write(tx: Tx) -> RunStatus:
                row = find(tx, workspace_id, run_id)
                status = RunStatus(row.status)
                if status is _S.NOT_RESPONDING:
                    status = RunStatus(row.responding_as)
                    store.move(tx, row, status, now=now, lease_expires_at=now + self.lease_s)
                else:
                    store.renew(tx, [run_id], now + self.lease_s)
                return status

            status = self._db.write(write)
        return HeartbeatAnswer(status in (_S.CANCEL_REQUESTED, _S.CANCELED), status)

    def cancel(self, workspace_id: str, run_id: str, actor: str = "") -> RunInfo:
        """Ask the run and every run below it to end. Raises Conflict for a run that is over or nearly so."""

        def write(tx: Tx) -> RunInfo:
            row = find(tx, workspace_id, run_id)
            status = RunStatus(row.status)
            if status in lifecycle.FINAL:
                raise Conflict(
                    "run_is_final",
                    f"Run {run_id!r} is {status.value}; there is nothing to cancel.",
                    status=row.status,
                )
            if status is _S.FINALIZING and row.spec is not None:
                raise Conflict(
                    "run_is_finalizing",
                    f"The script of run {run_id!r} has ended and its last files are coming in; it ends by itself.",
                    status=row.status,
                )
            for each in (*reversed(store.open_below(tx, run_id)), row):
                self._cancel_one(tx, each, actor)
            return store.info(find(tx, workspace_id, run_id))

        return self._db.write(write)

    def _cancel_one(self, tx: Tx, row: store.Row, actor: str) -> None:
        now = self._clock.now()
        reason = f"Cancelled by {actor or 'its owner'}."
        if row.spec is None or row.status == _S.QUEUED.value:
            store.move(tx, row, _S.CANCELED, now=now, reason=reason, actor=actor)
        elif row.status not in (_S.CANCEL_REQUESTED.value, _S.FINALIZING.value):
            store.move(tx, row, _S.CANCEL_REQUESTED, now=now, reason=reason, actor=actor)

    def trash(self, workspace_id: str, run_id: str, actor: str = "") -> None:
        """Put the run and the runs below it into the trash. Raises Conflict while one is not over."""

        def write(tx: Tx) -> None:
            trash.put_run(tx, find(tx, workspace_id, run_id), self._clock.now(), actor)

        self._db.write(write)

    def restore(self, workspace_id: str, run_id: str, actor: str = "") -> RunInfo:
        """Take the run, and those deleted with it, out of the trash. Raises NotFound, Conflict."""

        def write(tx: Tx) -> RunInfo:
            row = find(tx, workspace_id, run_id, in_trash=True)
            trash.restore_run(tx, row, self._clock.now(), actor)
            return store.info(find(tx, workspace_id, run_id))

        return self._db.write(write)

    def is_within(self, workspace_id: str, ancestor: str, run_id: str) -> bool:
        """Whether the run is `ancestor` or below it; what a run's token may touch."""
        if ancestor == run_id:
            return True
        if not rules.is_run_id(run_id):
            return False
        with self._db.read() as tx:
            return is_within(tx, workspace_id, ancestor, run_id)

    def files_under(self, workspace_id: str, run_id: str, path: str) -> list[FileEntry]:
        """The run's file at `path`, or all files below it, for registering a model. Raises NotFound."""
        return self.files.under(workspace_id, run_id, path)

    def experiment_of(self, workspace_id: str, run_id: str) -> str:
        """The name of the run's experiment. Raises NotFound."""
        return self.get(workspace_id, run_id).experiment

    def active_in(self, tx: Tx, workspace_id: str) -> str:
        """A sentence naming runs that keep the workspace from being deleted; empty when there are none."""
        active = store.active_in(tx, workspace_id)
        return f"Runs are not over ({', '.join(active[:3])})." if active else ""

    def forget_workspace(self, tx: Tx, workspace_id: str) -> None:
        run_ids = store.ids_in(tx, workspace_id)
        metrics_store.forget_runs(tx, run_ids)
        store.remove(tx, run_ids)
        experiments_store.forget_workspace(tx, workspace_id)


def find(tx: Tx, workspace_id: str, run_id: str, in_trash: bool = False) -> store.Row:
    """`in_trash`: also one that was deleted. Raises NotFound."""
    if not rules.is_run_id(run_id):
        raise no_such_run(run_id)
    row = store.by_id(tx, workspace_id, run_id, in_trash)
    if row is None:
        raise trash.missing(tx, workspace_id, run_id) or no_such_run(run_id)
    return row
