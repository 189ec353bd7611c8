"""Queries that are broken off, take too much, or meet a yard that dies: the yard goes on, and no process is left."""

from __future__ import annotations

import http.client
import json
import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import psutil
import pytest
from services import wait_until

from modelyard.wire.workspaces import WorkspaceCreate

W = "/api/v1/workspaces/default"
ENDLESS = "SELECT count(*) FROM range(1000000) a, range(1000000) b, range(1000000) c"


def ask(server: Any, query: str, form: str = "json") -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=120)
    send(connection, server.owner_token, query, form)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, json.loads(content)


def send(connection: http.client.HTTPConnection, token: str, query: str, form: str = "json") -> None:
    body = json.dumps({"query": query, "format": form})
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    connection.request("POST", f"{W}/sql", body, headers)


def queries(of: int) -> list[psutil.Process]:
    """The processes that answer queries of this one."""
    found = []
    for child in psutil.Process(of).children():
        try:
            if "modelyard.server.sql.process" in child.cmdline() and child.status() != psutil.STATUS_ZOMBIE:
                found.append(child)
        except psutil.NoSuchProcess:
            pass
    return found


def in_background(ask_it: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(ask_it()), daemon=True)
    thread.start()
    return thread, answers


def test_a_query_ends_when_its_client_goes(server: Any) -> None:
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=60)
    send(connection, server.owner_token, ENDLESS)
    wait_until(lambda: len(queries(os.getpid())) == 1, "the query's process")
    connection.close()
    wait_until(lambda: not queries(os.getpid()), "its end")


def test_a_killed_query_is_an_error_and_the_next_one_is_answered(server: Any) -> None:
    thread, answers = in_background(lambda: ask(server, ENDLESS))
    wait_until(lambda: len(queries(os.getpid())) == 1, "the query's process")
    queries(os.getpid())[0].kill()
    thread.join(timeout=60)
    assert answers[0][0] == 413
    assert answers[0][1]["code"] == "query_failed"
    assert "signal 9" in answers[0][1]["detail"]
    assert ask(server, "SELECT 1 AS one")[1]["rows"] == [[1]]


def test_a_query_that_takes_too_long_is_ended_while_others_write(start_server: Callable[..., Any]) -> None:
    server = start_server(sql_time_s=3.0)
    thread, answers = in_background(lambda: ask(server, f"SELECT (SELECT count(*) FROM runs), ({ENDLESS})"))
    wait_until(lambda: len(queries(os.getpid())) == 1, "the query's process")
    server.yard.workspaces.create(WorkspaceCreate("meanwhile"))  # does not wait for the query
    thread.join(timeout=60)
    status, problem = answers[0]
    assert (status, problem["code"]) == (413, "query_too_long")
    assert "longer than 3 seconds" in problem["detail"]
    assert not queries(os.getpid())


@pytest.mark.parametrize(
    "query",
    [
        "SELECT list(i) FROM range(300000000) t(i)",
        "SELECT string_agg(repeat('x', 1000) || i, '') FROM range(3000000) t(i)",
        "SELECT repeat('x', 2000000000)",
        "SELECT count(*) FROM (SELECT DISTINCT hash(i) || repeat('y', 100) FROM range(20000000) t(i))",
    ],
)
def test_a_query_that_needs_too_much_memory_is_refused(start_server: Callable[..., Any], query: str) -> None:
    server = start_server(sql_memory_mib=128)
    before = sorted(os.listdir(server.home))
    status, problem = ask(server, query)
    assert (status, problem["code"]) == (413, "query_too_large")
    assert "more than 128 MiB of memory" in problem["detail"]
    assert sorted(os.listdir(server.home)) == before  # nothing was spilled


@pytest.mark.parametrize("form", ["json", "csv", "arrow", "parquet"])
def test_an_answer_that_is_too_large_is_refused(server: Any, form: str) -> None:
    status, problem = ask(server, "FROM range(1000001)", form)
    assert (status, problem["code"]) == (413, "answer_too_large")
    assert "more than 1,000,000 rows" in problem["detail"]


def test_a_query_ends_with_a_yard_that_is_killed(own_yard: Any) -> None:
    own_yard.up()
    pid = json.loads((own_yard.home / "yard.json").read_text())["pid"]
    token = (own_yard.home / "owner.token").read_text().strip()
    connection = http.client.HTTPConnection(own_yard.url.removeprefix("http://"), timeout=60)
    send(connection, token, ENDLESS)
    wait_until(lambda: len(queries(pid)) == 1, "the query's process")
    process = queries(pid)[0]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not process.is_running(), "its end")
    connection.close()
    own_yard.up()
    done = own_yard.cli("sql", "SELECT 1 AS one", "-o", "json")
    assert json.loads(done.stdout) == [{"one": 1}]


def test_a_yard_that_stops_waits_for_no_query(own_yard: Any) -> None:
    own_yard.up()
    pid = json.loads((own_yard.home / "yard.json").read_text())["pid"]
    thread, answers = in_background(lambda: own_yard.cli("sql", ENDLESS, check=False))
    wait_until(lambda: len(queries(pid)) == 1, "the query's process")
    process = queries(pid)[0]
    own_yard.down()
    assert not process.is_running()
    thread.join(timeout=60)
    assert answers[0].returncode == 5, answers[0].stderr  # no yard answers


def test_a_database_that_does_not_answer_is_no_fault_of_the_query(server: Any) -> None:
    os.rename(server.home / "yard.db", server.home / "elsewhere.db")
    status, problem = ask(server, "SELECT count(*) FROM runs")
    os.rename(server.home / "elsewhere.db", server.home / "yard.db")
    assert (status, problem["code"]) == (503, "database_unavailable")
    assert "unable to open database file" in problem["detail"]
