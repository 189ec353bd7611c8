"""Keeps one web service running: `python -m modelyard.scoring.keeper <service dir>`.

Reads `service.json`, writes `status.json`. SIGHUP: read again. SIGTERM, or `"stop": true`: drain and end. It may be
killed at any time: the replicas go on, and the next keeper of the directory takes them over.
"""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import selectors
import signal
import socket
import sys
import time
from typing import Any, Dict, List, Optional, Set, Tuple

from modelyard.scoring import config as configuration
from modelyard.scoring import control, replica, telemetry
from modelyard.scoring.config import ServiceConfig
from modelyard.scoring.listening import Listeners, PortTaken, address_of
from modelyard.scoring.log_file import LogFile
from modelyard.scoring.status import Outlook, service_status, write_json
from modelyard.wire import codec

TICK_S = 0.5
STATUS_EVERY_S = 2.0
DRAIN_IDLE_S = 10.0  # how long the old revision waits for one more request on each open connection
STOP_IDLE_S = 0.5
KILL_GRACE_S = 2.0  # after a timeout that the replica itself should have acted on
CRASH_WINDOW_S = 60.0
BACKOFF_MAX_S = 30.0
PORT_RETRY_S = 1.0
EXIT_ALREADY_KEPT = 3
_PORT = "port"  # beside digests in the table of retries


