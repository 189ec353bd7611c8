"""One web service on this node: makes each revision ready, keeps its keeper alive, tells the yard how it is doing."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import os
import re
import shutil
import threading
import time
from pathlib import Path
from typing import Any

from modelyard.node import bundle, records
from modelyard.node.builds import Builds
from modelyard.node.keeping import Keeping
from modelyard.node.link import Away, Link, Pause, Refused, workspace_path
from modelyard.node.streams import Stream
from modelyard.node.trees import BadTree, Trees
from modelyard.wire import codec
from modelyard.wire.artifacts import FileEntry
from modelyard.wire.endpoints import ServiceAssignment, ServiceError, ServiceReport, ServiceState
from modelyard.wire.environments import EnvironmentSpec

log = logging.getLogger(__name__)

_REPORT_S = 10.0
_SETTLING_S = 0.03  # between looks at status.json while a revision comes up
_STEADY_S = 0.5
_LOG_S = 0.05  # between looks at the log's size meanwhile
_STOPPED_S = 20.0
_LET_GO_S = 2.0
_CODE = "code-"  # begins the names of the directories that hold what a service runs
# What running scoring processes can be told; the rest of a specification is what they run.
_LIVE = ("replicas", "port", "auth_enabled", "scoring_timeout_s", "max_body_bytes", "recorded")


class Service:
    """Wants one revision at a time. A revision that can't be made ready is reported and leaves the one before it running."""

    def __init__(
        self,
        directory: Path,
        assignment: ServiceAssignment,
        link: Link,
        trees: Trees,
        builds: Builds,
        sdk: Path,
    ) -> None:
        self._directory = directory
        self._wanted = assignment
        self._link = link
        self._trees = trees
        self._builds = builds
        self._sdk = sdk
        self._keeping = Keeping(directory)
        self._made_revision = 0  # the last one that service.json tells of, or that failed to get there
        self._failure: ServiceReport | None = None
        self._stop = threading.Event()
        self._letting_go = False
        self._wake = threading.Event()
        self._reported: tuple[object, ...] = ()
        self._report_at = 0.0
        self._pause = Pause(self._stop)
        self._log = Stream(directory / "logs" / "scoring.log", "", {}, whole_lines=False, held=None)
        self._thread = threading.Thread(target=self._run, name=f"service-{directory.name}", daemon=True)

    @property
    def revision(self) -> int:
        return self._wanted.revision

    @property
    def is_over(self) -> bool:
        return self._stop.is_set() and not self._letting_go and not self._thread.is_alive()

    def start(self) -> None:
        self._thread.start()

    def want(self, assignment: ServiceAssignment) -> None:
        self._wanted = assignment
        self._wake.set()

    def stop(self) -> None:
        self._stop.set()
        self._wake.set()

    def let_go(self) -> None:
        """End the thread and leave the service running."""
        self._letting_go = True
        self.stop()
        self._thread.join(_LET_GO_S)  # longer only if it is in the middle of a build
        self._keeping.let_go()

    def _run(self) -> None:
        told = records.read_object(self._directory / "service.json")
        if told.get("revision") == self._wanted.revision:
            self._made_revision = self._wanted.revision
        while not self._stop.is_set():
            self._wake.clear()
            try:
                if self._made_revision != self._wanted.revision:
                    self._make_ready(self._wanted)
                if (self._directory / "service.json").exists():
                    self._keeping.ensure()
                steady = self._report()
            except Exception:  # one service's fault must end neither its keeper nor the others
                log.exception("service %s", self._wanted.endpoint)
                steady = True
            self._rest(steady)
        if not self._letting_go:
            self._keeping.end(_STOPPED_S)
        self._link.close()  # this thread's connection

    def _rest(self, steady: bool) -> None:
        """Until there may be something to tell. What the log gained is told soon: somebody may be looking for it."""
        if not steady:
            self._wake.wait(_SETTLING_S)
            return
        until = time.monotonic() + _STEADY_S
        while time.monotonic() < until and not self._wake.wait(_LOG_S):
            if self._log.changed:
                return

    def _make_ready(self, wanted: ServiceAssignment) -> None:
        # Imported here: a node without services and managed environments need not load the resolver's machinery.
        from modelyard.node.environments.builder import BuildFailed

        self._failure = None
        error: ServiceError
        try:
            settings = self._prepare(wanted)
        except Away as away:
            if not self._stop.is_set():
                log.info("service %s waits for the yard: %s", wanted.endpoint, away)
                self._pause.wait()
            return
        except BuildFailed as failed:
            error = ServiceError("EnvironmentFailed", str(failed))
        except (Refused, BadTree) as failed:
            error = ServiceError(
                "PreparationFailed", f"Revision {wanted.revision} could not be prepared: {failed}"
            )
        except OSError as failed:
            said = (
                f"Revision {wanted.revision} could not be prepared on this node: {failed.strerror or failed}."
            )
            error = ServiceError("PreparationFailed", said)
        else:
            self._pause.reset()
            records.write(self._directory / "service.json", settings)
            self._made_revision = wanted.revision
            self._keeping.reload()
            return
        self._made_revision = wanted.revision
        self._failure = ServiceReport(
            wanted.revision,
            ServiceState.FAILED,
            error.message,
            wanted.port,
            error=error,
            endpoint_id=wanted.endpoint_id,
        )

    def _prepare(self, wanted: ServiceAssignment) -> dict[str, Any]:
        """Everything of one revision on disk; answers what goes into service.json."""
        spec = wanted.spec
        code_name = _code_name(wanted)
        root = self._directory / code_name
        (self._directory / "logs").mkdir(parents=True, exist_ok=True)
        source: list[FileEntry] = []
        if spec.snapshot_id:
            source = self._trees.snapshot(self._link, wanted.workspace, spec.snapshot_id)
        # v1's layout: the service runs in a directory that holds the source directory under its own name, and the models.
        app = root / "app"
        code = app / _source_name(spec.recorded)
        self._place(wanted, source, code)
        models: list[dict[str, Any]] = []
        layout = app / "azureml-models"
        layout.mkdir(parents=True, exist_ok=True)
        for model_id in spec.models:
            name, _, version = model_id.rpartition(":")
            entries = self._trees.model(self._link, wanted.workspace, model_id, wanted.model_trees[model_id])
            self._place(wanted, entries, layout / name / version)
            models.append(
                {
                    "name": name,
                    "version": int(version),
                    "path": str(layout / name / version / _top(entries)),
                    "framework": wanted.model_frameworks.get(model_id, ""),
                }
            )
        with open(
            self._directory / "logs" / "build.log", "a", encoding="utf-8", errors="replace"
        ) as build_log:
            built = self._builds.ensure(
                spec.environment or EnvironmentSpec(),
                lambda line: print(line.rstrip("\n"), file=build_log),
            )
        bundle.compile_for(self._sdk, built.interpreter)
        one = len(models) == 1
        return {
            "endpoint": wanted.endpoint,
            "endpoint_id": wanted.endpoint_id,
            "workspace": wanted.workspace,
            "revision": wanted.revision,
            "code": code_name,
            "host": wanted.host,
            "port": wanted.port,
            "replicas": spec.replicas,
            "python": built.interpreter,
            "pythonpath": str(self._sdk),
            "source_dir": str(code),
            "app_root": str(app),
            "entry_script": spec.entry_script,
            "model_dir": str(layout / models[0]["name"] / str(models[0]["version"]) if one else layout),
            "models": models,
            "variables": {**built.variables, **spec.variables},
            "auth_enabled": spec.auth_enabled,
            "keys": wanted.keys,
            "scoring_timeout_s": spec.scoring_timeout_s,
            "max_body_bytes": spec.max_body_bytes,
            "stop": False,
        }

    def _place(self, wanted: ServiceAssignment, entries: list[FileEntry], target: Path) -> None:
        if target.is_dir():
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        self._trees.place(self._link, wanted.workspace, entries, target, self._stop)

    def _report(self) -> bool:
        """Tell the yard what is new. True when the service has settled, so that looking seldom is enough."""
        report = self._of_status()
        if self._failure is not None:
            report = _with_failure(self._failure, report)
        if report is None or not report.revision:
            return False
        signs = (
            report.revision,
            report.state,
            report.reason,
            report.replicas_ready,
            report.active_revision,
            report.error,
            report.port,
            report.swagger is None,
        )
        steady = report.state is not ServiceState.TRANSITIONING and report.revision == self._wanted.revision
        if report.active_revision == self._wanted.revision:
            self._drop_older()
        try:
            self._send_log()
            if signs != self._reported or time.monotonic() >= self._report_at:
                self._link.request("POST", self._path("report"), report)
                self._reported = signs
                self._report_at = time.monotonic() + _REPORT_S
            self._pause.reset()
        except Away:
            self._pause.wait()
        except Refused as error:
            # The endpoint was deleted, or another revision is wanted by now: the next poll tells.
            log.info("report of service %s was refused: %s", self._wanted.endpoint, error)
            self._reported = signs
            self._report_at = time.monotonic() + _REPORT_S
        return steady

    def _of_status(self) -> ServiceReport | None:
        status = records.read_object(self._directory / "status.json")
        if not status:
            return None
        try:
            state = ServiceState(status.get("state"))
            error = status.get("error")
            return ServiceReport(
                revision=int(status["revision"]),
                state=state,
                reason=str(status.get("reason") or ""),
                port=int(status.get("port") or 0),
                replicas_ready=sum(1 for r in status.get("replicas") or [] if r.get("ready")),
                error=codec.from_json(ServiceError, error) if error else None,
                telemetry=status.get("telemetry") or {},
                swagger=status.get("swagger"),
                active_revision=status.get("active_revision"),
                endpoint_id=self._wanted.endpoint_id,
            )
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            log.error("status.json of service %s can't be read: %s", self._wanted.endpoint, error)
            return None

    def _send_log(self) -> None:
        self._log.route = self._path("logs")
        if self._log.changed:
            self._log.pump(self._link)

    def _drop_older(self) -> None:
        """Delete what no scoring host uses any more; those of the revision before may still answer a last request."""
        replicas = records.read_object(self._directory / "status.json").get("replicas") or []
        if not all(replica.get("is_current") for replica in replicas):
            return
        used = _code_name(self._wanted)
        for name in os.listdir(self._directory):
            if name.startswith(_CODE) and name != used:
                shutil.rmtree(self._directory / name, ignore_errors=True)

    def _path(self, what: str) -> str:
        return workspace_path(self._wanted.workspace, "endpoints", self._wanted.endpoint, what)


