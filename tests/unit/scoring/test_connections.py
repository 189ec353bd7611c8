"""A scoring host on a real socket: keep-alive, pipelining, limits, delays."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from services import wait_until


@pytest.fixture
def echo(service: Any) -> Any:
    service.start(max_body_bytes=300_000)
    service.wait()
    return service


@pytest.fixture
def sock(echo: Any) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", echo.status()["port"]), timeout=20) as made:
        yield made


def post(body: bytes, extra: bytes = b"") -> bytes:
    return b"POST /score HTTP/1.1\r\nHost: x\r\n" + extra + b"Content-Length: %d\r\n\r\n" % len(body) + body


def read_answer(sock: socket.socket) -> tuple[int, bytes]:
    answer = http.client.HTTPResponse(sock)
    answer.begin()
    return answer.status, answer.read()


def read_all(sock: socket.socket) -> bytes:
    data = b""
    while True:
        piece = sock.recv(65536)
        if not piece:
            return data
        data += piece


def test_no_kept_request_waits_for_a_delayed_acknowledgement(echo: Any) -> None:
    connection = echo.connect()
    body = json.dumps("x" * 20_000)  # more than one segment, whose last would be held back
    began = time.monotonic()
    for _ in range(100):
        connection.request("POST", "/score", body)
        assert len(connection.getresponse().read()) > 20_000
    assert time.monotonic() - began < 3  # the stall is 40 ms a request
    connection.close()


def test_accepted_sockets_have_nodelay_set(service: Any) -> None:
    service.script(
        """
        import gc, socket
        def run(data):
            found = [s for s in gc.get_objects() if isinstance(s, socket.socket) and s.fileno() >= 0
                     and s.family == socket.AF_INET and not s.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)]
            return [s.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for s in found]
        """
    )
    service.start()
    service.wait()
    assert service.score({}) == [1]


def test_pipelined_requests_are_answered_in_order(sock: socket.socket) -> None:
    sock.sendall(b"".join(post(b"%d" % i) for i in range(50)) + post(b"50", b"Connection: close\r\n"))
    bodies = [part.partition(b"\r\n\r\n")[2] for part in read_all(sock).split(b"HTTP/1.1 200 OK\r\n")[1:]]
    assert [json.loads(b)["got"] for b in bodies] == list(range(51))


def test_a_request_in_single_bytes_is_answered(sock: socket.socket) -> None:
    for byte in post(b"[1]"):
        sock.sendall(bytes([byte]))
    assert read_answer(sock) == (200, b'{"got": [1]}')


def test_a_client_that_waits_for_100_continue_is_told_to_go_on(sock: socket.socket) -> None:
    whole = post(b"[1]", b"Expect: 100-continue\r\n")
    sock.sendall(whole[:-3])
    assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    sock.sendall(whole[-3:])
    assert read_answer(sock)[0] == 200


def test_a_body_beyond_the_limit_is_refused_and_the_client_can_read_why(sock: socket.socket) -> None:
    sock.sendall(b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n")
    sock.sendall(b"x" * 200_000)  # unread bytes would turn a plain close into a reset
    status, body = read_answer(sock)
    assert status == 413
    assert b"300000" in body


def test_what_is_no_request_is_refused_with_an_id_to_ask_about(echo: Any) -> None:
    headers = {"Content-Length": "9000000"}
    status, told, _ = echo.request("POST", "/score", None, headers)
    assert status == 413
    assert told["x-ms-request-id"] == told["x-request-id"] != ""


def test_an_answer_larger_than_the_kernels_buffers_comes_whole(service: Any) -> None:
    service.script("def run(d): return 'x' * 20_000_000")
    service.start()
    service.wait()
    assert len(service.score(1)) == 20_000_000


def test_a_client_that_leaves_in_the_middle_harms_nobody(echo: Any) -> None:
    for cut in (5, 40, 70):
        with socket.create_connection(("127.0.0.1", echo.status()["port"])) as left:
            left.sendall(post(b"[1, 2, 3]")[:cut])
    assert echo.score(1) == {"got": 1}
    wait_until(lambda: echo.status()["telemetry"]["open_connections"] == 0, "connections to be forgotten")


def test_idle_connections_beyond_the_limit_of_open_files_keep_nobody_out(service: Any) -> None:
    service.script("def init(): pass\ndef run(data):\n    with open(__file__) as f: return len(f.read())\n")
    service.start(program=["sh", "-c", 'ulimit -n 200; exec "$0" "$@"', sys.executable])
    port = service.wait()["port"]
    with contextlib.ExitStack() as idle:
        for _ in range(250):
            idle.enter_context(socket.create_connection(("127.0.0.1", port)))
        for _ in range(5):
            assert service.score(0) > 0


def test_head_gets_no_body_and_bad_requests_end_the_connection(sock: socket.socket) -> None:
    sock.sendall(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\nGARBAGE\r\n\r\n")
    data = read_all(sock)
    assert data.count(b"HTTP/1.1 ") == 2
    assert b"content-length: 7\r\n\r\nHTTP/1.1 400" in data
    assert b"Healthy" not in data


def test_two_replicas_share_connections_evenly(service: Any) -> None:
    service.script("import os\ndef run(d): return os.getpid()")
    service.start(replicas=2)
    service.wait()
    connections = [service.connect() for _ in range(8)]
    pids = []
    for connection in connections:
        connection.request("POST", "/score", b"1")
        pids.append(connection.getresponse().read())
    assert sorted(pids.count(pid) for pid in set(pids)) == [4, 4]
    for connection in connections:
        connection.close()
