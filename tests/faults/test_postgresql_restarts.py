"""PostgreSQL goes away and comes back under load; several yard processes share one."""

from __future__ import annotations

import contextlib
import json
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from services import SERVICES, Postgres, postgres_cluster, wait_until

from modelyard._client import Client
from modelyard.errors import AzureMLException

RUNS = "/api/v1/workspaces/default/runs"


@pytest.fixture
def cluster(service: Callable[[str], str]) -> Iterator[Postgres]:
    if not SERVICES["postgresql"].installed():
        service("postgresql")  # skips, and says how to install it
    with postgres_cluster() as started:
        yield started


def line(n: int) -> bytes:
    return json.dumps({"k": "m", "n": "x", "v": n, "t": n, "s": n}).encode() + b"\n"


class Writer(threading.Thread):
    """Appends points to a journal of its own, as a run host does; keeps what was acknowledged."""

    def __init__(self, url: str, run_id: str, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self._client = Client(url, "owner-token", patience_s=60)
        self._run_id = run_id
        self._stopping = stop
        self.acknowledged = 0
        self.error: Exception | None = None

    def run(self) -> None:
        offset = 0
        body = {"run_id": self._run_id, "experiment": "e", "started": True}
        with contextlib.closing(self._client) as client:
            try:
                client.request("POST", RUNS, body, idempotent=True)
                while not self._stopping.is_set():
                    text = line(self.acknowledged)
                    path = f"{RUNS}/{self._run_id}/journal?source=s&offset={offset}"
                    client.request("POST", path, content=text, idempotent=True)
                    offset += len(text)
                    self.acknowledged += 1
            except (AzureMLException, OSError) as error:
                self.error = error


@pytest.mark.parametrize("mode", ["fast", "immediate"])
@pytest.mark.timeout(120)
def test_nothing_acknowledged_is_lost_when_postgresql_restarts(
    cluster: Postgres, start_server: Callable[..., Any], mode: str
) -> None:
    server = start_server(database=cluster.url)
    stop = threading.Event()
    writers = [Writer(server.url, f"r{i}", stop) for i in range(4)]
    for writer in writers:
        writer.start()
    for _ in range(2):
        seen = [w.acknowledged for w in writers]
        wait_until(
            lambda seen=seen: all(w.acknowledged > s + 5 for w, s in zip(writers, seen, strict=True)),
            "writes",
        )
        cluster.stop(mode)
        with pytest.raises(urllib.error.HTTPError) as unhealthy:
            urllib.request.urlopen(server.url + "/health", timeout=20)
        assert unhealthy.value.code == 503
        unhealthy.value.close()
        cluster.start()
    seen = [w.acknowledged for w in writers]
    wait_until(
        lambda: all(w.acknowledged > s + 5 for w, s in zip(writers, seen, strict=True)), "writes again", 60
    )
    stop.set()
    for writer in writers:
        writer.join(30)
        assert writer.error is None
    with contextlib.closing(Client(server.url, "owner-token")) as client:
        for i, writer in enumerate(writers):
            path = f"{RUNS}/r{i}/metrics/x/points?limit=100000"
            assert client.request("GET", path)["values"] == list(range(writer.acknowledged))


def test_two_servers_on_one_postgresql_see_each_other_s_changes(
    cluster: Postgres, start_server: Callable[..., Any]
) -> None:
    one, other = (start_server(database=cluster.url) for _ in range(2))
    with (
        contextlib.closing(Client(one.url, "owner-token")) as here,
        contextlib.closing(Client(other.url, "owner-token")) as there,
    ):
        run = here.request("POST", RUNS, {"run_id": "r1", "experiment": "e", "started": True})
        waiting = f"{RUNS}/r1?wait_version={run['version']}&wait_s=20"
        answers: list[tuple[Any, float]] = []

        def wait() -> None:
            answers.append((there.request("GET", waiting, timeout_s=30), time.monotonic()))

        waiter = threading.Thread(target=wait)
        waiter.start()
        here.request("PATCH", f"{RUNS}/r1", {"set_tags": {"a": "b"}})
        changed = time.monotonic()
        waiter.join(30)
        answer, at = answers[0]
        assert answer["tags"] == {"a": "b"}
        assert at - changed < 5  # it looks every second; the rest is for a busy machine


def test_a_tail_follows_a_log_that_another_server_takes_in(
    cluster: Postgres, start_server: Callable[..., Any]
) -> None:
    one, other = (start_server(database=cluster.url) for _ in range(2))
    with contextlib.closing(Client(one.url, "owner-token")) as here:
        here.request("POST", RUNS, {"run_id": "r1", "experiment": "e", "started": True})
        log = f"{RUNS}/r1/logs/user_logs/std_log.txt?offset="
        here.request("POST", log + "0", content=b"first\n")
        request = urllib.request.Request(
            f"{other.url}{log}6&wait_s=20", headers={"authorization": "Bearer owner-token"}
        )
        got: list[bytes] = []

        def tail() -> None:
            with urllib.request.urlopen(request, timeout=30) as response:
                got.append(response.read())

        tailing = threading.Thread(target=tail)
        tailing.start()
        here.request("POST", log + "6", content=b"second\n")
        tailing.join(30)
    assert got == [b"second\n"]
