"""A small yard over real HTTP that keeps offsets as the contract says, and a run directory to host."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from services import wait_until

from modelyard.node import processes, records
from modelyard.node.host_script import Prepared
from modelyard.node.records import RunDir
from modelyard.wire import codec
from modelyard.wire.compute import RunAssignment
from modelyard.wire.runs import RunSpec

WORKSPACE = "ws"


class SmallYard:
    """What a yard remembers of one run; `away` makes it answer 503, `close` makes it unreachable."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.statuses: list[dict[str, Any]] = []
        self.streams: dict[str, bytes] = {}
        self.posts: dict[str, int] = {}
        self.blobs: dict[str, bytes] = {}
        self.trees: dict[str, list[dict[str, Any]]] = {}
        self.files: dict[str, dict[str, Any]] = {}
        self.reports: list[dict[str, Any]] = []
        self.work: list[dict[str, Any]] = []
        self.polls: list[dict[str, Any]] = []
        self.cancel_requested = False
        self.passed_over: list[str] = []  # of each piece of the script's journal
        self.tokens = {"token", "node-token"}
        self.refused: dict[str, str] = {}  # path -> code of a 404
        self.poll_wait_s = 0.0
        self.away = False
        self.lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None
        self.open()

    def open(self) -> None:
        yard = self

        class Handler(_Handler):
            pass

        Handler.yard = yard
        self._server = _Server(("127.0.0.1", 0), Handler)
        url = f"http://127.0.0.1:{self._server.server_address[1]}"
        records.write(self.home / "yard.json", {"url": url})
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            for connection in list(self._server.connections):
                with_suppressed(connection.close)
            self._server = None

    @property
    def status(self) -> str:
        return self.statuses[-1]["status"] if self.statuses else ""

    def add_tree(self, tree_id: str, files: dict[str, bytes]) -> None:
        entries = []
        for path, content in files.items():
            digest = hashlib.sha256(content).hexdigest()
            self.blobs[digest] = content
            entries.append({"path": path, "hash": digest, "size": len(content)})
        self.trees[tree_id] = entries

    def add_model(self, name: str, version: int, files: dict[str, bytes]) -> None:
        self.add_tree(f"models/{name}/versions/{version}/files", files)

    def log(self, path: str = "user_logs/std_log.txt", run: str = "exp_1_0000abcd") -> str:
        return self.streams.get(f"runs/{run}/logs/{path}", b"").decode()

    def journal(self, source: str, run: str = "exp_1_0000abcd") -> bytes:
        return self.streams.get(f"runs/{run}/journal?{source}", b"")

    def file(self, path: str) -> bytes:
        return self.blobs[self.files[path]["hash"]]


def with_suppressed(action: Callable[[], Any]) -> None:
    try:
        action()
    except OSError:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, *args: Any) -> None:
        self.connections: set[Any] = set()
        super().__init__(*args)

    def get_request(self) -> Any:
        connection, address = super().get_request()
        self.connections.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        self.connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # cut connections are part of what is tested


