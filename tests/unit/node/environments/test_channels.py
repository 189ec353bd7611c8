from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from modelyard.node.environments.channels import Channel, Channels, resolve


@contextmanager
def _answering(status: int = 200, body: bytes = b'{"info": {}}') -> Iterator[tuple[str, list[str]]]:
    """A channel on loopback and what it was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"{self.path} {self.headers.get('Authorization', '')}".strip())
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()
        thread.join()


def _closed_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _complaint(address: str, channels: Channels | None = None) -> str:
    return (channels or Channels({})).complaint([Channel("mine", address)])


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("conda-forge", "https://conda.anaconda.org/conda-forge"), ("pytorch/label/nightly", "https://conda.anaconda.org/pytorch/label/nightly"),
        ("defaults", "https://repo.anaconda.com/pkgs/main"), ("pkgs/r", "https://repo.anaconda.com/pkgs/r"),
        ("https://x.org/c/", "https://x.org/c"), ("file:///srv/c", "file:///srv/c"), ("/srv/c", "file:///srv/c"),
    ],
)  # fmt: skip
def test_a_channel_is_a_name_an_address_or_a_directory(name: str, address: str) -> None:
    assert resolve([name], {}) == [Channel(name, address)]


def test_condas_own_setting_says_where_names_lie() -> None:
    alias = {"CONDA_CHANNEL_ALIAS": "https://mirror.example/conda/"}
    assert resolve(["bioconda", "nodefaults", "bioconda"], alias) == [
        Channel("bioconda", "https://mirror.example/conda/bioconda")
    ]


def test_a_channel_that_gives_repodata_answers() -> None:
    with _answering() as (address, asked):
        assert _complaint(address) == ""
    assert asked == ["/noarch/repodata.json"]


def test_a_password_in_an_address_is_sent_and_not_looked_up_as_a_host() -> None:
    with _answering() as (address, asked):
        assert _complaint(address.replace("://", "://me:p%40ss@")) == ""
    assert asked == ["/noarch/repodata.json Basic " + base64.b64encode(b"me:p@ss").decode()]


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [(404, b"", "HTTP 404 Not Found"), (503, b"{}", "HTTP 503"), (200, b"<html>Log in to the hotel</html>", "not repodata")],
)  # fmt: skip
def test_an_answer_without_repodata_is_no_answer(status: int, body: bytes, said: str) -> None:
    with _answering(status, body) as (address, _):
        assert said in _complaint(address)


def test_a_channel_that_asks_who_is_there_is_left_to_the_installer() -> None:
    with _answering(401) as (address, _):
        assert _complaint(address) == ""


def test_the_error_of_a_closed_port_is_told() -> None:
    assert (
        _complaint(f"http://127.0.0.1:{_closed_port()}/c")
        == "channel mine does not answer: Connection refused"
    )


def test_a_name_that_does_not_resolve_is_told() -> None:
    said = _complaint("https://nowhere.invalid/c")
    assert said.startswith("channel mine does not answer: ")


def test_a_directory_without_repodata_is_told_and_asked_again_each_time(tmp_path: Path) -> None:
    channels = Channels({"CONDA_OFFLINE": "1"})
    address = tmp_path.as_uri()
    assert f"there is no {tmp_path}/noarch/repodata.json" in _complaint(address, channels)
    (tmp_path / "noarch").mkdir()
    (tmp_path / "noarch" / "repodata.json").write_text("{}")
    assert _complaint(address, channels) == ""


def test_what_did_not_answer_is_asked_again_only_after_ten_minutes() -> None:
    now = [1000.0]
    channels = Channels({}, lambda: now[0])
    with _answering(503) as (address, asked):
        assert "HTTP 503" in _complaint(address, channels)
        now[0] += 599
        assert _complaint(address, channels).startswith("channel mine did not answer 599 s ago: HTTP 503")
        assert len(asked) == 1
        now[0] += 2
        assert "does not answer" in _complaint(address, channels)
        assert len(asked) == 2


def test_offline_asks_no_channel_of_the_network() -> None:
    with _answering() as (address, asked):
        assert "CONDA_OFFLINE is set" in _complaint(address, Channels({"CONDA_OFFLINE": "true"}))
    assert asked == []


def test_a_channel_that_never_answers_costs_the_bound_once_however_many_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("modelyard.node.environments.channels._ANSWER_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        silent = [Channel(name, f"http://127.0.0.1:{port}/{name}") for name in "abcd"]
        assert "channel a does not answer" in Channels({}).complaint(silent)
