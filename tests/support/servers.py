"""A yard's server inside this process, listening on a real socket, without an agent."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services import wait_until


@dataclass
class Server:
    home: Path
    url: str
    owner_token: str
    node_token: str
    yard: Any
    stop: Callable[[], None]


def start_in_process(home: Path, clock: Any = None, port: int = 0, **settings: Any) -> Server:
    import uvicorn

    from modelyard.server.app import build
    from modelyard.server.kernel.settings import Settings

    yard = build(Settings(home=home, port=port, **settings), "owner-token", "node-token", clock)
    config = uvicorn.Config(
        yard.app, host="127.0.0.1", port=port, log_level="warning", lifespan="on", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_until(lambda: server.started, "the server to listen")
    bound = server.servers[0].sockets[0].getsockname()[1]

    def stop() -> None:
        server.should_exit = True
        thread.join(timeout=20)
        yard.close()

    return Server(home, f"http://127.0.0.1:{bound}", "owner-token", "node-token", yard, stop)
