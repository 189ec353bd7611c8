"""The yard's process: takes the home, listens, runs the app until told to stop.

`modelyard up` calls `serve` in the foreground; with --detach it starts `python -m modelyard.server.serve`,
which is `main`.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import json
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from modelyard.server.kernel.errors import Conflict, Invalid, ProblemError
from modelyard.server.kernel.settings import Settings, load
from modelyard.server.serve import home as homes
from modelyard.server.serve.home import YardRecord

log = logging.getLogger(__name__)

_KEEP_ALIVE_S = 75  # longer than the SDK's pauses between polls, so that a connection serves a whole session
_LAST_ANSWERS_S = 5  # how long requests in flight may take when the yard stops
_LOG_BYTES = 20 * 1024 * 1024


class AlreadyRunning(Conflict):
    """Another process has this home; `record` says which, once it listens."""

    def __init__(self, home: Path, record: YardRecord | None) -> None:
        where = f"{record.url} (pid {record.pid})" if record else "a process that is just starting"
        super().__init__("already_running", f"A yard is running on {home}: {where}.")
        self.record = record


def serve(settings: Settings, ready: Callable[[YardRecord], None]) -> None:
    """Run the yard in this process until SIGTERM or SIGINT. `ready` is called once it listens.

    Raises AlreadyRunning, or ProblemError for a home, port, database or blob store that can't be used.
    """
    homes.prepare(settings.home)
    lock = homes.lock(settings.home)
    if lock is None:
        raise AlreadyRunning(settings.home, homes.read_record(settings.home))
    listener = listen_again(settings)
    try:
        _serve_on(listener, settings, ready)
    finally:
        listener.close()
        homes.remove_record(settings.home)
        os.close(lock)


def _serve_on(listener: socket.socket, settings: Settings, ready: Callable[[YardRecord], None]) -> None:
    # Heavy: what the lines above refuse should be refused at once.
    from modelyard.server.app import build
    from modelyard.server.serve.local_agent import LocalAgent

    url = url_of(settings.host, listener.getsockname()[1])
    if not settings.database:
        homes.private_file(settings.home / "yard.db")  # SQLite gives its -wal and -shm the same mode
    owner = homes.token(settings.owner_token_file, "owner")
    node = homes.token(settings.node_token_file, "node")
    yard = build(settings, owner, node)
    homes.write_stores(settings.home, settings.stores)
    agent = LocalAgent(settings.home, url, settings.slots)

    # The agent waits for the yard to listen: until then it would only take time from it.
    listening, wake = threading.Event(), threading.Event()
    yard.supervisor.add(
        "local-agent", lambda: agent.look() if listening.is_set() else None, every_s=1.0, wake=wake
    )

    def started() -> None:
        record = homes.write_record(settings.home, url)
        log.info("the yard answers at %s", url)
        ready(record)
        listening.set()
        wake.set()

    try:
        _run_server(yard.app, listener, started)
    finally:
        agent.stop()
        yard.close()


def _run_server(app: Any, listener: socket.socket, started: Callable[[], None]) -> None:
    import uvicorn

    departures = Departures(app)

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            gc.freeze()  # what start-up made lives as long as the process: never walk it again
            gc.enable()
            started()

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            departures.let_go()
            await super().shutdown(sockets)

    config = uvicorn.Config(
        departures,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        workers=1,
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_LAST_ANSWERS_S,
    )
    server = Server(config)
    with _signals_kept():
        server.run(sockets=[listener])


@contextlib.contextmanager
def _signals_kept() -> Any:
    """uvicorn raises the signal that stopped it once more at its end; our own last steps come after that."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    old = {s: signal.signal(s, lambda *_: None) for s in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for sign, handler in old.items():
            signal.signal(sign, handler)


