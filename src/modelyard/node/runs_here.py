"""The runs of this node: taken in, prepared, given to run hosts, taken up again, ended, cleared away."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import threading
import time
from pathlib import Path
from typing import Any

from modelyard.node import processes, records
from modelyard.node.builds import Builds
from modelyard.node.hosts import Hosts
from modelyard.node.link import Away, Link, Refused, workspace_path
from modelyard.node.preparation import Preparation
from modelyard.node.records import RunDir
from modelyard.node.trees import Trees
from modelyard.node.verdict import Verdict, failed
from modelyard.wire.compute import RunAssignment
from modelyard.wire.runs import RunStatus, RunStatusReport

log = logging.getLogger(__name__)

_HAND_OVER_S = 2.0  # a host that was given a run has its lock by then
_LONGEST_PAUSE_S = 60.0  # before a host that dies again and again is started once more; host.log tells why
_RECORDS_KEPT_S = 7 * 24 * 3600.0
_RECORDS_KEPT = 1000
_SWEEP_S = 600.0
_BULKY = ("code", ".code.new", "journal", "assignment.json", "prepared.json", "streams.json")


class RunsHere:
    """Everything under `node/runs`. A directory with assignment.json and without exit.json is a run of this node."""

    def __init__(self, home: Path, hosts: Hosts, trees: Trees, builds: Builds, sdk: Path) -> None:
        self._root = home / "node" / "runs"
        self._root.mkdir(parents=True, exist_ok=True)
        self._hosts = hosts
        self._trees = trees
        self._builds = builds
        self._sdk = sdk
        self._lock = threading.RLock()
        self._preparing: dict[str, Preparation] = {}
        self._given: dict[str, tuple[float, int]] = {}  # run -> when handed to a host, how many times
        self._over: set[str] = set()  # cleared away, or known to be over
        self._told_cancel: dict[str, float] = {}
        self._sweep_at = 0.0

    def running(self) -> list[str]:
        """Ids of the runs on this node that are not over."""
        found = []
        for name in self._names():
            if name in self._over:
                continue
            directory = RunDir(self._root / name)
            if directory.exit.exists():
                continue
            if directory.assignment.exists():
                found.append(name)
        return found

    def adopt(self) -> None:
        """After a start: go on with whatever the agent before left."""
        for name in self._names():
            directory = RunDir(self._root / name)
            if directory.exit.exists():
                self._clear(directory)
            else:
                self._go_on(directory)

    def take(self, assignment: RunAssignment) -> None:
        """A run for this node. It is on disk before anything else happens; a known one gets its new token."""
        if os.path.basename(assignment.run_id) != assignment.run_id or assignment.run_id.startswith("."):
            log.error("run id %r can't be a directory's name", assignment.run_id)
            return
        directory = RunDir(self._root / assignment.run_id)
        with self._lock:
            if directory.exit.exists():
                log.info("run %s comes again after it was over here", assignment.run_id)
                shutil.rmtree(directory.path)
            with contextlib.suppress(OSError):  # what is wrong is told by the write that follows
                directory.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            known = directory.assignment.exists()
            try:
                records.write(directory.assignment, assignment)
            except OSError as error:
                self._refuse(directory, assignment, error)
                return
            self._over.discard(assignment.run_id)
            if not known:
                self._prepare(directory, assignment)

    def cancel(self, run_id: str) -> None:
        """Somebody asked to end this run: its run host ends it, or its preparation is given up."""
        self._stop(
            run_id, "cancel", Verdict(RunStatus.CANCELED, time.time(), "Cancelled before the script began.")
        )

    def forget(self, run_id: str) -> None:
        """The yard says this run is over: end what is left of it here, and tell nothing."""
        self._stop(run_id, "forget", Verdict(None, time.time()))

    def tend(self) -> None:
        """Look after hosts that died and runs that are over; called about once a second."""
        for name in self._names():
            if name in self._over or name in self._preparing:
                continue
            directory = RunDir(self._root / name)
            if directory.exit.exists():
                self._clear(directory)
            elif directory.assignment.exists():
                self._go_on(directory)
        if time.monotonic() >= self._sweep_at:
            self._sweep_at = time.monotonic() + _SWEEP_S
            self._sweep()

    def _names(self) -> list[str]:
        try:
            return [n for n in os.listdir(self._root) if not n.startswith(".")]
        except FileNotFoundError:  # somebody deleted all records; the next run makes the directory again
            return []

    def _go_on(self, directory: RunDir) -> None:
        with self._lock:
            if directory.run_id in self._preparing:
                return
            given_at, times = self._given.get(directory.run_id, (0.0, 0))
            if times and time.monotonic() - given_at < min(_LONGEST_PAUSE_S, times * _HAND_OVER_S):
                return  # on its way, or tried just now
            if records.is_locked(directory.host_lock):
                return
            assignment = directory.read_assignment()
            if assignment is None:
                log.error("run %s has no readable assignment.json; left alone", directory.run_id)
                self._over.add(directory.run_id)
            elif directory.host.exists() or directory.verdict.exists():
                if directory.exit.exists():  # ended between the two looks
                    return
                log.warning("run %s lost its run host; another takes over", directory.run_id)
                self._give(directory, recover=True)
            elif directory.prepared.exists() and directory.code.is_dir():
                self._give(directory, recover=False)
            else:
                self._prepare(directory, assignment)

    def _prepare(self, directory: RunDir, assignment: RunAssignment) -> None:
        def settle(verdict: Verdict | None) -> None:
            with self._lock:
                self._preparing.pop(directory.run_id, None)
                self._give(directory, recover=False)

        preparation = Preparation(directory, assignment, self._trees, self._builds, self._sdk, settle)
        self._preparing[directory.run_id] = preparation
        preparation.start()

    def _refuse(self, directory: RunDir, assignment: RunAssignment, error: OSError) -> None:
        """This node can't even write down that it has the run (disk full): say so instead of losing it."""
        log.error("run %s can't be taken in: %s", assignment.run_id, error)
        said = f"The node could not take in the run: {error.strerror or error} ({directory.path})."
        verdict = failed(time.time(), "SystemError", said)
        report = RunStatusReport(RunStatus.FAILED, reason=said, error=verdict.error, at=verdict.at)
        link = Link(directory.home, assignment.token)
        try:
            link.request(
                "POST", workspace_path(assignment.workspace, "runs", assignment.run_id, "status"), report
            )
        except (Away, Refused) as refusal:
            log.error("nor could that be told: %s", refusal)
        finally:
            link.close()

    def _give(self, directory: RunDir, recover: bool) -> None:
        _, times = self._given.get(directory.run_id, (0.0, 0))
        self._given[directory.run_id] = (time.monotonic(), times + 1)
        try:
            self._hosts.start(directory, recover)
        except OSError as error:
            log.error("no run host could be started for %s, trying again: %s", directory.run_id, error)

    def _stop(self, run_id: str, mark: str, verdict: Verdict) -> None:
        directory = RunDir(self._root / os.path.basename(run_id))
        if not directory.assignment.exists() or directory.exit.exists():
            return
        (directory.path / mark).touch()
        with self._lock:
            preparation = self._preparing.get(run_id)
        if preparation is not None:
            preparation.abort(verdict)
            return
        host = records.read_object(directory.host)
        pid, started = host.get("pid"), host.get("started")
        if isinstance(pid, int) and isinstance(started, str) and processes.is_same(pid, started):
            processes.send(pid, signal.SIGTERM)

    def _clear(self, directory: RunDir) -> None:
        """Keep the small record of a run that is over; a run that the yard was never told of is kept whole."""
        self._over.add(directory.run_id)
        self._given.pop(directory.run_id, None)
        ended: dict[str, Any] = records.read_object(directory.exit)
        if not ended.get("told") and not ended.get("stale"):
            return
        for name in _BULKY:
            path = directory.path / name
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def _sweep(self) -> None:
        """Delete the records of runs that were over long ago."""
        ended = []
        for name in self._names():
            try:
                ended.append((os.stat(self._root / name / "exit.json").st_mtime, name))
            except OSError:
                continue
        ended.sort(reverse=True)
        for position, (at, name) in enumerate(ended):
            if position >= _RECORDS_KEPT or time.time() - at > _RECORDS_KEPT_S:
                shutil.rmtree(self._root / name, ignore_errors=True)
                self._over.discard(name)
