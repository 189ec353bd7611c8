"""The event loop of a scoring host: connections in, requests answered one at a time, in order.

A loop of its own instead of asyncio: it accepts one connection per readiness so that replicas on the same listening
socket share them, needs no third library in the user's environment, and costs about 10 µs a request.
"""

from __future__ import annotations

import resource
import selectors
import socket
import sys
import time
import traceback
from collections import deque
from typing import Callable, Deque, Dict, Optional

from modelyard.scoring import telemetry
from modelyard.scoring.http1 import Refused, Request, RequestReader
from modelyard.scoring.response import Response, plain

RECEIVE_BYTES = 256 * 1024
MAX_CONNECTIONS = 4096
SPARE_DESCRIPTORS = 512  # open files that connections leave to the user's code
HEAD_TIMEOUT_S = 10.0  # from the first byte of a request to the end of its head
BODY_GRACE_S = 20.0  # then a body has to arrive at MIN_BODY_RATE on average
MIN_BODY_RATE = 4096  # bytes per second
IDLE_TIMEOUT_S = 75.0  # between requests of a kept connection
WRITE_TIMEOUT_S = 30.0  # a client that takes nothing of its answer for so long is dropped
LINGER_S = 2.0  # after our last byte, for the client to read it and close
SWEEP_S = 1.0
# How long a replica with more connections than its neighbour leaves a new one to it.
YIELD_ACCEPT_S = 0.003

Answer = Callable[[Request], Response]
Refuse = Callable[[Refused], Response]


class Connection:
    __slots__ = ("continued", "is_lingering", "is_queued", "last_s", "out", "reader", "request_s", "socket")

    def __init__(self, sock: socket.socket, max_body_bytes: int, now: float) -> None:
        self.socket = sock
        self.reader = RequestReader(max_body_bytes)
        self.out = b""  # of an answer that the kernel has not taken yet
        self.last_s = now  # when bytes last moved
        self.request_s = 0.0  # when the request that is arriving began; 0: none is
        self.continued = False
        self.is_lingering = False
        self.is_queued = False  # the next request is in its buffer already


