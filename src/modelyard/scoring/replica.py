"""One scoring host as the keeper sees it: started or found again, listened to, ended."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from typing import Any, Dict, Iterable, List, Optional

from modelyard.activation import activated
from modelyard.scoring import control
from modelyard.scoring.config import ServiceConfig
from modelyard.wire import codec


class Replica:
    """`state`: starting, ready, failed (its init() did), draining, gone."""

    def __init__(
        self, channel: control.ControlChannel, revision: int, digest: str, slot: int, pid: int, started: int
    ) -> None:
        self.channel = channel
        self.socket_name = control.socket_name_of(revision, digest, slot, pid, started)
        self.revision = revision  # the one it has been told of last
        self.digest = digest
        self.slot = slot
        self.pid = pid
        self.started = started
        self.state = "starting"
        self.since_s = time.monotonic()  # when it got into this state
        self.kill_at_s = 0.0  # of a draining one; 0: not yet
        self.error: Optional[Dict[str, str]] = None
        self.swagger: Optional[Dict[str, Any]] = None
        self.process: Optional[subprocess.Popen[bytes]] = None

    def enter(self, state: str) -> None:
        self.state = state
        self.since_s = time.monotonic()

    def receive(self) -> bool:
        """Take in what it said. False: the process is ending."""
        messages, alive = self.channel.receive()
        for message in messages:
            state = message.get("state")
            if state == "ready" and self.state == "starting":
                self.swagger = message.get("swagger")
                self.enter("ready")
            elif state == "configured":
                self.revision = int(message["revision"])
            elif state == "failed":
                self.error = message.get("error")
                self.enter("failed")
            elif state == "draining" and self.state != "draining":
                self.enter("draining")  # somebody sent it SIGTERM, or the keeper before this one did
        return alive

    def drain(self, idle_s: float, at_most_s: float) -> None:
        """Let it answer what it has and end. One that does not answer yet has nothing to finish."""
        if self.state != "ready":
            self.kill()
            self.enter("draining")
            return
        self.channel.send({"do": "drain", "idle_s": idle_s})
        self.enter("draining")
        self.kill_at_s = time.monotonic() + at_most_s

    def give_up(self, error: Dict[str, str]) -> None:
        """End one whose init() takes too long; SIGABRT makes it write to the log where it is."""
        self.error = error
        self.enter("failed")
        try:
            os.kill(self.pid, signal.SIGABRT)
        except ProcessLookupError:
            pass  # it has just ended

    def kill(self) -> None:
        """SIGKILL to it and whatever its user's code started in its session."""
        if self.process is None and control.process_started(self.pid) != self.started:
            return  # found again, and gone since: the number may be another process's now
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass  # it is gone already

    @property
    def has_timed_out(self) -> bool:
        return self.process is not None and self.process.returncode == control.EXIT_TIMED_OUT

    def exit_words(self) -> str:
        """How the process ended; waits for it, as its connection has ended already."""
        if self.process is None:
            return "ended"
        try:
            code = self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.kill()
            code = self.process.wait()
        if code == control.EXIT_TIMED_OUT:
            return "ended itself because run() took too long"
        if code == -signal.SIGKILL:
            return "was killed by SIGKILL, as the system does when memory runs out"
        if code < 0:
            return f"was killed by {signal.Signals(-code).name}"
        return f"ended with exit code {code}"


def start(config: ServiceConfig, slot: int, listener: socket.socket, log: int) -> Replica:
    """Start a scoring host in the environment's Python. Raises OSError where that cannot be started."""
    ours, theirs = socket.socketpair()
    try:
        process = subprocess.Popen(
            [
                config.python,
                *("-m", "modelyard.scoring.host", "--control", str(theirs.fileno())),
                *("--listen", str(listener.fileno()), "--slot", str(slot)),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=process_environment(config),
            pass_fds=(theirs.fileno(), listener.fileno()),
            start_new_session=True,
        )
    except OSError:
        ours.close()
        raise
    finally:
        theirs.close()
    channel = control.ControlChannel(ours)
    channel.send(codec.to_json(config))
    started = control.process_started(process.pid)
    replica = Replica(channel, config.revision, config.digest, slot, process.pid, started)
    replica.process = process
    return replica


def process_environment(config: ServiceConfig) -> Dict[str, str]:
    """The variables that a process of the service starts with: this machine's, under the configuration's, under ours."""
    environment = activated(config.python, os.environ)
    environment.update(config.variables)
    paths = [path for path in (config.python_path, config.variables.get("PYTHONPATH", "")) if path]
    if paths:
        environment["PYTHONPATH"] = os.pathsep.join(paths)
    return environment


def find_all(known: Iterable[int] = ()) -> List[Replica]:
    """The replicas of this service that run already, started by a keeper before this one; not those
    whose pids are `known`. Sockets that nobody listens on
    any more are removed."""
    found = []
    for name in sorted(os.listdir(control.REPLICAS_DIR)):
        parsed = control.parse_socket_name(name)
        if parsed is None or parsed[3] in known:
            continue
        path = os.path.join(control.REPLICAS_DIR, name)
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.connect(path)
        except OSError:
            sock.close()
            remove_socket(path)
            continue
        revision, digest, slot, pid, started = parsed
        found.append(Replica(control.ControlChannel(sock), revision, digest, slot, pid, started))
    return found


def remove_socket(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass  # the replica was faster
