"""A real MLflow server to compare with, and the yard's own beside it."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from python_environments import MLFLOW, NO_JOBS, environment
from services import free_port, wait_until


@contextlib.contextmanager
def a_mlflow_server() -> Iterator[str]:
    """The URL of a `mlflow server` with a database of its own."""
    program = environment(*MLFLOW).parent / "mlflow"
    port = free_port()
    with tempfile.TemporaryDirectory() as directory, open(f"{directory}/log", "wb") as log:
        process = subprocess.Popen(
            [
                program, "server", "--backend-store-uri", f"sqlite:///{directory}/mlflow.db",
                "--default-artifact-root", "mlflow-artifacts:/", "--artifacts-destination", f"{directory}/artifacts",
                "--port", str(port), "--workers", "1",
            ],
            stdout=log, stderr=log, cwd=directory, env={**os.environ, **NO_JOBS},
        )  # fmt: skip
        url = f"http://127.0.0.1:{port}"
        try:
            wait_until(lambda: _answers(url), f"mlflow server to answer (see {directory}/log)", 120)
            yield url
        finally:
            process.terminate()
            process.wait(timeout=30)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5):
            return True
    except (urllib.error.URLError, OSError):
        return False


@pytest.fixture(scope="session")
def mlflow_server() -> Iterator[str]:
    """The one that tests share; each uses experiments and models of its own."""
    with a_mlflow_server() as url:
        yield url


@contextlib.contextmanager
def a_yard_server() -> Iterator[tuple[str, str]]:
    """The URL at which MLflow's clients find the default workspace, and the owner's token."""
    import uvicorn

    from modelyard.server.app import build
    from modelyard.server.kernel.settings import Settings

    with tempfile.TemporaryDirectory() as home:
        yard = build(Settings(home=Path(home), port=0), "owner-token", "node-token")
        config = uvicorn.Config(yard.app, port=0, log_level="error", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        wait_until(lambda: server.started, "the server to listen")
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/mlflow/default", "owner-token"
        server.should_exit = True
        thread.join(timeout=20)
        yard.close()


@pytest.fixture(scope="session")
def yard_server() -> Iterator[tuple[str, str]]:
    """The one that tests share."""
    with a_yard_server() as server:
        yield server


@pytest.fixture(scope="module")
def untouched_servers() -> Iterator[tuple[str, tuple[str, str]]]:
    """A `mlflow server` and a yard that hold nothing yet, so that what they list can be compared."""
    with a_mlflow_server() as theirs, a_yard_server() as ours:
        yield theirs, ours


@pytest.fixture
def new_workspace(yard_server: tuple[str, str]) -> tuple[str, str]:
    """The URL of a workspace that nobody has used, and the owner's token."""
    url, token = yard_server
    base = url.partition("/mlflow/")[0]
    name = f"w{secrets.token_hex(4)}"
    request = urllib.request.Request(
        f"{base}/api/v1/workspaces",
        data=json.dumps({"name": name}).encode(),
        headers={"authorization": f"Bearer {token}", "content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30):
        return f"{base}/mlflow/{name}", token
