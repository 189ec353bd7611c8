"""A real keeper with real scoring hosts on real sockets, for the tests of this folder."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from services import wait_until

SRC = str(Path(__file__).parents[3] / "src")
ECHO = """
    import json
    def init():
        print("init ran")
    def run(data):
        return {"got": json.loads(data)}
"""


class Service:
    """A service directory and the keeper that may run on it."""

    def __init__(self, directory: Path) -> None:
        self.dir = directory
        self.source = directory / "source"
        self.source.mkdir(parents=True)
        self.config: dict[str, Any] = {
            "endpoint": "echo",
            "endpoint_id": "e-1",
            "workspace": "ws",
            "revision": 1,
            "host": "127.0.0.1",
            "port": 0,
            "replicas": 1,
            "python": sys.executable,
            "pythonpath": [SRC],
            "source_dir": str(self.source),
            "entry_script": "score.py",
            "model_dir": str(directory / "model"),
            "models": [],
            "variables": {"GREETING": "hello"},
            "auth_enabled": False,
            "keys": [],
            "scoring_timeout_s": 30.0,
            "max_body_bytes": 1_000_000,
            "stop": False,
        }
        self.keeper: subprocess.Popen[bytes] | None = None

    def script(self, text: str, name: str = "score.py") -> None:
        (self.source / name).write_text(textwrap.dedent(text))

    def write(self, **changes: Any) -> None:
        self.config.update(changes)
        (self.dir / "service.json.new").write_text(json.dumps(self.config))
        os.replace(self.dir / "service.json.new", self.dir / "service.json")

    def start(self, program: Sequence[str] = (sys.executable,), **changes: Any) -> None:
        self.write(**changes)
        self.keeper = subprocess.Popen(
            [*program, "-m", "modelyard.scoring.keeper", str(self.dir)],
            env={**os.environ, "PYTHONPATH": SRC},
            start_new_session=True,
        )

    def change(self, **changes: Any) -> None:
        self.write(**changes)
        assert self.keeper is not None
        self.keeper.send_signal(signal.SIGHUP)

    def status(self) -> dict[str, Any]:
        try:
            value = json.loads((self.dir / "status.json").read_text())
        except FileNotFoundError:
            return {}
        assert isinstance(value, dict)
        return value

    def wait(self, state: str = "Healthy", **fields: Any) -> dict[str, Any]:
        def there() -> bool:
            status = self.status()
            mine = self.keeper is None or status.get("pid") == self.keeper.pid
            return mine and status.get("state") == state and all(status[k] == v for k, v in fields.items())

        try:
            wait_until(there, f"{state} {fields}", 20)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.status()}\n{self.log()}") from None
        return self.status()

    def log(self) -> str:
        path = self.dir / "logs" / "scoring.log"
        return path.read_text() if path.exists() else ""

    def pids(self) -> list[int]:
        return [r["pid"] for r in self.status()["replicas"] if r["state"] == "ready"]

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.status()["port"], timeout=20)

    def request(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        connection = self.connect()
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def score(self, value: Any) -> Any:
        status, _, body = self.request("POST", "/score", json.dumps(value))
        assert status == 200, body
        return json.loads(body)

    def end(self) -> None:
        if self.keeper is not None and self.keeper.poll() is None:
            self.keeper.terminate()
            try:
                self.keeper.wait(10)
            except subprocess.TimeoutExpired:
                self.keeper.kill()
                self.keeper.wait()
        # What a killed keeper left: each socket's name holds the pid of its replica.
        for path in (self.dir / "replicas").glob("*.sock"):
            try:
                os.killpg(int(path.name.split("-")[3]), signal.SIGKILL)
            except ProcessLookupError:
                pass


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path / "service")
    made.script(ECHO)
    yield made
    made.end()
