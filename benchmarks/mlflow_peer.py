"""The two servers that MLflow's clients are measured against: a real `mlflow server`, and a yard. No benchmark of its own.

MLflow gets uvloop and httptools, without which it loses 44 ms a request to Nagle, and one worker, as the yard has.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

sys.path.append(str(Path(__file__).parents[1] / "tests" / "support"))

from python_environments import MLFLOW, NO_JOBS, environment  # shared with the tests, which are no package
from services import free_port  # as above

API = "/api/2.0/mlflow"
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Server:
    """`url` is what MLflow's clients are given."""

    url: str
    token: str
    pid: int

    @property
    def client_environment(self) -> dict[str, str]:
        return {**os.environ, "MLFLOW_TRACKING_URI": self.url, "MLFLOW_TRACKING_TOKEN": self.token}

    def call(self, method: str, path: str, body: object = None) -> dict[str, object]:
        """One call over a connection of its own; `path` after the API's prefix."""
        content = None if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json", "authorization": f"Bearer {self.token}"}
        request = urllib.request.Request(self.url + API + path, data=content, method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=120) as answer:
            return dict(json.load(answer))

    def cpu_s(self) -> float:
        """CPU time that its processes have used."""
        return sum(_cpu_s(pid) for pid in _tree(self.pid))

    @property
    def address(self) -> tuple[str, int, str]:
        """Host, port and path, for raw connections."""
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or 0, parts.path + API


@contextlib.contextmanager
def mlflow_server(directory: Path) -> Iterator[Server]:
    """On SQLite in `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    port = free_port()
    command = [
        str(environment(*MLFLOW).parent / "mlflow"), "server", "--port", str(port), "--workers", "1",
        "--backend-store-uri", f"sqlite:///{directory}/mlflow.db", "--default-artifact-root", "mlflow-artifacts:/",
        "--artifacts-destination", f"{directory}/artifacts",
    ]  # fmt: skip
    with open(directory / "log", "wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, cwd=directory, env={**os.environ, **NO_JOBS}
        )
        server = Server(f"http://127.0.0.1:{port}", "", process.pid)
        try:
            _wait(server.url)
            yield server
        finally:
            process.terminate()
            process.wait(timeout=30)


@contextlib.contextmanager
def yard(directory: Path, database: str = "") -> Iterator[Server]:
    """A yard with its home in `directory`; `database` is a PostgreSQL URL, or empty for SQLite."""
    env = {**os.environ, "MODELYARD_HOME": str(directory)}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    more = ["--database-url", database] if database else []
    program = [sys.executable, "-m", "modelyard"]
    subprocess.run(
        [*program, "up", "--port", "0", "--detach", *more], env=env, check=True, capture_output=True
    )
    try:
        record = json.loads((directory / "yard.json").read_text())
        token = (directory / "owner.token").read_text().strip()
        yield Server(f"{record['url']}/mlflow/default", token, record["pid"])
    finally:
        subprocess.run([*program, "down", "--all"], env=env, check=False, capture_output=True)


def in_client(server: Server, program: str, *arguments: str) -> float:
    """The number that a Python program prints last, run with the real mlflow client against the server."""
    command = [str(environment(*MLFLOW)), "-W", "ignore", "-c", program, *arguments]
    done = subprocess.run(command, env=server.client_environment, check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


def _wait(url: str) -> None:
    for _ in range(600):
        with (
            contextlib.suppress(urllib.error.URLError, OSError),
            urllib.request.urlopen(f"{url}/health", timeout=5),
        ):
            return
        time.sleep(0.2)
    raise TimeoutError(f"{url} does not answer")


def _tree(pid: int) -> list[int]:
    """The process and those below it."""
    found = [pid]
    for one in found:
        with contextlib.suppress(OSError):
            found += map(int, Path(f"/proc/{one}/task/{one}/children").read_text().split())
    return found


def _cpu_s(pid: int) -> float:
    try:
        numbers = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(numbers[11]) + int(numbers[12])) * TICK_S
