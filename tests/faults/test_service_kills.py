"""kill -9 of scoring hosts and keeper under requests, and of the yard beneath a service: it goes on answering."""

from __future__ import annotations

import http.client
import json
import threading
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import load
import pytest
from services import wait_until

SCORE = """
import time

def init():
    pass

def run(data):
    time.sleep(0.01)
    return {"echo": data}
"""


class Asking(threading.Thread):
    """Clients on connections of their own that score without a pause and count what comes back."""

    def __init__(self, uri: str) -> None:
        super().__init__(daemon=True)
        self._address = urllib.parse.urlsplit(uri)
        self._end = threading.Event()
        self.good = 0
        self.failed: list[str] = []

    def run(self) -> None:
        number = 0
        while not self._end.is_set():
            connection = http.client.HTTPConnection(
                self._address.hostname or "", self._address.port, timeout=20
            )
            try:
                while not self._end.is_set():
                    number += 1
                    sent = {"data": number}
                    connection.request(
                        "POST", self._address.path, json.dumps(sent), {"Content-Type": "application/json"}
                    )
                    answer = connection.getresponse()
                    body = answer.read()
                    if answer.status != 200 or json.loads(body)["echo"] not in (number, json.dumps(sent)):
                        self.failed.append(f"{answer.status} {body[:200]!r}")
                    else:
                        self.good += 1
            except (OSError, http.client.HTTPException) as error:
                self.failed.append(f"{time.monotonic():.3f} {type(error).__name__}: {error}")
                self._end.wait(0.02)
            finally:
                connection.close()

    def stop(self) -> None:
        self._end.set()
        self.join(timeout=30)


@pytest.fixture
def service(workspace: Any, tmp_path: Path) -> Any:
    from modelyard import AksWebservice, InferenceConfig, Model

    source = tmp_path / "service"
    source.mkdir()
    (source / "score.py").write_text(SCORE)
    config = InferenceConfig(
        entry_script="score.py", source_directory=str(source), environment=load.this_python()
    )
    settings = AksWebservice.deploy_configuration(num_replicas=2, auth_enabled=False)
    deployed = Model.deploy(workspace, "echo", [], config, settings)
    deployed.wait_for_deployment(show_output=False)
    return deployed


@pytest.fixture
def clients(service: Any) -> Iterator[list[Asking]]:
    asking = [Asking(service.scoring_uri) for _ in range(4)]
    for one in asking:
        one.start()
    yield asking
    for one in asking:
        one.stop()


def status_of(own_yard: Any) -> dict[str, Any]:
    (file,) = (own_yard.home / "node" / "services").glob("*/status.json")
    return json.loads(file.read_text())  # type: ignore[no-any-return]


def answered(clients: list[Asking]) -> int:
    return sum(c.good for c in clients)


def failures(clients: list[Asking]) -> list[str]:
    return [f for c in clients for f in c.failed]


def wait_more(clients: list[Asking], more: int = 100) -> None:
    before = answered(clients)
    wait_until(lambda: answered(clients) >= before + more, "more answers", 60)


def two_ready(own_yard: Any) -> bool:
    found = status_of(own_yard)["replicas"]
    return sum(r["ready"] and not load.is_gone(r["pid"]) for r in found) == 2


@pytest.mark.timeout(240)
def test_a_service_outlives_the_kill_of_each_of_its_processes_and_of_the_yard(
    own_yard: Any, service: Any, clients: list[Asking]
) -> None:
    wait_more(clients)
    assert failures(clients) == []

    for _ in range(3):  # a scoring host: what it had in hand is lost, one request a connection at most
        before = len(failures(clients))
        load.kill(status_of(own_yard)["replicas"][0]["pid"])
        wait_until(lambda: two_ready(own_yard), "the replica to be replaced", 60)
        wait_more(clients)
        assert len(failures(clients)) - before <= len(clients), failures(clients)

    before = len(failures(clients))
    keeper = status_of(own_yard)["pid"]
    hosts = {r["pid"] for r in status_of(own_yard)["replicas"]}
    load.kill(keeper)
    wait_until(lambda: status_of(own_yard)["pid"] != keeper, "another keeper", 60)
    wait_until(lambda: two_ready(own_yard), "the keeper to find the replicas", 60)
    assert {r["pid"] for r in status_of(own_yard)["replicas"]} == hosts
    wait_more(clients)
    assert len(failures(clients)) == before, failures(clients)

    load.kill(load.server_pid(own_yard.home))
    load.kill(load.agent_pid(own_yard.home))
    wait_more(clients, 200)
    load.kill(status_of(own_yard)["replicas"][1]["pid"])  # and the keeper needs no yard for this
    wait_until(lambda: two_ready(own_yard), "the replica to be replaced without a yard", 60)
    wait_more(clients)
    assert len(failures(clients)) - before <= len(clients), failures(clients)

    before = len(failures(clients))
    own_yard.up()
    wait_until(lambda: service.state == "Healthy", "the yard to know the service again", 60)
    wait_more(clients)
    assert len(failures(clients)) == before, failures(clients)
    assert {r["pid"] for r in status_of(own_yard)["replicas"]} & hosts


@pytest.mark.timeout(240)
def test_a_service_whose_every_process_is_killed_comes_back_at_its_address(
    own_yard: Any, service: Any
) -> None:
    uri = service.scoring_uri
    found = status_of(own_yard)
    for pid in (
        load.server_pid(own_yard.home),
        load.agent_pid(own_yard.home),
        found["pid"],
        *(r["pid"] for r in found["replicas"]),
    ):
        load.kill(pid)
    own_yard.up()
    client = Asking(uri)
    client.start()
    try:
        wait_until(lambda: client.good > 10, "answers again", 60)
    finally:
        client.stop()
    wait_until(lambda: service.state == "Healthy", "the yard to see it healthy", 60)
    assert service.scoring_uri == uri
