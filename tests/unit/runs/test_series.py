"""Series and tails through the SDK, on a real socket."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any

import pytest
from services import wait_until

from modelyard import Workspace, _events
from modelyard._client import Client
from modelyard.errors import AzureMLException

RUNS = "/api/v1/workspaces/default/runs"


@pytest.fixture
def server(start_server: Callable[..., Any]) -> Any:
    return start_server()


def run_on(server: Any, run_id: str = "r") -> tuple[Workspace, Any, Client]:
    client = Client(server.url, "owner-token")
    client.request("POST", RUNS, {"run_id": run_id, "experiment": "e", "started": True}, idempotent=True)
    workspace = Workspace._named("default", client)
    return workspace, workspace.get_run(run_id), client


def append(client: Client, values: list[Any], start: int, name: str = "x", run_id: str = "r") -> None:
    steps = list(range(start, start + len(values)))
    body = {"series": [{"name": name, "values": values, "steps": steps, "times_ms": steps}]}
    client.request("POST", f"{RUNS}/{run_id}/metrics", body)


def test_series_come_as_lists_and_as_arrays(server: Any) -> None:
    workspace, run, client = run_on(server)
    append(client, [0.5, "NaN", "Infinity"], 0)
    append(client, [float(i % 7) for i in range(200)], 0, "y")
    found = run.metric_series()
    assert list(found) == ["x", "y"]
    assert (found["x"].steps, found["x"].times_ms) == ([0, 1, 2], [0, 1, 2])
    assert math.isnan(found["x"].values[1])
    assert found["x"].values[2] == math.inf
    steps, _, values = found["y"].to_numpy()
    assert (len(values), steps[-1]) == (200, 199)
    sample = run.metric_series("y", points=20, method="lttb")["y"]
    assert (len(sample.values), sample.total) == (20, 200)
    both = workspace.metric_series([run, "r"], names=["x"], from_step=1)
    assert [one.steps for one in both] == [[1, 2]]
    with pytest.raises(AzureMLException, match="no way to sample"):
        run.metric_series("x", method="mean")


def test_a_tail_tells_every_point_once_until_the_run_is_over(server: Any) -> None:
    _, run, client = run_on(server)
    append(client, [1.0, 2.0], 0)
    got: list[Any] = []
    reader = threading.Thread(target=lambda: got.extend(run.tail_metrics()))
    reader.start()
    append(client, [5.0], 0, "later")
    append(client, [3.0, "NaN"], 2)
    client.request("POST", f"{RUNS}/r/status", {"status": "Completed"})
    reader.join(30)
    assert [(p.step, str(p.value)) for p in got if p.name == "x"] == [
        (0, "1.0"),
        (1, "2.0"),
        (2, "3.0"),
        (3, "nan"),
    ]
    assert [p.value for p in got if p.name == "later"] == [5.0]


def test_a_tail_goes_on_where_it_was_when_the_yard_restarts(
    start_server: Callable[..., Any], tmp_path: Any
) -> None:
    database = f"sqlite:///{tmp_path / 'kept.db'}"
    first = start_server(database=database)
    port = int(first.url.rpartition(":")[2])
    _, run, client = run_on(first)
    append(client, [0.0, 1.0], 0)
    got: list[Any] = []
    reader = threading.Thread(target=lambda: got.extend(run.tail_metrics("x")))
    reader.start()
    wait_until(lambda: len(got) == 2, "the points of the first yard")
    first.stop()
    start_server(database=database, port=port)
    append(client, [2.0, 3.0], 2)
    client.request("POST", f"{RUNS}/r/status", {"status": "Completed"})
    reader.join(60)
    assert [p.value for p in got] == [0.0, 1.0, 2.0, 3.0]


def test_following_a_run_that_is_not_there_is_refused(server: Any) -> None:
    _, run, client = run_on(server)
    with pytest.raises(AzureMLException, match="no run"):
        list(_events.follow(client, f"{RUNS}/absent/metrics/tail"))
    with pytest.raises(AzureMLException, match="Last-Event-ID"):
        client.request("GET", f"{RUNS}/r/metrics/tail", headers={"Last-Event-ID": "x"})
    client.request("POST", f"{RUNS}/r/status", {"status": "Completed"})
    assert list(run.tail_metrics(past=False)) == []