def most_connections() -> int:
    """How many this process may keep open, after raising its limit of open files as far as that is of use."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_CONNECTIONS + SPARE_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return min(MAX_CONNECTIONS, max(soft - SPARE_DESCRIPTORS, soft // 2))


class ConnectionLoop:
    """Serves a non-blocking listening socket that other processes may share."""

    def __init__(
        self,
        listener: socket.socket,
        answer: Answer,
        refuse: Refuse,  # what could not be read as a request
        shared: telemetry.Telemetry,
        slot: int,
    ) -> None:
        self.selector = selectors.DefaultSelector()
        self.max_body_bytes = 100 * 1024 * 1024
        self.connections: Dict[int, Connection] = {}
        self.current: Optional[Connection] = None  # whose request run() is answering
        self._answer = answer
        self._refuse = refuse
        self._shared = shared
        self._slot = shared.slot(slot)
        self._listener: Optional[socket.socket] = listener
        self._most_connections = most_connections()
        self._again: Deque[Connection] = deque()  # those that are queued
        self._accept_at = 0.0  # when to look at the listener again after leaving it alone; 0: it is watched
        self._drain_until = 0.0
        self._stopping = False
        listener.setblocking(False)
        self._watch_listener()
        self._slot[telemetry.ACCEPTING] = 1

    def drain(self, idle_s: float) -> None:
        """Accept no more, answer what comes on open connections with `Connection: close`, and end when none is left
        or a connection was idle for `idle_s`."""
        self._slot[telemetry.ACCEPTING] = 0
        if self._listener is not None:
            if not self._accept_at:
                self.selector.unregister(self._listener)
            self._listener.close()
            self._listener = None
            self._accept_at = 0.0
        self._drain_until = time.monotonic() + idle_s
        self._stopping = True

    def run(self) -> None:
        """Until drained."""
        next_sweep = time.monotonic() + SWEEP_S
        while not (self._stopping and not self.connections):
            for key, mask in self.selector.select(self._wait_s()):
                data = key.data
                if isinstance(data, Connection):
                    if mask & selectors.EVENT_READ:
                        self._read(data)
                    else:
                        self._flush(data)
                else:
                    data()
            for _ in range(len(self._again)):
                connection = self._again.popleft()
                connection.is_queued = False
                if connection.socket.fileno() >= 0 and not connection.out and not connection.is_lingering:
                    self._proceed(connection)
            now = time.monotonic()
            if self._accept_at and now >= self._accept_at:
                self._watch_listener()
                self._accept(now)
            if now >= next_sweep or self._stopping:
                self._sweep(now)
                next_sweep = now + SWEEP_S

    def _wait_s(self) -> Optional[float]:
        if self._again:
            return 0.0
        if self._accept_at:
            return max(self._accept_at - time.monotonic(), 0.0)
        if self._stopping:
            return 0.05
        return SWEEP_S if self.connections else None

    # -- accepting

    def _watch_listener(self) -> None:
        assert self._listener is not None
        self.selector.register(self._listener, selectors.EVENT_READ, self._on_listener)
        self._accept_at = 0.0

    def _leave_listener(self, seconds: float) -> None:
        if not self._accept_at and self._listener is not None:
            self.selector.unregister(self._listener)
            self._accept_at = time.monotonic() + seconds

    def _on_listener(self) -> None:
        if self._listener is None:  # drained earlier in this turn of the loop
            return
        if len(self.connections) > self._shared.fewest_connections(time.monotonic_ns()):
            self._leave_listener(YIELD_ACCEPT_S)
        else:
            self._accept(time.monotonic())

    def _accept(self, now: float) -> None:
        """One connection: a second one waiting is for the next replica that is free."""
        assert self._listener is not None
        if len(self.connections) >= self._most_connections and not self._drop_idlest():
            self._leave_listener(0.1)
            return
        try:
            sock, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError, InterruptedError):
            return  # another replica was faster, or the client has left
        except OSError as error:
            sys.stderr.write(f"Cannot accept connections for now: {error}\n")
            self._leave_listener(0.1)
            return
        sock.setblocking(False)
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            # Without it the kernel holds back an answer's last packet until the client acknowledges the one before,
            # which clients delay by 40 ms.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(sock, self.max_body_bytes, now)
        self.connections[sock.fileno()] = connection
        self._slot[telemetry.CONNECTIONS] = len(self.connections)
        self.selector.register(sock, selectors.EVENT_READ, connection)

    def _drop_idlest(self) -> bool:
        """Make room for a new connection by ending the one that has waited longest without a whole head of a request."""
        idle = [
            c for c in self.connections.values() if c.reader.head is None and not c.out and not c.is_queued
        ]
        if idle:
            self._close(min(idle, key=lambda c: c.last_s))
        return bool(idle)

    # -- one connection

    def _read(self, connection: Connection) -> None:
        if connection.is_queued:
            return  # a client that sends ahead waits in the kernel's buffer, not in ours
        try:
            data = connection.socket.recv(RECEIVE_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self._close(connection)
        elif not connection.is_lingering:
            connection.last_s = now = time.monotonic()
            if not connection.request_s:
                connection.request_s = now
            connection.reader.received += data
            self._proceed(connection)

    def _proceed(self, connection: Connection) -> None:
        """Answer the next request, if all of it is there."""
        reader = connection.reader
        began_ns = time.monotonic_ns()
        try:
            request = reader.next()
        except Refused as refused:
            self._reply(connection, self._refuse(refused), began_ns, close=True)
            return
        if request is None:
            head = reader.head
            if head is not None and head.expects_continue and not connection.continued:
                connection.continued = True
                self._send(connection, b"HTTP/1.1 100 Continue\r\n\r\n", close=False)
            return
        connection.continued = False
        connection.request_s = time.monotonic() if reader.received else 0.0
        self.current = connection
        try:
            response = self._answer(request)
        except Exception:  # a fault of ours must not end the replica
            traceback.print_exc()
            response = plain(500, "The scoring host failed to answer; its log says why.")
        self.current = None
        head = request.head
        close = self._stopping or not head.keep_alive
        self._reply(connection, response, began_ns, close, head.method != "HEAD")

    def _reply(
        self, connection: Connection, response: Response, began_ns: int, close: bool, with_body: bool = True
    ) -> None:
        telemetry.count(self._slot, response.status, (time.monotonic_ns() - began_ns) // 1000)
        self._send(connection, response.encoded(close, with_body), close)

    def _send(self, connection: Connection, data: bytes, close: bool) -> None:
        try:
            sent = connection.socket.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self._close(connection)
            return
        if close:
            connection.is_lingering = True
        if sent < len(data):
            connection.out = data[sent:]
            connection.last_s = time.monotonic()
            self.selector.modify(connection.socket, selectors.EVENT_WRITE, connection)
        elif close:
            self._finish(connection)
        elif connection.reader.received and connection.reader.head is None:
            self._queue(connection)

    def _flush(self, connection: Connection) -> None:
        try:
            sent = connection.socket.send(connection.out)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._close(connection)
            return
        connection.last_s = time.monotonic()
        connection.out = connection.out[sent:]
        if connection.out:
            return
        self.selector.modify(connection.socket, selectors.EVENT_READ, connection)
        if connection.is_lingering:
            self._finish(connection)
        else:
            self._queue(connection)

    def _queue(self, connection: Connection) -> None:
        connection.is_queued = True
        self._again.append(connection)

    def _finish(self, connection: Connection) -> None:
        """Say that nothing more comes, and wait for the client to close: closing a socket with unread bytes would
        reset the connection and could take the answer from the client."""
        connection.last_s = time.monotonic()
        try:
            connection.socket.shutdown(socket.SHUT_WR)
        except OSError:
            self._close(connection)

    def _close(self, connection: Connection) -> None:
        self.connections.pop(connection.socket.fileno(), None)
        self._slot[telemetry.CONNECTIONS] = len(self.connections)
        try:
            self.selector.unregister(connection.socket)
        except (KeyError, ValueError):
            pass  # closed twice in one turn of the loop
        connection.socket.close()

    # -- time

    def _sweep(self, now: float) -> None:
        for connection in list(self.connections.values()):
            words = self._overdue(connection, now)
            if words is None:
                continue
            if words:
                self._reply(connection, self._refuse(Refused(408, words)), time.monotonic_ns(), close=True)
            else:
                self._close(connection)

    def _overdue(self, connection: Connection, now: float) -> Optional[str]:
        """None: let it be. Empty: close it. Else: words for a 408."""
        quiet_s = now - connection.last_s
        if connection.is_lingering and not connection.out:
            return "" if quiet_s > LINGER_S else None
        if connection.out:
            return "" if quiet_s > WRITE_TIMEOUT_S else None
        if not connection.request_s:
            if self._stopping and now >= self._drain_until:
                self._close_idle(connection)
            return "" if quiet_s > IDLE_TIMEOUT_S else None
        age_s = now - connection.request_s
        if connection.reader.head is None:
            return "The head of the request took too long." if age_s > HEAD_TIMEOUT_S else None
        held = len(connection.reader.received) + connection.reader.body_bytes
        if age_s > BODY_GRACE_S + held / MIN_BODY_RATE:
            return "The body of the request came too slowly."
        return None

    def _close_idle(self, connection: Connection) -> None:
        """At the end of a drain. A request that has arrived by now is answered first."""
        self._read(connection)
        if connection.socket.fileno() >= 0 and not connection.request_s and not connection.is_lingering:
            self._finish(connection)
            connection.is_lingering = True