class Keeper:
    """Works in the current directory. `run()` returns when the service has been stopped."""

    def __init__(self) -> None:
        os.makedirs(control.REPLICAS_DIR, mode=0o700, exist_ok=True)
        self.log = LogFile(control.LOG_FILE)
        self.telemetry = telemetry.Telemetry(control.TELEMETRY_FILE)
        self.selector = selectors.DefaultSelector()
        self.replicas: List[replica.Replica] = []
        self.listeners = Listeners()
        self.wanted: Optional[ServiceConfig] = None
        self.active: Optional[ServiceConfig] = None  # answers until the wanted one does
        self.outlook = Outlook()
        self._failed_digest = ""
        self._retry_at: Dict[str, float] = {}
        self._crashes: List[float] = []
        self._asked_listener_of: Set[int] = set()
        self._stopping = False
        self._status_at = 0.0
        self._config_read: Tuple[Any, float] = (None, 0.0)  # what the file was like, and when that was seen
        self._last_status: Dict[str, Any] = {}
        self._recall()

    def _recall(self) -> None:
        """What the keeper before this one left."""
        before = _read_json("status.json")
        self.port = int(before.get("port") or 0)
        try:
            self.active = configuration.read("active.json")
        except configuration.ConfigError:
            self.active = None  # the first start, or one that never became ready
        for found in replica.find_all():
            self.log.say(f"found replica {found.pid} of revision {found.revision} running")
            self._take_in(found)
        used = {r.slot for r in self.replicas}
        for number in range(1, telemetry.SLOTS):
            if number not in used:
                self.telemetry.retire(number)

    # -- the loop

    def run(self) -> None:
        awake, waker = socket.socketpair()
        for end in (awake, waker):
            end.setblocking(False)
        signal.set_wakeup_fd(waker.fileno())
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        self.selector.register(awake, selectors.EVENT_READ, None)
        self.read_config()
        while True:
            self.reconcile(time.monotonic())
            self._write_status()
            if self._stopping and not self.replicas:
                return
            for key, _ in self.selector.select(self._wait_s()):
                if key.data is None:
                    self._on_signals(awake.recv(64))
                else:
                    self._on_replica(key.data)

    def _wait_s(self) -> float:
        """Until something has to be looked at without being told."""
        now = time.monotonic()
        due = [at - now for at in self._retry_at.values()] + [TICK_S]
        return max(min(due), 0.01)

    def _on_signals(self, numbers: bytes) -> None:
        if signal.SIGTERM in numbers or signal.SIGINT in numbers:
            self._stopping = True
        if signal.SIGHUP in numbers:
            stamp, at = self._config_read
            # A hint that comes just after the change was seen anyway must not start a failed revision twice.
            if stamp != _file_stamp("service.json") or time.monotonic() - at > 2 * TICK_S:
                self.read_config()

    def read_config(self) -> None:
        self._config_read = (_file_stamp("service.json"), time.monotonic())
        try:
            wanted = configuration.read("service.json")
        except configuration.ConfigError as error:
            self.outlook.config_error = str(error)
            self.log.say(str(error))
            return
        self.outlook.config_error = ""
        before = self.active or self.wanted
        if before is not None and wanted.port in (0, self.port):
            wanted = dataclasses.replace(wanted, port=before.port)  # the one it has, which is no change
        if wanted.digest != self._failed_digest:
            self._failed_digest = ""
            self.outlook.error = None
        self._retry_at.clear()
        self._crashes.clear()
        self.wanted = wanted
        if wanted.stop:
            self._stopping = True
        for one in self.replicas:
            if one.state != "draining":
                one.channel.send({"do": "configure", "config": codec.to_json(wanted)})

    # -- bringing about what is wanted

    def reconcile(self, now: float) -> None:
        self._look_after(now)
        if self._stopping:
            for one in self.replicas:
                if one.state != "draining":
                    one.drain(STOP_IDLE_S, self._patience_s())
            return
        wanted, active = self.wanted, self.active
        if wanted is None:
            return
        targets = [wanted] if wanted.digest != self._failed_digest else []
        if active is not None and active.digest != wanted.digest:
            targets.append(active)
        for target in targets:
            if self._have_listener(target, now):
                self._keep_count(target, wanted.replicas, now)
        if self._ready(wanted) >= wanted.replicas:
            if active != wanted:
                self.log.say(f"revision {wanted.revision} answers")
                self._activate(wanted)
            self.outlook.error = None
            targets = [wanted]
        self._let_go_of_others({target.digest for target in targets})

    def _look_after(self, now: float) -> None:
        if self._config_read[0] != _file_stamp("service.json"):
            self.read_config()
        for one in self.replicas:
            self._enforce_limits(one, now)
        if self.log.rotate_if_large():
            for one in self.replicas:
                one.channel.send({"do": "reopen_log"})

    def _let_go_of_others(self, kept: Set[str]) -> None:
        for one in self.replicas:
            if one.digest not in kept and one.state != "draining":
                one.drain(DRAIN_IDLE_S, self._patience_s() + DRAIN_IDLE_S)
        self.listeners.keep_only(kept)
        self._retry_at = {what: at for what, at in self._retry_at.items() if what in kept or what == _PORT}

    def _keep_count(self, target: ServiceConfig, count: int, now: float) -> None:
        # One that has failed still counts until it is gone, when it is decided whether to try again.
        mine = [r for r in self.replicas if r.digest == target.digest and r.state != "draining"]
        if len(mine) > count:
            mine.sort(key=lambda r: r.state == "ready")
            for one in mine[: len(mine) - count]:
                one.drain(DRAIN_IDLE_S, self._patience_s() + DRAIN_IDLE_S)
        elif len(mine) < count and now >= self._retry_at.get(target.digest, 0.0):
            self._retry_at.pop(target.digest, None)
            for _ in range(count - len(mine)):
                self._start(target)

    def _start(self, target: ServiceConfig) -> None:
        used = {r.slot for r in self.replicas}
        slot = next(n for n in range(1, telemetry.SLOTS) if n not in used)
        listener = self.listeners.of(target.digest)
        assert listener is not None
        try:
            one = replica.start(target, slot, listener, self.log.descriptor)
        except OSError as error:
            words = f"The environment's Python {target.python} cannot be started: {error}"
            self._on_failed(target.digest, {"code": "EnvironmentFailed", "message": words})
            return
        self.log.say(f"started replica {one.pid} of revision {one.revision}")
        self._take_in(one)

    def _take_in(self, one: replica.Replica) -> None:
        self.replicas.append(one)
        self.selector.register(one.channel.socket, selectors.EVENT_READ, one)

    def _activate(self, active: ServiceConfig) -> None:
        self.active = active
        write_json("active.json", codec.to_json(active))

    def _ready(self, target: ServiceConfig) -> int:
        """Replicas that answer with everything that this revision says."""
        return sum(
            r.state == "ready" and r.digest == target.digest and r.revision == target.revision
            for r in self.replicas
        )

    def _patience_s(self) -> float:
        """How long a draining replica may need for the request it is answering."""
        limit_s = self.wanted.scoring_timeout_s if self.wanted is not None else 60.0
        return (limit_s if limit_s > 0 else 3600.0) + KILL_GRACE_S

    def _enforce_limits(self, one: replica.Replica, now: float) -> None:
        if one.state == "starting":
            self._limit_init(one, now)
        limit_s = self.wanted.scoring_timeout_s if self.wanted is not None else 0.0
        busy_since = self.telemetry.slot(one.slot)[telemetry.BUSY_SINCE_NS]
        overdue = limit_s > 0 and busy_since and now - busy_since / 1e9 > limit_s + KILL_GRACE_S
        if overdue or (one.kill_at_s and now > one.kill_at_s):
            self.log.say(f"replica {one.pid} does not end by itself; killing it")
            one.kill_at_s = now + KILL_GRACE_S
            one.kill()

    def _limit_init(self, one: replica.Replica, now: float) -> None:
        mine = [c for c in (self.wanted, self.active) if c is not None and c.digest == one.digest]
        limit_s = mine[0].init_timeout_s if mine else configuration.INIT_TIMEOUT_S
        if now - one.since_s <= limit_s:
            return
        words = (
            f"init() was not done after {limit_s:g} s; the log says where it was. "
            "The environment variable WORKER_TIMEOUT gives it more seconds."
        )
        one.give_up({"code": "InitFailed", "message": words})
        one.kill_at_s = now + KILL_GRACE_S

    # -- the listening socket

    def _have_listener(self, target: ServiceConfig, now: float) -> bool:
        """Whether replicas of `target` can be started. The port stays the same for the life of the service directory."""
        if self.listeners.of(target.digest) is not None:
            return True
        if self._is_held_by_replicas():
            return False  # asked for it; its holder answers when its run() or init() leaves it the time
        if now < self._retry_at.get(_PORT, 0.0):
            return False
        self._retry_at.pop(_PORT, None)
        try:
            self.listeners.open(target.digest, target.host, target.port or self.port)
        except PortTaken as error:
            if not self.outlook.port_error:
                self.log.say(str(error))
            self.outlook.port_error = str(error)
            self._retry_at[_PORT] = now + PORT_RETRY_S
            return False
        self.outlook.port_error = ""
        return True

    def _is_held_by_replicas(self) -> bool:
        """Replicas that were found running hold the socket; the keeper has it when one of them has passed it on."""
        holders = [
            r
            for r in self.replicas
            if r.state in ("starting", "ready") and self.listeners.of(r.digest) is None
        ]
        for one in holders:
            if one.pid not in self._asked_listener_of:
                self._asked_listener_of.add(one.pid)
                one.channel.send({"do": "pass_listener"})
        return bool(holders)

    # -- news of replicas

    def _on_replica(self, one: replica.Replica) -> None:
        before = one.state
        alive = one.receive()
        passed = one.channel.take_listener()
        if passed is not None:
            known = [c for c in (self.active, self.wanted) if c is not None and c.digest == one.digest]
            self.listeners.put(one.digest, known[0].host if known else address_of(passed)[0], passed)
        if one.state == "ready" and before == "starting" and self.wanted is not None:
            # What changed while its init() ran.
            one.channel.send({"do": "configure", "config": codec.to_json(self.wanted)})
        if not alive:
            self._on_gone(one)

    def _on_gone(self, one: replica.Replica) -> None:
        self.replicas.remove(one)
        self.selector.unregister(one.channel.socket)
        one.channel.close()
        one.kill()  # what its user's code has started
        words = one.exit_words()
        self.telemetry.retire(one.slot)
        replica.remove_socket(os.path.join(control.REPLICAS_DIR, one.socket_name))
        if one.state == "draining":
            self.log.say(f"replica {one.pid} of revision {one.revision} has ended")
            return
        self.log.say(f"replica {one.pid} of revision {one.revision} {words}")
        if one.state == "failed" and one.error is not None:
            self._on_failed(one.digest, one.error)
        elif one.state == "starting":
            words = f"The scoring host {words} before init() was done; see the log."
            self._on_failed(one.digest, {"code": "Crashed", "message": words})
        else:
            self._on_crashed(one.digest, f"A replica {words}.", one.has_timed_out)

    def _on_failed(self, digest: str, error: Dict[str, str]) -> None:
        """A replica did not come up. Of a revision that has answered before it is tried again; a new one is given up."""
        if self.active is not None and self.active.digest == digest:
            self._on_crashed(digest, error["message"])
            if self.wanted is None or self.wanted.digest == digest:
                self.outlook.error = dict({"line": "", "traceback": ""}, **error)
            return
        if self.wanted is None or self.wanted.digest != digest or self._failed_digest == digest:
            return
        self._failed_digest = digest
        self.outlook.error = dict({"line": "", "traceback": ""}, **error)
        for one in self.replicas:
            if one.digest == digest and one.state != "draining":
                one.kill()
                one.enter("draining")

    def _on_crashed(self, digest: str, words: str, at_once: bool = False) -> None:
        now = time.monotonic()
        self._crashes = [at for at in self._crashes if now - at < CRASH_WINDOW_S] + [now]
        self.outlook.last_crash = words
        # The first restart is at once; then the pause doubles.
        pause_s = 0.25 * 2 ** min(len(self._crashes), 8) if len(self._crashes) > 1 and not at_once else 0.0
        self._retry_at[digest] = now + min(pause_s, BACKOFF_MAX_S)

    def _find_late_ones(self) -> None:
        """Replicas that the keeper before this one had started just before it was killed."""
        for found in replica.find_all({r.pid for r in self.replicas}):
            self.log.say(f"found replica {found.pid} of revision {found.revision} running")
            self._take_in(found)

    # -- telling

    def _write_status(self) -> None:
        now = time.monotonic()
        self._crashes = [at for at in self._crashes if now - at < CRASH_WINDOW_S]
        self.outlook.crashes = len(self._crashes)
        self.outlook.has_given_up = bool(self._failed_digest)
        self.outlook.stopping = self._stopping
        answering = self.active or self.wanted
        if answering is not None:
            self.port = self.listeners.port_of(answering.digest) or self.port
        status = service_status(self.wanted, self.active, self.replicas, self.outlook, self.port)
        if status == self._last_status and now < self._status_at + STATUS_EVERY_S:
            return
        self._last_status = status
        self._status_at = now
        self._find_late_ones()
        sums = self.telemetry.summary([r.slot for r in self.replicas])
        write_json("status.json", dict(status, telemetry=sums, written_at=time.time()))


def _file_stamp(path: str) -> Any:
    """Differs when a file was replaced or written; None without one."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _read_json(path: str) -> Dict[str, Any]:
    try:
        with open(path, "rb") as f:
            value = json.load(f)
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def main(arguments: Optional[List[str]] = None) -> int:
    given = sys.argv[1:] if arguments is None else arguments
    if len(given) != 1 or not os.path.isdir(given[0]):
        sys.stderr.write("usage: python -m modelyard.scoring.keeper <service dir>\n")
        return 2
    os.chdir(given[0])
    lock = os.open("keeper.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        sys.stderr.write(f"The service in {given[0]} has a keeper already.\n")
        return EXIT_ALREADY_KEPT
    Keeper().run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
