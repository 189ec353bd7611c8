"""The listening socket of a service: bound once, kept by the processes that answer on it."""

from __future__ import annotations

import errno
import socket
from typing import Dict, Iterable, NamedTuple, Optional, Tuple

BACKLOG = 4096


class PortTaken(Exception):
    """The address cannot be listened on; the message says why and what to do."""


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises PortTaken."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        sock = socket.socket(family, kind, protocol)
    except OSError as error:
        raise PortTaken(f"{host} is no address to listen on: {error}") from error
    try:
        # Connections of a service that has just ended linger in the kernel and must not block the port; a process that
        # listens still does.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            words = "Port {} of {} is taken by another process. End that process or give the service another port."
            raise PortTaken(words.format(port, host)) from error
        words = "Cannot listen on port {} of {}: {}. Give the service another port."
        raise PortTaken(words.format(port, host, error.strerror)) from error
    sock.setblocking(False)
    return sock


def address_of(sock: socket.socket) -> Tuple[str, int]:
    name = sock.getsockname()
    return str(name[0]), int(name[1])


class _Listening(NamedTuple):
    host: str
    socket: socket.socket


class Listeners:
    """Which listening socket the replicas of which revision (by its digest) answer on; mostly one for all."""

    def __init__(self) -> None:
        self._by_digest: Dict[str, _Listening] = {}

    def of(self, digest: str) -> Optional[socket.socket]:
        found = self._by_digest.get(digest)
        return found.socket if found is not None else None

    def port_of(self, digest: str) -> int:
        sock = self.of(digest)
        return address_of(sock)[1] if sock is not None else 0

    def put(self, digest: str, host: str, sock: socket.socket) -> None:
        """A socket that a running replica passed on; dropped when there is one already."""
        if digest in self._by_digest:
            sock.close()
        else:
            self._by_digest[digest] = _Listening(host, sock)

    def open(self, digest: str, host: str, port: int) -> None:
        """Have a socket for a revision: the one of another on the same address, or a new one. Raises PortTaken."""
        if digest in self._by_digest:
            return
        for other in self._by_digest.values():
            if other.host == host and port in (0, address_of(other.socket)[1]):
                self._by_digest[digest] = other
                return
        self._by_digest[digest] = _Listening(host, listen(host, port))

    def keep_only(self, digests: Iterable[str]) -> None:
        kept = {d: entry for d, entry in self._by_digest.items() if d in set(digests)}
        still = {entry.socket.fileno() for entry in kept.values()}
        for entry in self._by_digest.values():
            if entry.socket.fileno() not in still:
                entry.socket.close()
        self._by_digest = kept
