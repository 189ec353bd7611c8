"""Keeps the agent of this machine alive; it outlives a killed yard, which finds it again."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from modelyard.server.serve import processes

log = logging.getLogger(__name__)

_BACKOFF_S = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
_STEADY_S = 60.0  # an agent that lived this long starts the backoff over
_STOP_GRACE_S = 8.0
# The yard's own, no business of the scripts that the agent starts.
_YARD_ONLY = ("MODELYARD_DATABASE", "MODELYARD_BLOBS", "MODELYARD_URL", "MODELYARD_TOKEN")


class LocalAgent:
    """The agent process of `home`, started when there is none and again when it dies."""

    def __init__(
        self,
        home: Path,
        url: str,
        slots: int = 0,
        clock: Callable[[], float] = time.monotonic,
        program: Sequence[str] = (sys.executable, "-m", "modelyard.node.agent"),
    ) -> None:
        self._home = home
        self._url = url
        self._slots = slots
        self._clock = clock
        self._program = program
        self._child: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._deaths = 0
        self._not_before = 0.0
        self._lock = threading.Lock()
        self._stopping = False

    def look(self) -> None:
        """One round: adopt the living agent, or start one unless the last ones died too recently."""
        with self._lock:
            if self._stopping or self._is_running():
                return
            now = self._clock()
            if self._child is not None:
                self._note_death(now, self._child.returncode)
            if now < self._not_before:
                return
            self._start(now)

    def stop(self) -> None:
        """End the agent and wait for it. Runs and services that it started go on."""
        with self._lock:
            self._stopping = True
            pid, start = agent_process(self._home)
            if self._child is not None and self._child.poll() is None:
                self._child.terminate()
                try:
                    self._child.wait(_STOP_GRACE_S)
                except subprocess.TimeoutExpired:
                    self._child.kill()
                    self._child.wait()
            processes.end(pid, start, _STOP_GRACE_S)

    def _is_running(self) -> bool:
        if self._child is not None and self._child.poll() is None:
            return True
        pid, start = agent_process(self._home)
        if not processes.is_alive(pid, start):
            return False
        if self._url not in processes.command_line(pid):
            # Left from a yard that was killed and is back at another address.
            log.info("the agent (pid %d) speaks to another address; it is replaced", pid)
            processes.end(pid, start, _STOP_GRACE_S)
            return False
        return True

    def _note_death(self, now: float, code: int | None) -> None:
        self._deaths = 1 if now - self._started_at > _STEADY_S else self._deaths + 1
        pause = _BACKOFF_S[min(self._deaths, len(_BACKOFF_S) - 1)]
        self._not_before = now + pause
        self._child = None
        log.warning(
            "the agent ended with %s; the next starts in %.1f s (see %s)", code, pause, self._log_file
        )

    @property
    def _log_file(self) -> Path:
        return self._home / "node" / "logs" / "agent.log"

    def _start(self, now: float) -> None:
        environ = {k: v for k, v in os.environ.items() if k not in _YARD_ONLY}
        command = [*self._program, "--home", str(self._home), "--url", self._url]
        if self._slots:
            command += ["--slots", str(self._slots)]
        self._log_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(self._log_file, "ab") as output:
            # A session of its own: Ctrl-C in the yard's terminal, or the yard's end, is not the agent's.
            self._child = subprocess.Popen(
                command,
                env=environ,
                cwd=self._home,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._started_at = now
        log.info("started the agent, pid %d", self._child.pid)


def agent_process(home: Path) -> tuple[int, str]:
    """Pid and start time by the agent's own word in node/agent.json; (0, "") without one."""
    try:
        value = json.loads((home / "node" / "agent.json").read_text("utf-8"))
        pid = int(value["pid"])
        start = str(value.get("start") or value.get("start_time") or "")
    except (OSError, ValueError, KeyError, TypeError):
        return 0, ""
    return pid, start
