"""Connections to the yard: one a thread, keep-alive, made anew after a fork.

A module of its own because http.client costs 30 ms of import, and a script that only logs never connects.
"""

from __future__ import annotations

import http.client
import os
import socket
import threading
import weakref
from typing import Any, Callable, Dict, Iterable, Optional, Union

# A body is bytes, or a function that makes the stream anew for each try.
Content = Union[bytes, Callable[[], Iterable[bytes]]]

_READ_BYTES = 1 << 20


class NotSent(Exception):
    """No connection could be made, so the yard has not seen the request: any request may be tried again."""


class _Held:
    """A thread's connection and the process that made it; closed when the thread or the client goes."""

    def __init__(self, connection: http.client.HTTPConnection) -> None:
        self.connection = connection
        self.pid = os.getpid()
        # Not __del__: of a cycle that is collected, the socket may go first, with a ResourceWarning.
        weakref.finalize(self, connection.close)


class Connections:
    """The connections of one client to one address."""

    NotSent = NotSent
    BROKEN = (OSError, http.client.HTTPException)  # what a broken transport raises; ssl errors are OSErrors

    def __init__(self, host: str, port: int, is_tls: bool, connect_timeout_s: float) -> None:
        self._host = host
        self._port = port
        self._is_tls = is_tls
        self._connect_timeout_s = connect_timeout_s
        self._local = threading.local()

    def send(
        self,
        method: str,
        target: str,
        content: Optional[Content],
        headers: Dict[str, str],
        timeout_s: float,
    ) -> http.client.HTTPResponse:
        """Raises NotSent, or one of BROKEN."""
        chunked = callable(content) and "Content-Length" not in headers
        connection = self._open(timeout_s)
        try:
            connection.request(method, target, body=_made(content), headers=headers, encode_chunked=chunked)
        except (
            http.client.CannotSendRequest
        ):  # an interrupt or a failed upload left it in the middle of things
            self.drop()
            connection = self._open(timeout_s)
            connection.request(method, target, body=_made(content), headers=headers, encode_chunked=chunked)
        except (BrokenPipeError, ConnectionResetError):
            return connection.getresponse()  # refused before it had the whole body: the reason may be there
        return connection.getresponse()

    def _open(self, timeout_s: float) -> http.client.HTTPConnection:
        held: Optional[_Held] = getattr(self._local, "held", None)
        if held is not None and (held.pid != os.getpid() or _is_stale(held.connection)):
            # After a fork the parent goes on using the socket: drop our end, send nothing on it.
            held.connection.close()
            held = None
        if held is None:
            kind = http.client.HTTPSConnection if self._is_tls else http.client.HTTPConnection
            connection = kind(self._host, self._port, timeout=self._connect_timeout_s)
            try:
                connection.connect()  # http.client sets TCP_NODELAY
            except OSError as error:
                raise NotSent() from error
            held = self._local.held = _Held(connection)
        if held.connection.sock is not None:
            held.connection.sock.settimeout(timeout_s)
        return held.connection

    def drop(self) -> None:
        """Close this thread's connection; the next request opens another."""
        self._local.held = None

    @staticmethod
    def copy(response: http.client.HTTPResponse, file: Any, moved: Callable[[int], Any]) -> None:
        """Write the body to a file, telling `moved` the size of each piece. Raises IncompleteRead when it ends too soon."""
        expected, received = response.length, 0
        while True:
            piece = response.read(_READ_BYTES)
            if not piece:
                break
            file.write(piece)
            received += len(piece)
            moved(len(piece))
        if expected is not None and received < expected:
            raise http.client.IncompleteRead(b"", expected - received)

    @staticmethod
    def lower(response: http.client.HTTPResponse) -> Dict[str, str]:
        """Headers under lower-case names."""
        return {name.lower(): value for name, value in response.getheaders()}


def _made(content: Optional[Content]) -> Union[bytes, Iterable[bytes], None]:
    return content() if callable(content) else content


def _is_stale(connection: http.client.HTTPConnection) -> bool:
    """True when the other side has closed the idle connection: then a request on it would be lost."""
    if connection.sock is None:
        return True
    if isinstance(connection, http.client.HTTPSConnection):
        return False  # TLS sockets can't peek
    connection.sock.settimeout(0)
    try:
        return connection.sock.recv(1, socket.MSG_PEEK) == b""
    except (BlockingIOError, InterruptedError):
        return False
    except OSError:
        return True
