"""The keeper process of one web service: started, told of changes, taken up after a restart, ended."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import time
from pathlib import Path

from modelyard.node import processes, records

log = logging.getLogger(__name__)

_MODULE = "modelyard.scoring.keeper"
_LOOK_S = 0.05
_PAUSES_S = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0)  # before a keeper that ended is started again
_HEALTHY_S = 60.0  # one that lived this long starts the pauses anew


class Keeping:
    """Keeps the keeper of `directory` alive. It is known by pid and start time, so it outlives the agent."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._record = directory / "keeper.json"
        self._child: subprocess.Popen[bytes] | None = None
        self._starts = 0
        self._started_at = 0.0

    def ensure(self) -> None:
        """Start the keeper if none lives. Raises OSError."""
        if self._pid() is not None:
            return
        lived_s = time.monotonic() - self._started_at
        if lived_s > _HEALTHY_S:
            self._starts = 0
        if lived_s < _PAUSES_S[min(self._starts, len(_PAUSES_S) - 1)]:
            return
        self._starts += 1
        self._started_at = time.monotonic()
        (self._directory / "logs").mkdir(exist_ok=True)
        with open(self._directory / "logs" / "keeper.log", "ab") as log_file:
            self._child = subprocess.Popen(
                [sys.executable, "-m", _MODULE, str(self._directory)],
                stdin=subprocess.DEVNULL,
                stdout=log_file,
                stderr=log_file,
                start_new_session=True,
            )
        pid = self._child.pid
        records.write(self._record, {"pid": pid, "started": processes.started(pid)})

    def reload(self) -> None:
        """Make the keeper read service.json again, at once rather than at its next look; no keeper: nothing to tell."""
        pid = self._pid()
        # Its status.json says that it takes signals by now; one that is still starting would die of SIGHUP.
        if pid is not None and records.read_object(self._directory / "status.json").get("pid") == pid:
            processes.send(pid, signal.SIGHUP)

    def end(self, patience_s: float) -> None:
        """Ask the keeper to end its scoring hosts and itself, and see to it that they are gone."""
        settings = records.read_object(self._directory / "service.json")
        if not settings:
            return
        records.write(self._directory / "service.json", {**settings, "stop": True})
        if self._pid() is None:
            # Its scoring hosts may have outlived it: a keeper told to stop takes them over and ends them.
            self._starts = 0
            self.ensure()
        pid = self._pid()
        if pid is None:
            return
        self.reload()
        if self._gone_within(patience_s / 2):
            return
        processes.send(pid, signal.SIGTERM)
        if self._gone_within(patience_s / 2):
            return
        members = processes.tree(pid, "") | {pid}
        log.warning("keeper %s did not end; killing %s", pid, sorted(members))
        processes.end(lambda: {p for p in members if processes.started(p)}, 0.0, self._reap)

    def let_go(self) -> None:
        """Leave the keeper to itself; the next agent finds it by its record."""
        if self._child is not None:
            self._child.returncode = 0  # not ours to wait for any more
            self._child = None

    def _gone_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self._pid() is not None:
            if time.monotonic() > deadline:
                return False
            time.sleep(_LOOK_S)
        return True

    def _pid(self) -> int | None:
        """The living keeper's process id."""
        self._reap()
        known = records.read_object(self._record)
        pid, started = known.get("pid"), known.get("started")
        if isinstance(pid, int) and isinstance(started, str) and processes.is_same(pid, started):
            return pid
        return None

    def _reap(self) -> None:
        if self._child is not None and self._child.poll() is not None:
            self._child = None
