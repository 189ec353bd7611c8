"""The scoring host: one process of the user's environment that calls init() once and run() for every request.

`python -m modelyard.scoring.host --control FD --listen FD --slot N`, started by the keeper in the service's directory.
It needs nothing from the keeper to go on answering.
"""

from __future__ import annotations

import argparse
import faulthandler
import gc
import json
import os
import selectors
import signal
import socket
import sys
import time
from typing import Any, Dict, List, Optional

from modelyard.scoring import application, config, control, entry, faults, telemetry
from modelyard.scoring.connections import ConnectionLoop
from modelyard.scoring.watchdog import Watchdog

STOP_IDLE_S = 0.5


def start_entry(service: config.ServiceConfig) -> tuple[Any, entry.RunFunction]:
    """Load the entry script and call its init(). Raises whatever the user's code raises; EntryError where it is not an
    entry script."""
    entry.prepare_process(service)
    module = entry.load(service)
    run = entry.RunFunction(module.run)
    init = getattr(module, "init", None)
    if init is not None:
        init()
    return module, run


class ScoringHost:
    def __init__(self, inherited: socket.socket, listener: socket.socket, slot: int) -> None:
        self._keeper = control.ControlChannel(inherited)
        self._listener = listener
        self._slot_number = slot
        self._telemetry = telemetry.Telemetry(control.TELEMETRY_FILE)
        self._service_dir = os.open(".", os.O_RDONLY)
        self._hello: Dict[str, Any] = {}

    def serve(self) -> int:
        self._config = self._first_config()
        named = self._open_control_socket()
        # A process that the user's code forks (multiprocessing does) must hold neither the port nor what the keeper knows
        # this replica by.
        _close_in_forks(self._keeper.socket, self._listener, named)
        began = time.monotonic()
        try:
            module, run = start_entry(self._config)
            slot = self._telemetry.slot(self._slot_number)
            answers = application.Application(self._config, run, slot, getattr(module, "inputs", None))
            swagger = answers.swagger()
        # The user's code may raise anything, SystemExit included; the keeper is told what and where.
        except BaseException as error:
            failure = faults.init_error(error, self._config.source_dir)
            sys.stderr.write("{}\n{}".format(failure["message"], failure["traceback"]))
            for channel in (self._keeper, *_waiting(named)):
                channel.send({"state": "failed", "error": failure})
            return control.EXIT_INIT_FAILED
        # What init() made lives as long as the process: keep the collector from walking over it.
        gc.collect()
        gc.freeze()
        self._application = answers
        self._loop = ConnectionLoop(
            self._listener, answers.answer, answers.refuse, self._telemetry, self._slot_number
        )
        self._watchdog = Watchdog(self._loop, self._telemetry.slot(self._slot_number), 0.0)
        self._configure(self._config)
        self._watchdog.start()
        self._watch(named)
        self._hello = {
            "state": "ready",
            "pid": os.getpid(),
            "init_s": round(time.monotonic() - began, 3),
            "swagger": swagger,
        }
        self._keeper.send(self._hello)
        self._loop.run()
        return 0

    def _first_config(self) -> config.ServiceConfig:
        sock = self._keeper.socket
        sock.setblocking(True)
        received = b""
        while not received.endswith(b"\n"):  # the keeper says nothing more before it hears from us
            data = sock.recv(65536)
            if not data:
                raise SystemExit("The keeper was gone before it said what to serve.")
            received += data
        sock.setblocking(False)
        return config.from_json(json.loads(received))

    def _open_control_socket(self) -> socket.socket:
        """By it a later keeper finds this process. The path is relative, because Unix sockets have short ones."""
        name = control.socket_name(self._config.revision, self._config.digest, self._slot_number, os.getpid())
        self._socket_path = os.path.join(control.REPLICAS_DIR, name)
        named = socket.socket(socket.AF_UNIX)
        named.bind(self._socket_path)
        named.listen(8)
        return named

    def _configure(self, wanted: config.ServiceConfig) -> None:
        self._config = self._config.with_live_fields_of(wanted)
        self._application.configure(self._config)
        self._loop.max_body_bytes = self._config.max_body_bytes
        self._watchdog.timeout_s = self._config.scoring_timeout_s

    # -- events of the loop that are not requests

    def _watch(self, named: socket.socket) -> None:
        read = selectors.EVENT_READ
        named.setblocking(False)
        self._loop.selector.register(named, read, lambda: self._on_new_keeper(named))
        self._loop.selector.register(self._keeper.socket, read, lambda: self._on_control(self._keeper))
        # SIGTERM only has to wake the loop; what it means is decided there.
        awake, self._waker = socket.socketpair()
        awake.setblocking(False)
        self._waker.setblocking(False)
        signal.set_wakeup_fd(self._waker.fileno())
        signal.signal(signal.SIGTERM, lambda *_: None)
        self._loop.selector.register(awake, read, lambda: self._on_signal(awake))
        os.register_at_fork(after_in_child=self._leave_to_parent)

    def _leave_to_parent(self) -> None:
        """In a forked process: clients' connections end with the parent's, and SIGTERM is this process's alone."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for key in self._loop.selector.get_map().values():
            key.fileobj.close()  # type: ignore[union-attr]  # sockets are all that is registered

    def _on_signal(self, awake: socket.socket) -> None:
        if signal.SIGTERM in awake.recv(64):
            self._drain(STOP_IDLE_S)

    def _on_new_keeper(self, named: socket.socket) -> None:
        try:
            sock, _ = named.accept()
        except OSError:
            return
        channel = control.ControlChannel(sock)
        self._loop.selector.register(sock, selectors.EVENT_READ, lambda: self._on_control(channel))
        channel.send(self._hello)

    def _on_control(self, channel: control.ControlChannel) -> None:
        messages, alive = channel.receive()
        for message in messages:
            self._obey(channel, message)
        if not alive:
            self._loop.selector.unregister(channel.socket)
            channel.close()

    def _obey(self, channel: control.ControlChannel, message: Dict[str, Any]) -> None:
        what = message.get("do")
        if what == "configure":
            self._configure(config.from_json(message["config"]))
            channel.send({"state": "configured", "revision": self._config.revision})
        elif what == "drain":
            self._drain(float(message["idle_s"]))
            channel.send({"state": "draining"})
        elif what == "pass_listener" and self._listener.fileno() >= 0:  # not after a drain
            channel.send({"state": "listener"}, self._listener)
        elif what == "reopen_log":
            reopen_log(self._service_dir)

    def _drain(self, idle_s: float) -> None:
        self._loop.drain(idle_s)
        self._hello = {"state": "draining"}
        try:
            os.unlink(self._socket_path, dir_fd=self._service_dir)
        except FileNotFoundError:
            pass  # drained before, or the keeper tidied up


def _close_in_forks(*sockets: socket.socket) -> None:
    def close() -> None:
        for each in sockets:
            each.close()

    os.register_at_fork(after_in_child=close)


def _waiting(named: socket.socket) -> List[control.ControlChannel]:
    """Keepers that came while init() ran."""
    named.setblocking(False)
    found = []
    while True:
        try:
            found.append(control.ControlChannel(named.accept()[0]))
        except OSError:
            return found


def reopen_log(service_dir: int) -> None:
    """Let stdout and stderr go to the log file of now, after the keeper has moved the old one away."""
    sys.stdout.flush()
    sys.stderr.flush()
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    descriptor = os.open(control.LOG_FILE, flags, 0o600, dir_fd=service_dir)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


def main(arguments: Optional[List[str]] = None) -> int:
    parser = argparse.ArgumentParser(prog="modelyard.scoring.host", description=__doc__)
    for name in ("--control", "--listen", "--slot"):
        parser.add_argument(name, type=int, required=True)
    given = parser.parse_args(arguments)
    # User code that starts processes must not hand them our sockets.
    os.set_inheritable(given.control, False)
    os.set_inheritable(given.listen, False)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # standard streams of 3.7 and later
    # A crash in native code leaves the Python line that led there in the log.
    faulthandler.enable()
    host = ScoringHost(socket.socket(fileno=given.control), socket.socket(fileno=given.listen), given.slot)
    return host.serve()


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads that the user's code left behind must not keep a replica that has nothing to do.
    os._exit(code)
