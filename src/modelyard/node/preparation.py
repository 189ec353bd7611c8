"""Makes a run ready on this node: its code, its environment; then hands it to a run host."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from modelyard.node import bundle, records
from modelyard.node.builds import Builds
from modelyard.node.host_script import Prepared
from modelyard.node.link import Away, Link, Pause, Refused, Stale, workspace_path
from modelyard.node.records import RunDir
from modelyard.node.streams import Shipper
from modelyard.node.trees import BadTree, Trees
from modelyard.node.verdict import Verdict, failed
from modelyard.wire.compute import RunAssignment
from modelyard.wire.runs import RunStatus, RunStatusReport

log = logging.getLogger(__name__)

BUILD_LOG = "20_image_build_log.txt"
_LIVE_AFTER_S = 0.1  # a build log that is complete sooner is sent by the run host
_LOOK_S = 0.2


class Preparation:
    """One run on its way to a run host, in a thread of its own. It ends with `settle` having been called once,
    with a verdict if there is nothing to run."""

    def __init__(
        self,
        directory: RunDir,
        assignment: RunAssignment,
        trees: Trees,
        builds: Builds,
        sdk: Path,
        settle: Callable[[Verdict | None], None],
    ) -> None:
        self._directory = directory
        self._assignment = assignment
        self._trees = trees
        self._builds = builds
        self._sdk = sdk
        self._settle_run = settle
        self._link = Link(directory.home, assignment.token)
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._settled = False
        self._thread = threading.Thread(target=self._run, name=f"prepare-{directory.run_id}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def abort(self, verdict: Verdict) -> None:
        """Give it up; what a thread is in the middle of (a build others may wait for) goes on without effect."""
        self._stop.set()
        self._settle(verdict)

    def _settle(self, verdict: Verdict | None) -> None:
        with self._lock:
            if self._settled:
                return
            self._settled = True
            if verdict is not None:
                verdict.write(self._directory)
            self._settle_run(verdict)

    def _run(self) -> None:
        # Imported here: a node that only runs user-managed Pythons need not load the resolver's machinery at start.
        from modelyard.node.environments.builder import BuildFailed

        try:
            self._prepare()
        except BuildFailed as error:
            self._settle(failed(time.time(), "EnvironmentError", str(error)))
        except Stale:
            log.info("run %s: its token was revoked while it was prepared", self._directory.run_id)
            self._settle(Verdict(None, time.time()))
        except (Refused, BadTree) as error:
            self._settle(failed(time.time(), "SystemError", f"The run could not be prepared: {error}"))
        except OSError as error:
            where = f" ({error.filename})" if error.filename else ""
            said = f"The run could not be prepared on this node: {error.strerror or error}{where}."
            self._settle(failed(time.time(), "SystemError", said))
        except Away:
            pass  # aborted, and settled by whoever aborted it
        except Exception as error:  # a run must not hang in Preparing because of a fault of ours
            log.exception("run %s", self._directory.run_id)
            said = f"The run could not be prepared, by a fault of the node: {type(error).__name__}: {error}"
            self._settle(failed(time.time(), "SystemError", said))

    def _prepare(self) -> None:
        directory, spec = self._directory, self._assignment.spec
        directory.journal.mkdir(exist_ok=True)
        if not directory.code.is_dir():
            self._patiently(self._place_code)
        environment = self._assignment.environment
        lines = _BuildLog(self)
        try:
            built = self._builds.ensure(environment, lines.say)
        finally:
            lines.close()
        if self._stop.is_set():
            return
        bundle.compile_for(self._sdk, built.interpreter)
        prepared = Prepared(
            built.interpreter,
            str(self._sdk),
            dict(built.variables),
            list(built.lock),
            built.python_version,
            built.content_hash,
            list(built.notes),
        )
        records.write(directory.prepared, prepared, durable=False)
        log.info(
            "run %s is prepared: %s %s", directory.run_id, built.interpreter, spec.script or spec.command
        )
        self._settle(None)

    def _place_code(self) -> None:
        snapshot_id = self._assignment.spec.snapshot_id
        if not snapshot_id:
            self._directory.code.mkdir(exist_ok=True)
            return
        workspace = self._assignment.workspace
        entries = self._trees.snapshot(self._link, workspace, snapshot_id)
        lacking = self._trees.lacking(entries)
        if len(lacking) > 100:
            self.tell_reason(f"Bringing {len(lacking)} files of the snapshot to the node.")
        self._trees.place(self._link, workspace, entries, self._directory.code, self._stop)

    def _patiently(self, action: Callable[[], None]) -> None:
        pause = Pause(self._stop)
        while True:
            try:
                action()
                return
            except Stale:
                # The answer that brought the run was lost and the yard gave it again, with a token of its own.
                newer = self._directory.read_assignment()
                if newer is None or newer.token == self._link.token:
                    raise
                self._link.use(newer.token)
                continue
            except Away as error:
                if self._stop.is_set():
                    raise
                log.info("run %s waits for the yard: %s", self._directory.run_id, error)
            pause.wait()

    def tell_reason(self, reason: str) -> None:
        """Say what the preparation is at; of no consequence if it does not arrive."""
        path = workspace_path(self._assignment.workspace, "runs", self._assignment.run_id, "status")
        try:
            self._link.request("POST", path, RunStatusReport(RunStatus.PREPARING, reason), timeout_s=5.0)
        except (Away, Refused) as error:
            log.info("%s", error)

    def ship_logs(self, done: threading.Event) -> None:
        """Send the build log on while it grows, until `done`."""
        shipper = Shipper(self._directory, self._assignment.workspace, self._link, known=True)
        pause = Pause(done)
        while not done.is_set():
            try:
                shipper.discover()
                busy = shipper.pump()
                pause.reset()
            except Away:
                pause.wait()
                continue
            except Refused:
                return
            if not busy:
                done.wait(_LOOK_S)


class _BuildLog:
    """The build's lines as a log file of the run, sent live when the build takes longer than a moment."""

    def __init__(self, preparation: Preparation) -> None:
        self._preparation = preparation
        self._path = preparation._directory.node_logs / BUILD_LOG
        self._done = threading.Event()
        self._began = False
        self._lock = threading.Lock()

    def say(self, line: str) -> None:
        with self._lock:
            if not self._began:
                self._began = True
                self._path.parent.mkdir(exist_ok=True)
                self._path.unlink(missing_ok=True)  # of a preparation that was cut off
                threading.Thread(target=self._live, name="run-build-log", daemon=True).start()
            with open(self._path, "a", encoding="utf-8", errors="replace") as file:
                file.write(line.rstrip("\n") + "\n")

    def close(self) -> None:
        self._done.set()

    def _live(self) -> None:
        if not self._done.wait(_LIVE_AFTER_S):
            self._preparation.tell_reason("Building the environment.")
            self._preparation.ship_logs(self._done)
