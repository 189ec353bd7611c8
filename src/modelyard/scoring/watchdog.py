"""Ends a scoring host whose run() takes longer than the scoring timeout, after telling the client so."""

from __future__ import annotations

import faulthandler
import os
import socket
import sys
import threading
import time

from modelyard.scoring import telemetry
from modelyard.scoring.connections import ConnectionLoop
from modelyard.scoring.control import EXIT_TIMED_OUT
from modelyard.scoring.response import plain


class Watchdog(threading.Thread):
    """Sleeps most of the time. A run() that never gives the interpreter back stops this thread too; then the keeper
    kills the process a little later, and the client sees its connection end."""

    def __init__(self, loop: ConnectionLoop, slot: memoryview, timeout_s: float) -> None:
        super().__init__(name="scoring-timeout", daemon=True)
        self.timeout_s = timeout_s  # not above 0: no limit
        self._loop = loop
        self._slot = slot

    def run(self) -> None:
        while True:
            busy_since = self._slot[telemetry.BUSY_SINCE_NS]
            limit_s = self.timeout_s
            left_s = limit_s
            if busy_since and limit_s > 0:
                left_s = limit_s - (time.monotonic_ns() - busy_since) / 1e9
                if left_s <= 0 and self._slot[telemetry.BUSY_SINCE_NS] == busy_since:
                    self._end(limit_s)
            time.sleep(min(max(left_s, 0.01), 1.0) if limit_s > 0 else 1.0)

    def _end(self, limit_s: float) -> None:
        sys.stderr.write(f"run() took longer than {limit_s:g} s; it was here:\n")
        sys.stderr.flush()
        faulthandler.dump_traceback(all_threads=True)
        self._slot[telemetry.TIMEOUTS] += 1
        words = f"run() took longer than the scoring timeout of {limit_s:g} s."
        current = self._loop.current
        for connection in list(self._loop.connections.values()):
            if connection is current:
                _tell(connection.socket, plain(504, words).encoded(close=True))
            elif _is_waiting(connection.socket):
                words = "The replica ends because run() of another request took too long. Try again."
                _tell(connection.socket, plain(503, words, b"retry-after: 1\r\n").encoded(close=True))
        telemetry.count(self._slot, 504, int(limit_s * 1e6))
        os._exit(EXIT_TIMED_OUT)


def _is_waiting(sock: socket.socket) -> bool:
    try:
        return bool(sock.recv(1, socket.MSG_PEEK))
    except OSError:
        return False


def _tell(sock: socket.socket, data: bytes) -> None:
    try:
        sock.send(data)
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(65536):  # unread bytes would turn the close into a reset
            pass
    except OSError:
        pass  # the client is gone, or has nothing more to say
