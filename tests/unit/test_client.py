"""The HTTP client against a real listening socket that answers as told."""

from __future__ import annotations

import gc
import json
import os
import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from services import wait_until

from modelyard import errors
from modelyard._client import Client, connect, discover, path
from modelyard._transport import _is_stale
from modelyard.wire.artifacts import Offset


class Listener:
    """Answers with what `answer(handler, body)` writes; keeps what was asked."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, bytes, dict[str, str]]] = []
        self.connections = 0
        self.answer: Callable[[Any, bytes], None] = lambda handler, _: reply(handler, 200, b'{"offset": 7}')
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self) -> None:
                owner.connections += 1
                super().setup()

            def do(self) -> None:
                if self.headers.get("transfer-encoding") == "chunked":
                    body = b""
                    while size := int(self.rfile.readline(), 16):
                        body += self.rfile.read(size)
                        self.rfile.readline()
                    self.rfile.readline()
                else:
                    body = self.rfile.read(int(self.headers.get("content-length", 0)))
                owner.seen.append(
                    (self.command, self.path, body, {k.lower(): v for k, v in self.headers.items()})
                )
                owner.answer(self, body)

            do_GET = do_POST = do_PATCH = do_DELETE = do

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()


def reply(handler: Any, status: int, body: bytes = b"", **headers: str) -> None:
    handler.send_response(status)
    handler.send_header("content-length", str(len(body)))
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


def problem(code: str, detail: str, **extra: Any) -> bytes:
    return json.dumps({"code": code, "detail": detail, "extra": extra}).encode()


@pytest.fixture
def listener() -> Iterator[Listener]:
    made = Listener()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def client(listener: Listener) -> Iterator[Client]:
    made = Client(listener.url, "secret", timeout_s=5, patience_s=3)
    yield made
    made.close()


def test_a_request_carries_the_token_and_decodes_the_answer(listener: Listener, client: Client) -> None:
    answer = client.request(
        "GET", path("runs", "a b/ü"), query={"n": 1, "no": None, "many": ["x", "y"], "t": True}, kind=Offset
    )
    assert answer == Offset(7)
    method, target, _, headers = listener.seen[0]
    assert (method, target) == ("GET", "/api/v1/runs/a%20b/%C3%BC?n=1&many=x&many=y&t=true")
    assert headers["authorization"] == "Bearer secret"


def test_one_connection_serves_many_requests(listener: Listener, client: Client) -> None:
    for _ in range(5):
        client.request("GET", "/x")
    assert listener.connections == 1


def test_a_keep_alive_connection_has_no_delayed_ack_stall(listener: Listener, client: Client) -> None:
    client.request("POST", "/x", Offset(1))
    start = time.perf_counter()
    for _ in range(20):
        client.request("POST", "/x", Offset(1))
    assert time.perf_counter() - start < 0.6  # a stall of 40 ms a request would be 0.8 s


def test_each_thread_has_a_connection_of_its_own(listener: Listener, client: Client) -> None:
    client.request("GET", "/x")
    thread = threading.Thread(target=lambda: (client.request("GET", "/x"), client.close()))
    thread.start()
    thread.join()
    assert listener.connections == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_opens_a_connection_of_its_own_and_the_parents_still_works(
    listener: Listener, client: Client
) -> None:
    client.request("GET", "/x")
    child = os.fork()
    if child == 0:
        os._exit(0 if client.request("GET", "/x", kind=Offset) == Offset(7) else 1)
    assert os.waitpid(child, 0)[1] == 0
    client.request("GET", "/x")
    assert listener.connections == 2


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (404, "no_such_run", errors.NotFound),
        (404, "no_such_experiment", errors.ExperimentNotFoundException),
        (404, "no_such_model", errors.ModelNotFoundException),
        (409, "property_exists", errors.Conflict),
        (401, "unknown_token", errors.AuthenticationException),
        (403, "not_allowed", errors.AuthenticationException),
        (422, "bad_body", errors.UserErrorException),
        (500, "internal", errors.ServiceException),
        (507, "disk_full", errors.ServiceException),
    ],
)
def test_a_problem_becomes_the_exception_of_its_code(
    listener: Listener, client: Client, status: int, code: str, kind: type[errors.AzureMLException]
) -> None:
    listener.answer = lambda handler, _: reply(handler, status, problem(code, "What to do.", a=1))
    with pytest.raises(kind) as caught:
        client.request("GET", "/x")
    error = caught.value
    assert (error.code, error.status, error.message, str(error), error.extra) == (
        code,
        status,
        "What to do.",
        "What to do.",
        {"a": 1},
    )
    assert len(listener.seen) == 1


def test_a_page_that_is_no_problem_is_still_told(listener: Listener, client: Client) -> None:
    listener.answer = lambda handler, _: reply(handler, 418, b"<h1>teapot</h1>")
    with pytest.raises(errors.RequestRefused, match=r"HTTP 418.*teapot"):
        client.request("GET", "/x")


def test_a_busy_yard_is_asked_again(listener: Listener, client: Client) -> None:
    def answer(handler: Any, _: bytes) -> None:
        if len(listener.seen) < 3:
            reply(handler, 503, problem("unavailable", "Later."), retry_after="0")
        else:
            reply(handler, 200, b'{"offset": 1}')

    listener.answer = answer
    assert client.request("GET", "/x", kind=Offset) == Offset(1)
    assert client.request("POST", "/x", Offset(0), kind=Offset, idempotent=True) == Offset(1)


def test_a_post_that_may_count_twice_is_not_repeated(listener: Listener, client: Client) -> None:
    listener.answer = lambda handler, _: reply(handler, 503, problem("unavailable", "Later."))
    with pytest.raises(errors.ServiceException, match="Later"):
        client.request("POST", "/x", Offset(0))
    assert len(listener.seen) == 1


def test_a_lost_answer_is_asked_for_again(listener: Listener, client: Client) -> None:
    def answer(handler: Any, _: bytes) -> None:
        if len(listener.seen) == 1:
            handler.connection.shutdown(socket.SHUT_RDWR)
            handler.close_connection = True
        else:
            reply(handler, 200, b'{"offset": 2}')

    listener.answer = answer
    assert client.request("POST", "/x", Offset(0), kind=Offset, idempotent=True) == Offset(2)
    assert [body for _, _, body, _ in listener.seen] == [b'{"offset":0}'] * 2


def test_a_delete_whose_answer_was_lost_is_done(listener: Listener, client: Client) -> None:
    def answer(handler: Any, _: bytes) -> None:
        if len(listener.seen) == 1:
            handler.connection.shutdown(socket.SHUT_RDWR)
            handler.close_connection = True
        else:
            reply(handler, 404, problem("no_such_thing", "Gone."))

    listener.answer = answer
    assert client.request("DELETE", "/x") is None


def test_a_yard_that_closed_the_idle_connection_costs_no_post(listener: Listener, client: Client) -> None:
    def answer(handler: Any, _: bytes) -> None:
        reply(handler, 200, b'{"offset": 3}')
        handler.close_connection = True

    listener.answer = answer
    for _ in range(3):
        assert client.request("POST", "/x", Offset(0), kind=Offset) == Offset(3)
        connection = client._wire()._local.held.connection
        wait_until(lambda: _is_stale(connection), "the listener to close the connection")


def test_a_yard_that_is_away_is_named_after_patience_ends() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    start = time.monotonic()
    with pytest.raises(errors.YardUnavailable, match=f"{url} does not answer.*modelyard up"):
        Client(url, "t", patience_s=0.3).request("POST", "/x", Offset(0))
    assert 0.25 < time.monotonic() - start < 5


def test_a_streamed_body_is_made_anew_for_each_try(listener: Listener, client: Client) -> None:
    def answer(handler: Any, _: bytes) -> None:
        reply(handler, 503 if len(listener.seen) == 1 else 200, b'{"offset": 4}')

    listener.answer = answer
    for length in (None, 6):
        listener.seen.clear()
        client.request(
            "POST",
            "/x",
            content=lambda: iter([b"abc", b"def"]),
            content_length=length,
            idempotent=True,
            kind=Offset,
        )
        assert [body for _, _, body, _ in listener.seen] == [b"abcdef"] * 2


def test_a_download_goes_on_where_it_broke_off(listener: Listener, client: Client, tmp_path: Any) -> None:
    whole = os.urandom(300_000)

    def answer(handler: Any, _: bytes) -> None:
        start = int((handler.headers.get("range") or "bytes=0-")[6:-1])
        if len(listener.seen) == 1:
            handler.send_response(200)
            handler.send_header("content-length", str(len(whole)))
            handler.end_headers()
            handler.wfile.write(whole[:100_000])
            handler.wfile.flush()
            handler.connection.shutdown(socket.SHUT_RDWR)
            handler.close_connection = True
        else:
            reply(handler, 206, whole[start:])

    listener.answer = answer
    target = tmp_path / "deep" / "file.bin"
    assert client.download("/f", str(target)) == len(whole)
    assert target.read_bytes() == whole
    assert 0 < int(listener.seen[1][3]["range"][6:-1]) <= 100_000


def test_a_refused_download_leaves_nothing_behind(listener: Listener, client: Client, tmp_path: Any) -> None:
    listener.answer = lambda handler, _: reply(handler, 404, problem("no_such_file", "No such file."))
    with pytest.raises(errors.NotFound):
        client.download("/f", str(tmp_path / "a"))
    assert list(tmp_path.iterdir()) == []


def test_an_answer_of_another_version_says_so(listener: Listener, client: Client) -> None:
    listener.answer = lambda handler, _: reply(handler, 200, b'{"other": 1}')
    with pytest.raises(errors.ServiceException, match="another version"):
        client.request("GET", "/x", kind=Offset)


def test_a_client_in_garbage_closes_its_connection_without_a_complaint(listener: Listener) -> None:
    for _ in range(3):  # which of a cycle goes first is the collector's affair
        client = Client(listener.url, "secret")
        client.request("GET", "/x")
        cycle: list[Any] = [client]
        cycle.append(cycle)
        del client, cycle
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            gc.collect()
        assert [str(one.message) for one in said] == []


def test_the_connection_of_a_thread_is_closed_with_the_thread(listener: Listener, client: Client) -> None:
    connections: list[Any] = []

    def ask() -> None:
        client.request("GET", "/x")
        connections.append(client._wire()._local.held.connection)

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert connections[0].sock is None


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(errors.UserErrorException, match="http://127"):
        Client("ftp://x", "t")


def test_the_yard_is_found_in_its_order_of_places(tmp_path: Any) -> None:
    home = {"MODELYARD_HOME": str(tmp_path)}
    with pytest.raises(errors.YardUnavailable, match="modelyard up"):
        discover(home)
    (tmp_path / "yard.json").write_text('{"url": "http://127.0.0.1:1", "pid": 1}')
    with pytest.raises(errors.AuthenticationException, match=r"owner\.token"):
        discover(home)
    (tmp_path / "owner.token").write_text("owner\n")
    assert discover(home)[:2] == ("http://127.0.0.1:1", "owner")
    named = {**home, "MODELYARD_URL": "http://yard:2", "MODELYARD_TOKEN": "mine"}
    assert discover(named)[:2] == ("http://yard:2", "mine")
    in_run = {
        **named,
        "AZUREML_SERVICE_ENDPOINT": "http://yard:3",
        "AZUREML_RUN_TOKEN": "run",
        "AZUREML_ARM_WORKSPACE_NAME": "w",
    }
    assert discover(in_run)[:3] == ("http://yard:3", "run", "w")
    assert connect(in_run).patience_s > connect(named).patience_s
    (tmp_path / "yard.json").write_text("{")
    with pytest.raises(errors.YardUnavailable, match="can't be read"):
        discover(home)
