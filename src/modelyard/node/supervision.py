"""Watches over a running script: its end, its time limit, and a wish to end it."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import subprocess
import threading
import time

from modelyard.node import failure, host_script, processes
from modelyard.node.records import RunDir
from modelyard.node.verdict import Verdict, failed
from modelyard.wire.runs import RunStatus

log = logging.getLogger(__name__)

_GRACE_S = 10.0
_LEFTOVER_GRACE_S = 2.0  # for what a script leaves behind when it has ended by itself


class Supervision:
    """Waits, in the main thread, for whatever comes first: the script's end, SIGTERM, a word from the yard, the limit.

    `tell` may be called from any thread with "cancel" (somebody asked), "stale" (the run is not ours any more) or
    "look" (the agent may have left a mark).
    """

    def __init__(self, directory: RunDir, max_duration_s: float | None) -> None:
        self._directory = directory
        self._max_duration_s = max_duration_s
        self._mark = host_script.mark(directory)
        self._wishes: set[str] = set()
        self._lock = threading.Lock()
        self._read_end, self._write_end = os.pipe()
        os.set_blocking(self._read_end, False)
        os.set_blocking(self._write_end, False)
        self._script: subprocess.Popen[bytes] | None = None
        self._exit_code: int | None = None
        self.grace_s = float(os.environ.get("MODELYARD_CANCEL_GRACE_S", _GRACE_S))
        signal.set_wakeup_fd(self._write_end, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda _number, _frame: self.tell("signal"))
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)

    def tell(self, wish: str) -> None:
        with self._lock:
            self._wishes.add(wish)
        with contextlib.suppress(BlockingIOError):
            os.write(self._write_end, b"\0")

    def members(self) -> set[int]:
        """Living processes of the run."""
        return processes.tree(os.getpid(), self._mark)

    def reap(self) -> None:
        """Take in ended children: the script, and orphans of it that became ours."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if self._script is not None and pid == self._script.pid:
                self._exit_code = os.waitstatus_to_exitcode(status)
                self._script.returncode = self._exit_code

    def run(self, script: subprocess.Popen[bytes]) -> Verdict:
        """Wait for the script to end, or end it and all its processes; answer how it went."""
        self._script = script
        self.tell("look")  # at the agent's marks: one may have been left before a signal could reach us
        limit = None if self._max_duration_s is None else time.monotonic() + self._max_duration_s
        while True:
            self.reap()
            if self._exit_code is not None:
                verdict = self._of_exit()
                self._end(min(_LEFTOVER_GRACE_S, self.grace_s))
                return verdict
            if self._wishes:
                wish = self._wish()
                if wish is not None:
                    log.info("ending the script: %s", wish)
                    self._end(self.grace_s)
                    return self._of_wish(wish)
            if limit is not None and time.monotonic() >= limit:
                said = f"The run took longer than its limit of {self._max_duration_s:g} s and was ended."
                self._end(self.grace_s)
                verdict = failed(time.time(), "TimedOut", said)
                return Verdict(verdict.status, verdict.at, said, self._exit_code, verdict.error)
            pause_s = None if limit is None else max(0.0, limit - time.monotonic())
            select.select([self._read_end], [], [], pause_s)
            with contextlib.suppress(BlockingIOError):
                os.read(self._read_end, 4096)

    def _end(self, grace_s: float) -> None:
        if not processes.end(self.members, grace_s, self.reap):
            log.error("some processes of the run could not be ended: %s", sorted(self.members()))

    def _wish(self) -> str | None:
        with self._lock:
            wishes = set(self._wishes)
            self._wishes.clear()
        if self._directory.forget.exists() or "stale" in wishes:
            return "stale"
        if self._directory.cancel.exists() or "cancel" in wishes:
            return "cancel"
        return "signal" if "signal" in wishes else None

    def _of_wish(self, wish: str) -> Verdict:
        now = time.time()
        if wish == "stale":
            return Verdict(None, now)
        if wish == "cancel":
            return Verdict(RunStatus.CANCELED, now, "Cancelled on request.", self._exit_code)
        return failed(
            now,
            "SystemError",
            "The run host was told to end by a signal: the machine shuts down, or somebody ended it.",
        )

    def _of_exit(self) -> Verdict:
        assert self._exit_code is not None
        error = failure.of_exit(self._exit_code, self._directory.std_log, self._directory.code)
        status = RunStatus.COMPLETED if error is None else RunStatus.FAILED
        return Verdict(status, time.time(), error.message if error else "", self._exit_code, error)
