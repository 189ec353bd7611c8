"""The run host's word to the yard: statuses in order, heartbeats, and what it hears back."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable

from modelyard.node.link import Away, Link, Pause, Refused, Stale, workspace_path
from modelyard.node.records import RunDir
from modelyard.wire.compute import RunAssignment
from modelyard.wire.runs import Heartbeat, HeartbeatAnswer, RunStatusReport

log = logging.getLogger(__name__)

HEARTBEAT_S = 5.0
_FIRST_HEARTBEAT_S = 1.0  # a cancel may have come while the run was on its way here


class Reporter:
    """Tells statuses in the order given and a heartbeat every few seconds, from a thread of its own, for as long as
    the yard may be away. `heard` is called with "cancel" or "stale" when the yard says so.
    """

    def __init__(
        self, directory: RunDir, assignment: RunAssignment, link: Link, heard: Callable[[str], None]
    ) -> None:
        self._directory = directory
        self._assignment = assignment
        self._link = link
        self._heard = heard
        self._reports: deque[RunStatusReport] = deque()
        self._wake = threading.Event()
        self._closed = threading.Event()
        self._empty = threading.Event()
        self._empty.set()
        self.is_stale = False
        self._thread = threading.Thread(target=self._run, name="reporter", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def tell(self, report: RunStatusReport) -> None:
        """Send `report` when those before it are sent; returns at once."""
        self._empty.clear()
        self._reports.append(report)
        self._wake.set()

    def wait_told(self, deadline: float) -> bool:
        """Wait until everything told so far has arrived. False at `deadline` (time.monotonic) or when stale."""
        while not self._empty.wait(0.2):
            if self.is_stale or time.monotonic() > deadline:
                return False
        return not self.is_stale

    def close(self) -> None:
        self._closed.set()
        self._wake.set()

    def renew(self) -> bool:
        """After a 401: whether the agent was given a newer token for this same run meanwhile; then it is used."""
        newer = self._directory.read_assignment()
        if newer is None or newer.token == self._link.token:
            return False
        self._link.use(newer.token)
        return True

    def gone(self, error: Refused) -> None:
        """The yard does not know our token or our run any more: somebody else has it, or nobody."""
        log.warning("the yard does not know this run host any more: %s", error)
        self.is_stale = True
        self._heard("stale")

    def _run(self) -> None:
        pause = Pause(self._closed)
        beat_at = time.monotonic() + _FIRST_HEARTBEAT_S
        while not self._closed.is_set() and not self.is_stale:
            self._wake.clear()
            try:
                while self._reports:
                    self._send(self._reports[0])
                    self._reports.popleft()
                self._empty.set()
                if time.monotonic() >= beat_at:
                    self._beat()
                    beat_at = time.monotonic() + HEARTBEAT_S
                pause.reset()
            except Away as error:
                log.info("%s", error)
                pause.wait()
                continue
            except Stale as error:
                if not self.renew():
                    self.gone(error)
                continue
            self._wake.wait(max(0.0, beat_at - time.monotonic()))

    def _send(self, report: RunStatusReport) -> None:
        try:
            self._link.request("POST", self._path("status"), report)
        except Stale:
            raise
        except Refused as error:
            if error.status == 404:
                self.gone(error)
                return
            # The yard is ahead of us: cancelled before we began, or given up while we were cut off.
            log.warning("status %s was refused: %s", report.status.value, error)

    def _beat(self) -> None:
        try:
            answer = self._link.ask(HeartbeatAnswer, "POST", self._path("heartbeat"), Heartbeat(os.getpid()))
        except Stale:
            raise
        except Refused as error:
            if error.status == 404:
                self.gone(error)
            log.warning("heartbeat was refused: %s", error)
            return
        if answer.cancel_requested:
            self._heard("cancel")

    def _path(self, what: str) -> str:
        return workspace_path(self._assignment.workspace, "runs", self._assignment.run_id, what)
