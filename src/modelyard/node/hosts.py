"""Starts run hosts and lets go of them; keeps one idle, so that a run does not wait for a Python to start."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from modelyard.node.records import RunDir

log = logging.getLogger(__name__)

_MODULE = "modelyard.node.run_host"
_WARM_DELAY_S = 1.0  # the script that has just started needs the cores more


class Hosts:
    """Run hosts that this agent started. They live in sessions of their own and outlive the agent."""

    def __init__(self, logs: Path) -> None:
        self._log = logs / "run_hosts.log"
        self._lock = threading.Lock()
        self._children: list[subprocess.Popen[bytes]] = []
        self._idle: subprocess.Popen[bytes] | None = None
        self._warm_at: float | None = time.monotonic()
        self._closed = False

    def start(self, directory: RunDir, recover: bool = False) -> None:
        """Give the run to a host. Raises OSError if none can be started."""
        with self._lock:
            if not recover and self._hand_over(directory):
                return
            arguments = [str(directory.path)] + (["--recover"] if recover else [])
            self._children.append(self._spawn(arguments))

    def tend(self) -> None:
        """Reap hosts that ended and warm up the next idle one when it is time; called about once a second."""
        with self._lock:
            self._children = [child for child in self._children if child.poll() is None]
            if self._idle is not None and self._idle.poll() is not None:
                log.warning("the idle run host ended with %s", self._idle.returncode)
                self._idle = None
                self._warm_at = time.monotonic() + 10 * _WARM_DELAY_S
            due = self._warm_at is not None and time.monotonic() >= self._warm_at
            if due and self._idle is None and not self._closed:
                self._idle = self._spawn(["--wait"])
                self._warm_at = None

    def close(self) -> None:
        """End the idle host; those with a run go on."""
        with self._lock:
            self._closed = True
            if self._idle is not None:
                assert self._idle.stdin is not None
                self._idle.stdin.close()
                self._idle.wait()
                self._idle = None

    def _hand_over(self, directory: RunDir) -> bool:
        idle = self._idle
        if idle is None or idle.poll() is not None:
            return False
        assert idle.stdin is not None
        try:
            idle.stdin.write(os.fsencode(directory.path) + b"\n")
            idle.stdin.close()
        except OSError:
            return False
        finally:
            self._idle = None
            self._warm_at = time.monotonic() + _WARM_DELAY_S
        self._children.append(idle)
        return True

    def _spawn(self, arguments: list[str]) -> subprocess.Popen[bytes]:
        with open(self._log, "ab") as file:
            return subprocess.Popen(
                [sys.executable, "-m", _MODULE, *arguments],
                stdin=subprocess.PIPE if arguments == ["--wait"] else subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