def _with_failure(failure: ServiceReport, now: ServiceReport | None) -> ServiceReport:
    """A revision that could not be made ready, seen beside the one that still answers, if one does."""
    if now is None or now.active_revision is None or now.state is not ServiceState.HEALTHY:
        return failure
    words = f"Revision {failure.revision} was not started; revision {now.active_revision} goes on answering. "
    return dataclasses.replace(
        now, revision=failure.revision, reason=words + failure.reason, error=failure.error
    )


def _code_name(wanted: ServiceAssignment) -> str:
    """The same for revisions that run the same, as after a change of keys: their processes go on."""
    spec = codec.to_json(wanted.spec)
    runs = {name: value for name, value in spec.items() if name not in _LIVE}
    named = [
        runs,
        wanted.model_trees,
        wanted.model_frameworks,
        wanted.host,
        _source_name(wanted.spec.recorded),
    ]
    return _CODE + hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()[:12]


def _source_name(recorded: dict[str, Any]) -> str:
    """What the source directory is called where it comes from; empty when only a script was given."""
    given = recorded.get("source_directory")
    if recorded.get("entry_script_only") or not isinstance(given, str):
        return ""
    name = re.split(r"[\\/]", given.rstrip("\\/"))[-1]
    return "" if name in (".", "..") or "\0" in name or ":" in name else name


def _top(entries: list[FileEntry]) -> str:
    """What v1's model path ends with: the one file or folder a model was registered from."""
    tops = {entry.path.split("/", 1)[0] for entry in entries}
    return tops.pop() if len(tops) == 1 else ""
