"""Clients that log over raw connections with ready bodies, so that the server alone is measured. No benchmark of its own."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import socket
import statistics
import time
from dataclasses import dataclass
from typing import Any

from mlflow_peer import Server

METRICS = 10  # names that a client logs in turn


@dataclass(frozen=True)
class Load:
    """What a number of clients reached together. `cpu_ms`: of the server, a call."""

    calls_per_s: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float


def database() -> str:
    """The option --database: a PostgreSQL URL for the yard; SQLite without it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--database", default="")
    return str(parser.parse_args().database)


def one_metric(run_id: str, number: int) -> tuple[str, Any]:
    body = {
        "run_id": run_id, "key": f"m{number % METRICS}", "value": number * 0.1234567, "step": number,
        "timestamp": 1_600_000_000_000 + number,
    }  # fmt: skip
    return "/runs/log-metric", body


def batch(run_id: str, number: int) -> tuple[str, Any]:
    """A thousand points."""
    first = number * 1000
    points = [
        {"key": f"m{i % METRICS}", "value": i * 0.1234567, "timestamp": 1_600_000_000_000 + i, "step": i}
        for i in range(first, first + 1000)
    ]
    return "/runs/log-batch", {"run_id": run_id, "metrics": points}


def measure(server: Server, make: Any, processes: int, seconds: float, bodies: int) -> Load:
    """`processes` clients, each with a run and a connection of its own, call as fast as they are answered."""
    context = multiprocessing.get_context("fork")
    ready, results = context.Barrier(processes + 1), context.Queue()
    runs = [new_run(server, f"bench {processes}") for _ in range(processes)]
    clients = [
        context.Process(
            target=_client, args=(server, make, run, seconds, bodies, ready, results), daemon=True
        )
        for run in runs
    ]
    for client in clients:
        client.start()
    ready.wait(timeout=120)
    before = server.cpu_s()
    took = sorted(ms for _ in clients for ms in results.get(timeout=seconds + 120))
    cpu_s = server.cpu_s() - before
    for client in clients:
        client.join(timeout=30)
    return Load(
        len(took) / seconds, statistics.median(took), took[int(len(took) * 0.99)], cpu_s / len(took) * 1000
    )


def new_run(server: Server, experiment: str) -> str:
    name = f"{experiment} {time.time_ns()}"
    found: Any = server.call("POST", "/experiments/create", {"name": name})
    run: Any = server.call("POST", "/runs/create", {"experiment_id": found["experiment_id"], "start_time": 1})
    return str(run["run"]["info"]["run_id"])


def _client(
    server: Server, make: Any, run_id: str, seconds: float, bodies: int, ready: Any, results: Any
) -> None:
    host, port, prefix = server.address
    requests = [_request(server, prefix, *make(run_id, number)) for number in range(bodies)]
    took: list[float] = []
    with socket.create_connection((host, port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ready.wait(timeout=120)
        end = time.perf_counter() + seconds
        while (begin := time.perf_counter()) < end:
            connection.sendall(requests[len(took) % bodies])
            _read_answer(connection)
            took.append((time.perf_counter() - begin) * 1000)
    results.put(took)


def _request(server: Server, prefix: str, path: str, body: Any) -> bytes:
    content = json.dumps(body).encode()
    head = (
        f"POST {prefix}{path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {server.token}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def _read_answer(connection: socket.socket) -> None:
    """One whole answer, which must be a 200 with a length."""
    got = b""
    while b"\r\n\r\n" not in got:
        got += _more(connection, got)
    head, _, content = got.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), got
    (length,) = (
        int(line.partition(b":")[2])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length:")
    )
    while len(content) < length:
        content += _more(connection, got)


def _more(connection: socket.socket, got: bytes) -> bytes:
    piece = connection.recv(65536)
    assert piece, f"the server closed the connection after {got!r}"
    return piece
