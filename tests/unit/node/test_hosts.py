"""Run hosts come from a fork server, and from a spawn where there is none; neither needs the agent to stay."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from modelyard.node import processes
from modelyard.node.hosts import Hosts

SCRIPT = {"train.py": "print('trained')\n"}


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    made = Hosts(tmp_path)
    yield made
    made.close()


def server_of(hosts: Hosts) -> int:
    assert hosts._server is not None
    return hosts._server.pid


def host_of(run: Any, until: Callable[..., None]) -> int:
    """The pid of the run's host, once it is known."""
    found: list[int] = []

    def look() -> bool:
        known = processes_of(run)
        found[:] = [known["pid"]] if "script" in known else []
        return bool(found)

    until(look, "the run host to start its script")
    return found[0]


def processes_of(run: Any) -> dict[str, Any]:
    from modelyard.node import records

    return records.read_object(run.directory.host)


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_a_host_is_forked_and_ends_its_run(hosts: Hosts, make_run: Any, until: Callable[..., None]) -> None:
    run = make_run({"train.py": "import time\nprint('trained', flush=True)\ntime.sleep(600)\n"})
    hosts.tend()
    hosts.start(run.directory)
    pid = host_of(run, until)
    assert parent(pid) == server_of(hosts)
    assert os.getsid(pid) == pid
    processes.send(pid, signal.SIGTERM)
    until(lambda: run.directory.exit.exists(), "the run to end")
    until(lambda: not processes.started(pid), "its host to end")


def test_a_forked_host_outlives_the_fork_server(
    hosts: Hosts, make_run: Any, until: Callable[..., None]
) -> None:
    run = make_run({"train.py": "import time\ntime.sleep(600)\n"})
    hosts.tend()
    hosts.start(run.directory)
    pid = host_of(run, until)
    hosts.close()
    assert processes.started(pid)
    processes.send(pid, signal.SIGTERM)
    until(lambda: run.directory.exit.exists(), "the run to end")


@pytest.mark.parametrize("killed", [True, False])
def test_without_a_fork_server_a_host_is_spawned(
    hosts: Hosts, make_run: Any, until: Callable[..., None], killed: bool
) -> None:
    run = make_run(SCRIPT)
    if killed:
        hosts.tend()
        server = server_of(hosts)
        os.kill(server, signal.SIGKILL)
        until(lambda: not processes.started(server), "the fork server to be gone")
    hosts.start(run.directory)
    until(lambda: run.directory.exit.exists(), "the run to end")
    assert run.exit["status"] == "Completed"
