"""The run host: one small process per run, parent of the user's script, detached from agent and yard.

    python -m modelyard.node.run_host RUN_DIR [--recover]
    python -m modelyard.node.run_host --fork-server (a run host for each RUN_DIR that standard input names)

It starts the script, sends on what the script writes, ends the script's whole tree when it should end, and tells the
yard how it ended. The yard may be away all the while, and this process may be killed: everything is on disk first.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from modelyard import machine
from modelyard.node import host_script, processes, records
from modelyard.node.collection import Collection
from modelyard.node.host_script import CannotStart, Prepared
from modelyard.node.link import Away, Link, Refused, Stale, patiently
from modelyard.node.records import RunDir
from modelyard.node.reporter import Reporter
from modelyard.node.shipping import Shipping, SystemMetrics
from modelyard.node.supervision import Supervision
from modelyard.node.verdict import Verdict
from modelyard.wire import codec
from modelyard.wire.compute import RunAssignment
from modelyard.wire.runs import RunError, RunStatus, RunStatusReport

log = logging.getLogger("modelyard.run_host")

_SEND_PATIENCE_S = 24 * 3600.0


class RunHost:
    """One run, from its directory to its `exit.json`."""

    def __init__(self, directory: RunDir, assignment: RunAssignment, recover: bool) -> None:
        self._directory = directory
        self._assignment = assignment
        self._recover = recover
        value = records.read(directory.prepared)
        self._prepared = codec.from_json(Prepared, value) if value else Prepared(sys.executable, "")
        self._link = Link(directory.home, assignment.token)
        self._supervision = Supervision(directory, assignment.spec.max_duration_s)
        self._reporter = Reporter(directory, assignment, self._link, self._supervision.tell)
        self._stop = threading.Event()
        self._patience_s = float(os.environ.get("MODELYARD_SEND_PATIENCE_S", _SEND_PATIENCE_S))

    def run(self) -> None:
        verdict = Verdict.read(self._directory)
        shipping: Shipping | None = None
        if verdict is None and self._recover:
            verdict = self._lost()
        if verdict is None:
            verdict, shipping = self._run_script()
        self._reporter.start() if shipping is None else None
        if verdict.status is None:
            self._done(None, told=True)
            return
        if shipping is None:
            shipping = Shipping(
                self._directory, self._assignment.workspace, self._link, self._reporter, known=True
            )
            shipping.start()
        self._finish(verdict, shipping)

    def _run_script(self) -> tuple[Verdict, Shipping]:
        directory, assignment = self._directory, self._assignment
        started_at = time.time()
        verdict: Verdict | None = None
        script: subprocess.Popen[bytes] | None = None
        try:
            if directory.cancel.exists():
                verdict = Verdict(RunStatus.CANCELED, started_at, "Cancelled before the script began.")
            else:
                script = host_script.start(directory, assignment, self._prepared, self._link.url)
        except (CannotStart, OSError) as error:
            verdict = Verdict(RunStatus.FAILED, time.time(), error=RunError("UserError", str(error)))
        if verdict is not None:
            verdict.write(directory)
        if script is not None:
            with contextlib.suppress(OSError):  # for people; a full disk must not cost the run
                known = {**_myself(), "script": script.pid, "script_started": processes.started(script.pid)}
                records.write(directory.host, known)
        self._reporter.tell(RunStatusReport(RunStatus.STARTING, at=started_at))
        if script is not None:
            self._reporter.tell(self._running(started_at))
        self._reporter.start()
        shipping = Shipping(directory, assignment.workspace, self._link, self._reporter, known=False)
        shipping.start()
        if script is not None:
            metrics = SystemMetrics(directory, self._supervision.members)
            metrics.start()
            verdict = self._supervision.run(script)
            verdict.write(directory)
            metrics.stop()
        assert verdict is not None
        return verdict, shipping

    def _running(self, at: float) -> RunStatusReport:
        known = records.read_object(self._directory.home / "node" / "machine.json")
        return RunStatusReport(
            RunStatus.RUNNING,
            at=at,
            machine=known or machine.record(),
            environment_hash=self._prepared.content_hash,
            environment_lock=self._prepared.lock,
            warnings=list(self._prepared.notes),
        )

    def _lost(self) -> Verdict:
        """The host before this one is gone without a verdict: end what is left of the script and say so."""
        before = records.read_object(self._directory.host)
        log.warning("taking over from run host %s, which is gone", before.get("before", before.get("pid")))
        processes.end(self._supervision.members, self._supervision.grace_s, self._supervision.reap)
        if self._directory.forget.exists():
            return Verdict(None, time.time())
        if self._directory.cancel.exists():
            verdict = Verdict(RunStatus.CANCELED, time.time())
        else:
            said = "The run host of this run was lost (killed, or the machine restarted), so how the script ended is not known."
            verdict = Verdict(RunStatus.FAILED, time.time(), reason=said, error=RunError("LostRunHost", said))
        verdict.write(self._directory)
        return verdict

    def _finish(self, verdict: Verdict, shipping: Shipping) -> None:
        assert verdict.status is not None
        deadline = time.monotonic() + self._patience_s
        self._reporter.tell(RunStatusReport(RunStatus.FINALIZING, at=verdict.at))
        told = False
        try:
            shipping.finish(deadline)
            collection = Collection(
                self._directory,
                self._assignment.workspace,
                self._link,
                lambda action: patiently(lambda: self._with_token(action), deadline, self._stop),
            )
            collection.run()
            self._reporter.tell(
                RunStatusReport(
                    verdict.status,
                    reason=verdict.reason,
                    exit_code=verdict.exit_code,
                    error=verdict.error,
                    at=verdict.at,
                    warnings=[*shipping.warnings, *collection.warnings],
                )
            )
            told = self._reporter.wait_told(deadline)
        except Stale as error:
            self._reporter.gone(error)
        except Refused as error:
            if error.status != 404:
                raise
            self._reporter.gone(error)
        except Away as error:
            log.error("the yard stayed away for %s s, giving up: %s", self._patience_s, error)
        self._done(verdict, told)

    def _with_token(self, action: object) -> None:
        assert callable(action)
        try:
            action()
        except Stale:
            if not self._reporter.renew():
                raise
            action()

    def _done(self, verdict: Verdict | None, told: bool) -> None:
        self._reporter.close()
        records.write(
            self._directory.exit,
            {
                "status": verdict.status.value if verdict and verdict.status else "",
                "exit_code": verdict.exit_code if verdict else None,
                "told": told,
                "stale": self._reporter.is_stale,
                "at": time.time(),
            },
        )


def _myself() -> dict[str, object]:
    return {"pid": os.getpid(), "started": processes.started(os.getpid())}


def _lock(directory: RunDir) -> int | None:
    """Hold the run. A few tries, because the agent takes the lock for a moment to see whether a host has it."""
    for _ in range(20):
        held = records.lock(directory.host_lock)
        if held is not None:
            return held
        time.sleep(0.01)
    return None


def take(directory: RunDir, recover: bool) -> int:
    """Run the run in `directory`, unless another host has it or it is over."""
    log_file = os.open(directory.path / "host.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(log_file, 1)
    os.dup2(log_file, 2)
    os.close(nothing)
    os.close(log_file)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", force=True)
    if _lock(directory) is None:
        log.info("another run host has this run")
        return 0
    assignment = directory.read_assignment()
    if assignment is None or directory.exit.exists():
        log.info("nothing to do")
        return 0
    # A host.json that is there already means that the script was, or may have been, started.
    before = records.read_object(directory.host)
    recover = recover or bool(before)
    processes.adopt_orphans()
    # Not forced to disk before the script starts but right after: only a power cut in these few milliseconds
    # could start it twice, and the script's first line does not wait for a disk.
    marked = {**_myself(), **({"before": before.get("pid")} if before else {})}
    records.write(directory.host, marked, durable=False)
    RunHost(directory, assignment, recover).run()
    return 0


def fork_for_each() -> str:
    """Fork for each line of standard input. Comes back in each child with its line, and in the parent, at the end, with ""."""
    # Children are nobody's business here: whoever forked them is not asked how they ended.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    gc.collect()
    gc.freeze()  # what is loaded stays shared with the children: a collection there would copy it
    while line := sys.stdin.buffer.readline().rstrip(b"\n"):
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setsid()
            return os.fsdecode(line)
    return ""


def main(arguments: list[str]) -> int:
    if arguments == ["--fork-server"]:
        line = fork_for_each()
        if not line:
            return 0  # the agent is gone
        arguments = [line]
    return take(RunDir(Path(arguments[0])), recover="--recover" in arguments[1:])


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
