"""What keeper and scoring hosts say to each other: JSON lines over a Unix stream socket.

Keeper to host: the first line of an inherited connection is the configuration, then `{"do": …}` with `configure`,
`drain`, `pass_listener` or `reopen_log`. Host to keeper: `{"state": …}` with `ready`, `configured`, `failed`, `draining`
or `listener`, with which the listening socket travels along. The end of the connection is the end of the process.
"""

from __future__ import annotations

import array
import json
import os
import socket
from typing import Any, Dict, List, Optional, Tuple

REPLICAS_DIR = "replicas"
TELEMETRY_FILE = "telemetry.bin"
LOG_FILE = os.path.join("logs", "scoring.log")
EXIT_TIMED_OUT = 75  # of a host that ended itself because run() took too long
EXIT_INIT_FAILED = 3
_SEND_TIMEOUT_S = 5.0


class ControlChannel:
    """One end. Reading never blocks; writing blocks for a bounded time."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.socket = sock
        self.listener_fd = -1  # of a passed listening socket that nobody took yet
        self._received = b""

    def send(self, message: Dict[str, Any], listener: Optional[socket.socket] = None) -> bool:
        """False when the other end is gone."""
        data = json.dumps(message).encode("ascii") + b"\n"
        try:
            self.socket.settimeout(_SEND_TIMEOUT_S)
            if listener is not None:
                rights = array.array("i", [listener.fileno()])
                sent = self.socket.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
                data = data[sent:]
            self.socket.sendall(data)
            return True
        except OSError:
            return False
        finally:
            if self.socket.fileno() >= 0:
                self.socket.setblocking(False)

    def receive(self) -> Tuple[List[Dict[str, Any]], bool]:
        """The messages that have come, and whether the other end is still there."""
        alive = True
        while True:
            try:
                data, rights, _, _ = self.socket.recvmsg(65536, socket.CMSG_SPACE(4))
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                data, rights = b"", []
            for level, kind, payload in rights:
                if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    self._keep(array.array("i", payload[:4])[0])
            if not data:
                alive = False
                break
            self._received += data
        *lines, self._received = self._received.split(b"\n")
        return [json.loads(line) for line in lines], alive

    def _keep(self, descriptor: int) -> None:
        os.set_inheritable(descriptor, False)
        if self.listener_fd >= 0:
            os.close(self.listener_fd)
        self.listener_fd = descriptor

    def take_listener(self) -> Optional[socket.socket]:
        if self.listener_fd < 0:
            return None
        descriptor, self.listener_fd = self.listener_fd, -1
        return socket.socket(fileno=descriptor)

    def close(self) -> None:
        if self.listener_fd >= 0:
            os.close(self.listener_fd)
            self.listener_fd = -1
        self.socket.close()


def process_started(pid: int) -> int:
    """When a process started, in the kernel's ticks; 0 where that cannot be told. With the pid it names a process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as f:
            return int(f.read().rpartition(b")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return 0


def socket_name(revision: int, digest: str, slot: int, pid: int) -> str:
    return socket_name_of(revision, digest, slot, pid, process_started(pid))


def socket_name_of(revision: int, digest: str, slot: int, pid: int, started: int) -> str:
    return f"{revision}-{digest}-{slot}-{pid}-{started}.sock"


def parse_socket_name(name: str) -> Optional[Tuple[int, str, int, int, int]]:
    """(revision, digest, slot, pid, started) of a name made by socket_name, else None."""
    parts = name[:-5].split("-") if name.endswith(".sock") else []
    if len(parts) != 5:
        return None
    try:
        return int(parts[0]), parts[1], int(parts[2]), int(parts[3]), int(parts[4])
    except ValueError:
        return None