class _Handler(BaseHTTPRequestHandler):
    yard: SmallYard
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 65536

    def log_message(self, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._handle()

    def do_POST(self) -> None:
        self._handle()

    def _handle(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        path = unquote(parts.path).removeprefix("/api/v1/").removeprefix(f"workspaces/{WORKSPACE}/")
        query = {k: v[0] for k, v in parse_qs(parts.query).items()}
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        with self.yard.lock:
            if self.yard.away:
                status, answer = 503, _problem("restarting", 503)
            elif token not in self.yard.tokens:
                status, answer = 401, _problem("unknown_token", 401)
            else:
                status, answer = self._answer(path, query, content)
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def _answer(self, path: str, query: dict[str, str], content: bytes) -> tuple[int, Any]:
        yard = self.yard
        yard.posts[path] = yard.posts.get(path, 0) + 1
        if path in yard.refused:
            return 404, _problem(yard.refused[path], 404)
        if path == "nodes/poll":
            yard.polls.append(json.loads(content))
            if not yard.work:
                yard.lock.release()
                threading.Event().wait(yard.poll_wait_s)  # a long poll, in small
                yard.lock.acquire()
            return 200, yard.work.pop(0) if yard.work else {}
        if path in yard.trees:
            return 200, {"items": [{**entry, "created_at": 0.0} for entry in yard.trees[path]]}
        if path == "blobs/missing":
            return 200, {"missing": [h for h in json.loads(content)["hashes"] if h not in yard.blobs]}
        if path == "blobs":
            return self._frames(content)
        if path == "blobs/frames":
            wanted = dict.fromkeys(json.loads(content)["hashes"])
            frames = [f"{h} {len(yard.blobs[h])}\n".encode() + yard.blobs[h] for h in wanted]
            return 200, b"".join(frames)
        if path.startswith("blobs/"):
            return 200, yard.blobs[path.removeprefix("blobs/")]
        if path.startswith("snapshots/"):
            entries = yard.trees[path.removeprefix("snapshots/")]
            return 200, {"id": "x", "file_count": 0, "size_bytes": 0, "created_at": 0.0, "entries": entries}
        if path.endswith("/status"):
            yard.statuses.append(json.loads(content))
            return 200, {}
        if path.endswith("/heartbeat"):
            return 200, {"cancel_requested": yard.cancel_requested, "status": yard.status or "Preparing"}
        if path.endswith("/report"):
            yard.reports.append(json.loads(content))
            return 200, {}
        if path.endswith("/files"):
            for entry in json.loads(content)["entries"]:
                assert entry["hash"] in yard.blobs
                yard.files[entry["path"]] = entry
            return 200, {"items": []}
        if "offset" in query:
            key = path + ("?" + query["source"] if "source" in query else "")
            return self._append(key, int(query["offset"]), content)
        return 200, {}

    def _append(self, key: str, offset: int, content: bytes) -> tuple[int, Any]:
        held = self.yard.streams.get(key, b"")
        if offset > len(held):
            return 409, _problem("stream_gap", 409, offset=len(held))
        fresh = content[len(held) - offset :]
        self.yard.streams[key] = held + fresh
        passed_over = self.yard.passed_over if fresh and key.endswith("/journal?exp_1_0000abcd") else []
        return 200, {"offset": len(held) + len(fresh), "passed_over": passed_over}

    def _frames(self, content: bytes) -> tuple[int, Any]:
        stored = 0
        while content:
            header, _, content = content.partition(b"\n")
            digest, size = header.decode().split()
            piece, content = content[: int(size)], content[int(size) :]
            if hashlib.sha256(piece).hexdigest() != digest:
                return 422, _problem("blob_hash_mismatch", 422)
            self.yard.blobs[digest] = piece
            stored += 1
        return 200, {"stored": stored, "size_bytes": 0}


def _problem(code: str, status: int, **extra: Any) -> dict[str, Any]:
    return {"code": code, "detail": f"{code} it is", "status": status, "extra": extra}


@pytest.fixture
def small_yard(tmp_path: Path) -> Iterator[SmallYard]:
    (tmp_path / "node" / "runs").mkdir(parents=True)
    yard = SmallYard(tmp_path)
    yield yard
    yard.close()


@dataclass
class Hosted:
    """A run directory and the run hosts started on it."""

    directory: RunDir
    hosts: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[bytes]:
        host = subprocess.Popen(
            [sys.executable, "-m", "modelyard.node.run_host", str(self.directory.path), *arguments],
            env={**os.environ, "MODELYARD_CANCEL_GRACE_S": "0.5", **variables},
            start_new_session=True,
        )
        self.hosts.append(host)
        return host

    @property
    def exit(self) -> dict[str, Any]:
        return records.read_object(self.directory.exit)

    def processes(self) -> set[int]:
        return processes.tree(-1, f"MODELYARD_JOURNAL_DIR={self.directory.journal}")


@pytest.fixture
def make_run(tmp_path: Path, small_yard: SmallYard) -> Iterator[Callable[..., Hosted]]:
    """`make_run({"train.py": "…"}, arguments=[…])`: a prepared run of that script, ready to be hosted."""
    made: list[Hosted] = []

    def make(files: dict[str, str], script: str = "train.py", **spec: Any) -> Hosted:
        directory = RunDir(tmp_path / "node" / "runs" / "exp_1_0000abcd")
        directory.code.mkdir(parents=True)
        directory.journal.mkdir()
        for name, text in files.items():
            (directory.code / name).parent.mkdir(parents=True, exist_ok=True)
            (directory.code / name).write_text(text)
        assignment = RunAssignment(
            workspace=WORKSPACE,
            workspace_id="w",
            run_id=directory.run_id,
            root_id=directory.run_id,
            experiment="exp",
            experiment_id="e",
            spec=RunSpec(script=script, **spec),
            token="token",
        )
        records.write(directory.assignment, assignment)
        records.write(directory.prepared, Prepared(sys.executable, ""))
        made.append(Hosted(directory))
        return made[-1]

    yield make
    for hosted in made:
        for host in hosted.hosts:
            if host.poll() is None:
                os.kill(host.pid, signal.SIGKILL)
            host.wait()
        for pid in hosted.processes():
            processes.send(pid, signal.SIGKILL)


@pytest.fixture
def until() -> Callable[..., None]:
    return wait_until


@pytest.fixture
def decode() -> Callable[[Any, Any], Any]:
    return codec.from_json
