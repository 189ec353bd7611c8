"""A workspace as MLflow's clients see it, over a server in this process."""

from __future__ import annotations

import dataclasses
import itertools
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, urlencode

import pytest
import uvicorn
from services import wait_until

_NUMBERS = itertools.count()


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content or b"null")

    @property
    def code(self) -> str:
        """MLflow's error code; empty where nothing was refused."""
        return str(self.json["error_code"]) if self.status >= 400 else ""


@dataclass(frozen=True)
class Face:
    """The protocol of one workspace, with a token."""

    url: str
    token: str = "owner-token"
    workspace: str = "default"

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        /,
        *,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        **query: Any,
    ) -> Answer:
        sent = {"authorization": f"Bearer {self.token}", **(headers or {})}
        if body is not None:
            content = json.dumps(body).encode()
            sent["content-type"] = "application/json"
        url = path if path.startswith("http") else f"{self.url}/mlflow/{self.workspace}/{path}"
        if query:
            url += "?" + urlencode(query, doseq=True)
        request = urllib.request.Request(url, data=content, method=method, headers=sent)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return Answer(answer.status, dict(answer.headers), answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, dict(error.headers), error.read())

    def ok(self, method: str, path: str, body: Any = None, /, **options: Any) -> Any:
        answer = self.call(method, f"api/2.0/mlflow/{path}", body, **options)
        assert answer.status == 200, answer.content
        return answer.json

    def own(self, method: str, path: str, body: Any = None) -> Any:
        """The yard's own REST, in the same workspace."""
        answer = self.call(method, f"{self.url}/api/v1/workspaces/{self.workspace}/{path}", body)
        assert answer.status < 300, answer.content
        return answer.json

    def run(self, run_id: str) -> str:
        """A new run; answers its artifact URI without the scheme."""
        body = {"run_id": run_id, "experiment": "e", "started": True}
        made = self.own("POST", "runs", body)
        return f"{made['experiment_id']}/{run_id}/artifacts"

    def put(self, path: str, content: bytes) -> Answer:
        return self.call("PUT", f"api/2.0/mlflow-artifacts/artifacts/{quote(path)}", content=content)

    def get(self, path: str, **headers: str) -> Answer:
        return self.call("GET", f"api/2.0/mlflow-artifacts/artifacts/{quote(path)}", headers=headers)

    def listed(self, path: str) -> list[Any]:
        answer = self.call("GET", "api/2.0/mlflow-artifacts/artifacts", path=path)
        assert answer.status == 200, answer.content
        files: list[Any] = answer.json.get("files", [])
        return files


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One server for all tests of a module; each has a workspace of its own."""
    from modelyard.server.app import build
    from modelyard.server.kernel.settings import Settings

    yard = build(Settings(home=tmp_path_factory.mktemp("mlflow"), port=0), "owner-token", "node-token")
    server = uvicorn.Server(
        uvicorn.Config(yard.app, port=0, log_level="warning", timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_until(lambda: server.started, "the server to listen")
    yield SimpleNamespace(yard=yard, url=f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}")
    server.should_exit = True
    thread.join(timeout=20)
    yard.close()


@pytest.fixture
def face(shared_server: Any) -> Face:
    """A new workspace, and nothing left of the tests before."""
    from modelyard.server.kernel.db import metadata

    tables = [t for t in reversed(metadata.sorted_tables) if t.name not in ("workspaces", "tokens")]
    shared_server.yard.db.write(lambda tx: [tx.execute(table.delete()) for table in tables])
    name = f"w{next(_NUMBERS)}"
    owner = Face(shared_server.url, workspace=name)
    assert owner.call("POST", f"{owner.url}/api/v1/workspaces", {"name": name}).status == 201
    return owner


@pytest.fixture
def face_of() -> type[Face]:
    """`face_of(url)`: the default workspace of that server."""
    return Face


@pytest.fixture
def run_face(shared_server: Any, face: Face) -> Callable[[str], Face]:
    """`run_face(run_id)`: the same workspace with the token of that run."""
    from modelyard.server.kernel import auth

    def make(run_id: str) -> Face:
        workspace_id = shared_server.yard.workspaces.id_of(face.workspace)
        token = shared_server.yard.db.write(
            lambda tx: auth.issue(tx, kind=auth.Kind.RUN, workspace_id=workspace_id, subject=run_id, now=0)
        )
        return dataclasses.replace(face, token=token)

    return make
