"""Fixtures that every part of the suite shares: a clock, a server in this process, a real yard, real services."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from servers import Server, start_in_process
from services import SERVICES

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # start times are part of what is tested
for _name in [n for n in os.environ if n.startswith(("MODELYARD_", "AZUREML_"))]:
    if _name not in ("MODELYARD_TEST_TOOLS", "MODELYARD_V1_NOTEBOOKS"):  # where to find what tests need
        del os.environ[_name]

os.environ["CONDA_OFFLINE"] = (
    "1"  # conda's own setting: no specification in a test asks a channel of the network
)

# No test measures time, and what is red in continuous integration must be red again on the next try.
settings.register_profile(
    "suite",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=bool(os.environ.get("CI")),
)
settings.load_profile("suite")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--all-services",
        action="store_true",
        help="a real service that is not installed is an error, not a skip",
    )


_missing: dict[str, int] = {}


@pytest.fixture(scope="session")
def service(request: pytest.FixtureRequest) -> Iterator[Callable[[str], str]]:
    """`service("postgresql")` starts the real thing (once a session) and gives its URL."""
    import contextlib

    with contextlib.ExitStack() as stack:
        started: dict[str, str] = {}

        def start(name: str) -> str:
            if name not in started:
                kind = SERVICES[name]
                if not kind.installed():
                    _missing[name] = _missing.get(name, 0) + 1
                    if request.config.getoption("--all-services"):
                        pytest.fail(f"{name} is not installed: {kind.install}")
                    pytest.skip(f"{name} is not installed: {kind.install}")
                started[name] = stack.enter_context(kind.start())
            return started[name]

        yield start


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if _missing:
        terminalreporter.section("services that are not installed")
        for name, count in sorted(_missing.items()):
            terminalreporter.line(f"{name}: {count} skipped; install it with: {SERVICES[name].install}")


@pytest.fixture
def start_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Start a server in this process: `start_server(database=…, clock=…)`; stopped at the end of the test.

    Its home is not in the test's own directory, which a test may submit.
    """
    running: list[Server] = []

    def start(clock: Any = None, **settings: Any) -> Server:
        home = tmp_path_factory.mktemp("home")
        running.append(start_in_process(home, clock, **settings))
        return running[-1]

    yield start
    for server in running:
        server.stop()


@pytest.fixture
def server(start_server: Callable[..., Server]) -> Server:
    return start_server()


@dataclass
class RealYard:
    """A yard as a user has it: `modelyard up`, with its agent, in a home of its own."""

    home: Path
    url: str = ""
    env: dict[str, str] = field(default_factory=dict)

    def cli(
        self, *args: str, check: bool = True, timeout_s: float = 240, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "modelyard", *args],
            env=self.env,
            text=True,
            capture_output=True,
            check=check,
            timeout=timeout_s,
            **options,
        )

    def up(self, *args: str) -> None:
        import json

        done = self.cli("up", "--port", "0", "--detach", *args, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        self.url = json.loads((self.home / "yard.json").read_text())["url"]

    def down(self) -> None:
        self.cli("down", "--all", check=False)


def _real_yard(home: Path) -> RealYard:
    home.mkdir(parents=True, exist_ok=True)
    return RealYard(home, env={**os.environ, "MODELYARD_HOME": str(home)})


@pytest.fixture(scope="session")
def new_yard() -> Callable[[Path], RealYard]:
    """`new_yard(home)`: a real yard that is not started yet, for fixtures of any scope; whoever makes it ends it."""
    return _real_yard


@pytest.fixture(scope="session")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealYard]:
    """One real yard for the whole session; tests use names of their own."""
    real = _real_yard(tmp_path_factory.mktemp("yard"))
    real.up()
    yield real
    real.down()


@pytest.fixture
def own_yard(tmp_path: Path) -> Iterator[RealYard]:
    """A real yard for one test, not started yet: call `.up()`."""
    real = _real_yard(tmp_path / "own-yard")
    yield real
    real.down()
