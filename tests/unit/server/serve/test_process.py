"""Listening, addresses, and letting waiting requests go."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from pathlib import Path
from typing import Any

import pytest

from modelyard.server.kernel.errors import Conflict, Invalid
from modelyard.server.kernel.settings import Settings
from modelyard.server.serve import process


def test_a_taken_port_is_named_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(Conflict, match=rf"Port {port} on 127.0.0.1 is taken.*--port 0"):
            process.listen("127.0.0.1", port)


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_out_of_range_is_refused(port: int) -> None:
    with pytest.raises(Invalid, match="between 0 and 65535"):
        process.listen("127.0.0.1", port)


def test_a_host_that_is_not_ours_is_refused() -> None:
    with pytest.raises(Invalid, match="Can't listen on 192\\.0\\.2\\.1"):
        process.listen("192.0.2.1", 0)


def test_a_host_that_does_not_resolve_is_refused() -> None:
    with pytest.raises(Invalid, match="can't be resolved"):
        process.listen("no such host", 0)


def test_port_zero_takes_the_port_of_last_time(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, port=0)
    with process.listen_again(settings) as first:
        port = first.getsockname()[1]
    with process.listen_again(settings) as second:
        assert second.getsockname()[1] == port
        with process.listen_again(settings) as third:  # taken meanwhile: any other one
            assert third.getsockname()[1] != port


def test_a_damaged_memory_of_the_port_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "yard.port").write_text("what?")
    process.listen_again(Settings(home=tmp_path, port=0)).close()


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:7"),
        ("0.0.0.0", "http://127.0.0.1:7"),
        ("::", "http://[::1]:7"),
        ("::1", "http://[::1]:7"),
        ("yard.example", "http://yard.example:7"),
    ],
)
def test_the_url_is_one_that_this_machine_can_use(host: str, url: str) -> None:
    assert process.url_of(host, 7) == url


async def _request(app: Any, path: str, query: bytes) -> tuple[asyncio.Task[None], list[dict[str, Any]]]:
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    task = asyncio.create_task(app({"type": "http", "path": path, "query_string": query}, receive, send))
    await asyncio.sleep(0)
    return task, sent


def test_waiting_requests_are_answered_503_when_the_yard_stops() -> None:
    async def story() -> None:
        started = asyncio.Event()

        async def waits(scope: Any, receive: Any, send: Any) -> None:
            started.set()
            await asyncio.Event().wait()

        departures = process.Departures(waits)
        polls = [
            await _request(departures, "/api/v1/workspaces/w/runs/r", b"wait_version=3&wait_s=20"),
            await _request(departures, "/api/v1/nodes/poll", b""),
        ]
        await started.wait()
        departures.let_go()
        for task, sent in polls:
            await task
            assert sent[0]["status"] == 503
            assert dict(sent[0]["headers"])[b"retry-after"] == b"1"
            assert json.loads(sent[1]["body"])["code"] == "yard_stopping"

    asyncio.run(story())


def test_other_requests_are_left_to_end() -> None:
    async def story() -> None:
        go_on = asyncio.Event()

        async def works(scope: Any, receive: Any, send: Any) -> None:
            await go_on.wait()
            await send({"type": "http.response.start", "status": 200, "headers": []})

        departures = process.Departures(works)
        task, sent = await _request(departures, "/api/v1/workspaces/w/blobs", b"")
        departures.let_go()
        go_on.set()
        await task
        assert sent[0]["status"] == 200

    asyncio.run(story())


def test_an_answer_that_has_begun_is_not_given_a_second_start() -> None:
    async def story() -> None:
        begun = asyncio.Event()

        async def streams(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            begun.set()
            await asyncio.Event().wait()

        departures = process.Departures(streams)
        task, sent = await _request(departures, "/x", b"wait_s=5")
        await begun.wait()
        departures.let_go()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [m["type"] for m in sent] == ["http.response.start"]

    asyncio.run(story())


def test_an_unknown_log_level_is_refused(tmp_path: Path) -> None:
    before = logging.getLogger().handlers[:]
    with pytest.raises(Invalid, match="log_level"):
        process.log_to(Settings(home=tmp_path, log_level="loud"), None)
    assert logging.getLogger().handlers == before