class Departures:
    """Ends requests that merely wait, for news or for the answer of a query, when the yard stops, so that it need not wait
    for them."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._waiting: set[asyncio.Task[Any]] = set()

    def let_go(self) -> None:
        for task in self._waiting:
            task.cancel("the yard stops")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        waits = scope["type"] == "http" and (
            b"wait_s=" in scope["query_string"]
            or scope["path"] == "/api/v1/nodes/poll"
            or scope["path"].endswith(("/metrics/tail", "/sql"))
        )
        if not waits:
            await self._app(scope, receive, send)
            return
        begun = False

        async def watched(message: Any) -> None:
            nonlocal begun
            begun = True
            await send(message)

        task = asyncio.current_task()
        assert task is not None
        self._waiting.add(task)
        try:
            await self._app(scope, receive, watched)
        except asyncio.CancelledError:
            if begun:
                raise
            await _stopping(send)
        finally:
            self._waiting.discard(task)


async def _stopping(send: Any) -> None:
    body = json.dumps(
        {
            "code": "yard_stopping",
            "detail": "The yard is stopping. Ask again when it is back.",
            "status": 503,
            "title": "Unavailable",
            "extra": {},
        }
    ).encode()
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"retry-after", b"1"),
        (b"connection", b"close"),
    ]
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises Conflict for a taken port, Invalid for an address that is not ours."""
    if not 0 <= port <= 65535:
        raise Invalid("bad_port", f"Port {port} is not between 0 and 65535.")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as error:
        raise Invalid("bad_host", f"The host {host!r} can't be resolved: {error.strerror}.") from error
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise Conflict(
                "port_taken",
                f"Port {port} on {host} is taken by another program. "
                "Choose another with --port, or --port 0 for any free one.",
            ) from error
        if error.errno == errno.EACCES:
            raise Invalid(
                "bad_port", f"Port {port} on {host} needs more rights than yours. Choose one from 1024 up."
            ) from error
        raise Invalid("bad_host", f"Can't listen on {host}:{port}: {error.strerror}.") from error
    return listener


def listen_again(settings: Settings) -> socket.socket:
    """Listen as the settings say.

    With port 0 the port of last time is taken if it is free: runs that went on meanwhile know the yard by it.
    """
    memory = settings.home / "yard.port"
    listener = None
    if settings.port == 0 and memory.exists():
        with contextlib.suppress(Conflict, ValueError):
            listener = listen(settings.host, int(memory.read_text("utf-8")))
    listener = listener or listen(settings.host, settings.port)
    memory.write_text(f"{listener.getsockname()[1]}\n", "utf-8")
    return listener


def url_of(host: str, port: int) -> str:
    """The address under which programs on this machine find a yard that listens on `host`."""
    name = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}.get(host)  # compared, not bound
    if name is None:
        name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}"


def log_to(settings: Settings, file: Path | None) -> None:
    """Log to `file`, or to stderr. A file that has grown large is set aside first, one generation."""
    handler: logging.Handler = logging.StreamHandler()
    if file is not None:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        homes.private_file(file)
        if file.stat().st_size > _LOG_BYTES:
            file.replace(file.with_name(file.name + ".1"))
            homes.private_file(file)
        output = os.open(file, os.O_WRONLY | os.O_APPEND)
        for descriptor in (1, 2):
            os.dup2(output, descriptor)
        os.close(output)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    level = logging.getLevelName(settings.log_level.upper())
    if not isinstance(level, int):
        raise Invalid(
            "bad_setting",
            f"Setting 'log_level' must be debug, info, warning or error, got {settings.log_level!r}.",
        )
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # They tell each start and stop in several lines; ours say it once.
    for chatty in ("uvicorn", "alembic"):
        logging.getLogger(chatty).setLevel(max(level, logging.WARNING))


def main() -> int:
    """The detached process: flags as JSON on stdin, one JSON line to `--ready-fd` once it answers."""
    ready_fd = int(sys.argv[sys.argv.index("--ready-fd") + 1])
    flags: Mapping[str, Any] = json.load(sys.stdin)

    def tell(value: Mapping[str, Any]) -> None:
        with contextlib.suppress(BrokenPipeError):  # nobody waits any more
            os.write(ready_fd, json.dumps(value).encode() + b"\n")
        os.close(ready_fd)

    try:
        settings, _ = load(flags)
        homes.prepare(settings.home)
        log_to(settings, settings.home / "logs" / "yard.log")
        serve(settings, lambda record: tell({"url": record.url, "pid": record.pid}))
    except AlreadyRunning as error:
        tell({"error": error.detail, "code": error.code})
        return 1
    except ProblemError as error:
        log.error("%s", error.detail)
        with contextlib.suppress(OSError):  # told already: it broke while running
            tell({"error": error.detail, "code": error.code})
        return 1
    return 0
