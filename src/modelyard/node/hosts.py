"""Starts run hosts and lets go of them: forks of a process that has all they need loaded, so that no run waits for a Python
to start."""

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
_PAUSE_S = 10.0  # before a fork server that ended is started again


class Hosts:
    """Run hosts that this agent started. They live in sessions of their own and outlive the agent."""

    def __init__(self, logs: Path) -> None:
        self._log = logs / "run_hosts.log"
        self._lock = threading.Lock()
        self._children: list[subprocess.Popen[bytes]] = []
        self._server: subprocess.Popen[bytes] | None = None  # the fork server
        self._server_at = 0.0
        self._closed = False

    def start(self, directory: RunDir, recover: bool = False) -> None:
        """Give the run to a host. Raises OSError if none can be started."""
        with self._lock:
            if not recover and self._fork(directory):
                return
            arguments = [str(directory.path)] + (["--recover"] if recover else [])
            self._children.append(self._spawn(arguments))

    def tend(self) -> None:
        """Reap what ended and see to it that there is a fork server; called about once a second."""
        with self._lock:
            self._children = [child for child in self._children if child.poll() is None]
            if self._server is not None and self._server.poll() is not None:
                log.warning("the fork server of run hosts ended with %s", self._server.returncode)
                self._let_go_of_server()
                self._server_at = time.monotonic() + _PAUSE_S
            if self._server is None and not self._closed and time.monotonic() >= self._server_at:
                self._server = self._spawn(["--fork-server"])

    def close(self) -> None:
        """End the fork server; hosts go on."""
        with self._lock:
            self._closed = True
            for child in self._children:
                child.returncode = 0  # not ours to wait for any more
            self._let_go_of_server()

    def _let_go_of_server(self) -> None:
        if self._server is not None:
            assert self._server.stdin is not None
            self._server.stdin.close()  # that is how it learns of its end
            self._server.wait()
            self._server = None

    def _fork(self, directory: RunDir) -> bool:
        """Whether the fork server was told. If it is killed before it forks, the run has no host, as when a host is killed
        early: the agent sees that nobody holds the run's lock, and gives it again."""
        server = self._server
        if server is None or server.poll() is not None:
            return False
        assert server.stdin is not None
        try:
            server.stdin.write(os.fsencode(directory.path) + b"\n")
            server.stdin.flush()
        except OSError:
            return False
        return True

    def _spawn(self, arguments: list[str]) -> subprocess.Popen[bytes]:
        with open(self._log, "ab") as file:
            return subprocess.Popen(
                [sys.executable, "-m", _MODULE, *arguments],
                stdin=subprocess.PIPE if arguments == ["--fork-server"] else subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
