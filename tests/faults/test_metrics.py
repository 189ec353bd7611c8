"""Points under kills and crowds: what was acknowledged is there, once."""

from __future__ import annotations

import http.client
import json
import multiprocessing
import threading
from typing import Any
from urllib.parse import urlsplit

import load
import pytest
from services import wait_until

from modelyard._client import Client
from modelyard.errors import AzureMLException

RUNS = "/api/v1/workspaces/default/runs"
CROWD, CALLS = 64, 15


def start(client: Client, run_id: str) -> None:
    client.request("POST", RUNS, {"run_id": run_id, "experiment": "e", "started": True}, idempotent=True)


class Logging(threading.Thread):
    """Appends points 0, 1, 2 …, some hundred a call, until told to stop; each call until it is acknowledged."""

    def __init__(self, client: Client) -> None:
        super().__init__(daemon=True)
        self._client = client
        self._end = threading.Event()
        self.acknowledged = 0
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            while not self._end.is_set():
                steps = list(range(self.acknowledged, self.acknowledged + 700))
                body = {"series": [{"name": "x", "values": [s * 0.1 for s in steps], "steps": steps}]}
                key = {"Idempotency-Key": str(steps[0])}
                self._client.request("POST", f"{RUNS}/r/metrics", body, headers=key, idempotent=True)
                self.acknowledged = steps[-1] + 1
        except AzureMLException as error:
            self.error = error

    def stop(self) -> None:
        self._end.set()
        self.join(60)


@pytest.mark.timeout(240)
def test_no_point_is_lost_or_doubled_when_the_yard_is_killed_while_it_folds(
    own_yard: Any, workspace: Any
) -> None:
    client = Client(workspace._client.url, workspace._client.token, patience_s=120)
    start(client, "r")
    logging = Logging(client)
    logging.start()
    for round_ in range(1, 5):
        # The fold of a full block is due at each multiple of 8,192 points, so this is in the middle of some.
        wait_until(lambda to=round_ * 9_000: logging.acknowledged > to, "points", 60)
        load.kill(load.server_pid(own_yard.home))
        own_yard.up()
    logging.stop()
    assert logging.error is None
    client.request("POST", f"{RUNS}/r/status", {"status": "Completed"})
    run = workspace.get_run("r")
    found = run.metric_series("x")["x"]
    assert found.steps == list(range(logging.acknowledged))
    assert found.values == [step * 0.1 for step in found.steps]


def _log_alone(url: str, token: str, number: int, results: Any) -> None:
    """One process of a crowd: an own run, an own connection, one point a call. Tells the statuses that it saw."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 0, timeout=120)
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    seen: list[int] = []
    for step in range(CALLS):
        body = json.dumps({"points": [{"name": "x", "value": step * 0.5, "step": step}]})
        connection.request("POST", f"{RUNS}/r{number % 8}/metrics", body, headers)
        answer = connection.getresponse()
        answer.read()
        seen.append(answer.status)
    results.put(seen)


@pytest.mark.timeout(240)
def test_sixty_four_processes_log_at_once_and_none_is_refused(own_yard: Any, workspace: Any) -> None:
    client = workspace._client
    for run in range(8):
        start(client, f"r{run}")
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    crowd = [
        context.Process(target=_log_alone, args=(client.url, client.token, number, results), daemon=True)
        for number in range(CROWD)
    ]
    for one in crowd:
        one.start()
    statuses = [status for _ in crowd for status in results.get(timeout=200)]
    for one in crowd:
        one.join(60)
    assert set(statuses) == {200}
    found = workspace.metric_series([f"r{run}" for run in range(8)], "x")
    assert sum(len(one.steps) for one in found) == CROWD * CALLS
    assert all(sorted(one.steps) == sorted([*range(CALLS)] * 8) for one in found)
