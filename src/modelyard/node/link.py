"""The node's line to the yard: requests that say plainly whether to try again later or never."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from modelyard import errors
from modelyard._client import Client
from modelyard.wire import codec

T = TypeVar("T")

_RETRY_STATUSES = frozenset({429, 500, 502, 503, 504, 507})
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 2.0


class Away(Exception):
    """The yard can't be reached, or can't take this now (restarting, disk full): the same request may work later."""


class Refused(Exception):
    """The yard answered no, and will answer no again. `code` is the problem's stable code."""

    def __init__(self, status: int, code: str, detail: str, extra: Mapping[str, Any]) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.extra = extra


class Stale(Refused):
    """401: the token was revoked, so whatever speaks with it has been replaced."""


@dataclass(frozen=True)
class Body:
    """A request body of known size that is read piece by piece. `pieces` is called anew for every attempt."""

    size: int
    pieces: Callable[[], Iterable[bytes]]


def workspace_path(workspace: str, *parts: str) -> str:
    """`/api/v1/workspaces/{workspace}/…`, quoted; a `/` inside a part stays."""
    return "/".join(["/api/v1/workspaces", quote(workspace, safe=""), *(quote(p, safe="/") for p in parts)])


class Link:
    """HTTP to the yard with one token; safe to use from several threads.

    The address comes from `yard.json` in the home directory and is read again after every failure, because a
    restarted yard may listen elsewhere.
    """

    def __init__(self, home: Path, token: str, url: str = "", timeout_s: float = 60.0) -> None:
        self._home = home
        self._given = url
        self._timeout_s = timeout_s
        self._client = self._open(token)

    @property
    def url(self) -> str:
        return self._client.url if self._client else ""

    @property
    def token(self) -> str:
        return self._token

    def use(self, token: str) -> None:
        """Speak with another token from now on."""
        self._client = self._open(token)

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        query: Mapping[str, Any] | None = None,
        timeout_s: float | None = None,
    ) -> bytes:
        """Send once and answer the bytes that came back. `body`: a wire dataclass, bytes or `Body`.

        Raises Away, Refused, Stale.
        """
        client = self._require()
        options: dict[str, Any] = {"query": query, "timeout_s": timeout_s, "idempotent": True}
        if isinstance(body, bytes):
            options["content"] = body
        elif isinstance(body, Body):
            options |= {"content": body.pieces, "content_length": body.size}
        else:
            options["body"] = body
        with self._words():
            return client.raw(method, path, **options).body

    def download(self, path: str, target: Path) -> None:
        """Write what `path` answers to the file `target`. Raises Away, Refused, Stale."""
        client = self._require()
        with self._words():
            client.download(path, str(target))

    def ask(
        self,
        kind: type[T],
        method: str,
        path: str,
        body: Any = None,
        query: Mapping[str, Any] | None = None,
        timeout_s: float | None = None,
    ) -> T:
        """As `request`, with the answer decoded."""
        return codec.loads(kind, self.request(method, path, body, query, timeout_s))

    def _require(self) -> Client:
        client = self._client or self._open(self._token)
        if client is None:
            raise Away(f"no yard runs here: there is no {self._home / 'yard.json'}")
        self._client = client
        return client

    @contextlib.contextmanager
    def _words(self) -> Iterator[None]:
        try:
            yield
        except errors.YardUnavailable as error:
            self._client = self._open(self._token)
            raise Away(str(error)) from error
        except errors.AzureMLException as error:
            status = error.status or 0
            if status in _RETRY_STATUSES:
                raise Away(str(error)) from error
            kind = Stale if status == 401 else Refused
            raise kind(status, error.code, str(error), error.extra) from error

    def close(self) -> None:
        if self._client is not None:
            self._client.close()

    def _open(self, token: str) -> Client | None:
        self._token = token
        url = address(self._home) or self._given
        current: Client | None = getattr(self, "_client", None)
        if current is not None and current.url == url and current.token == token:
            return current
        # One try a request: who calls decides how long to be patient.
        return Client(url, token, timeout_s=self._timeout_s, patience_s=0.0) if url else None


def address(home: Path) -> str:
    """Where the yard of this home listens, by its `yard.json`; empty if it says nothing."""
    try:
        return str(json.loads((home / "yard.json").read_bytes())["url"]).rstrip("/")
    except (OSError, ValueError, KeyError, TypeError):
        return ""


class Pause:
    """Growing pauses between attempts, bounded, back to the start after a success. A set `stop` ends one early."""

    def __init__(self, stop: threading.Event, longest_s: float = _LONGEST_PAUSE_S) -> None:
        self._stop = stop
        self._longest_s = longest_s
        self._next_s = _FIRST_PAUSE_S

    def reset(self) -> None:
        self._next_s = _FIRST_PAUSE_S

    def wait(self) -> None:
        # Spread by the process id, so that the hosts of a machine don't storm a yard that comes back.
        pause_s = self._next_s * (0.8 + (os.getpid() % 41) / 100)
        self._next_s = min(self._next_s * 2, self._longest_s)
        self._stop.wait(pause_s)


def patiently(action: Callable[[], T], deadline: float, stop: threading.Event) -> T:
    """Do `action` again and again while the yard is away, until `deadline` (time.monotonic) or `stop`.

    Raises the last Away then, and whatever else `action` raises at once.
    """
    pause = Pause(stop)
    while True:
        try:
            return action()
        except Away:
            if stop.is_set() or time.monotonic() >= deadline:
                raise
        pause.wait()
