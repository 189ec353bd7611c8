"""A yard of the lowest slices only (workspaces, artifacts, data, models), listening on a real socket in this process."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa
import uvicorn
from services import wait_until
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from modelyard._client import Client
from modelyard.server.artifacts import api as artifacts_api
from modelyard.server.artifacts.service import ArtifactService
from modelyard.server.data import api as data_api
from modelyard.server.data.service import DataService
from modelyard.server.kernel import http, security
from modelyard.server.kernel.auth import Identity, Kind, issue
from modelyard.server.kernel.blobs import open_store
from modelyard.server.kernel.clock import ManualClock
from modelyard.server.kernel.db import Database, metadata
from modelyard.server.kernel.errors import ProblemError
from modelyard.server.models import api as models_api
from modelyard.server.models import api_registered as registered_api
from modelyard.server.models.registered import RegisteredModels
from modelyard.server.models.service import ModelService
from modelyard.server.workspaces import api as workspaces_api
from modelyard.server.workspaces.service import WorkspaceService
from modelyard.wire.artifacts import FileEntry


@dataclass
class SmallYard:
    home: Path
    db: Database
    clock: ManualClock
    workspaces: WorkspaceService
    artifacts: ArtifactService
    data: DataService
    models: ModelService
    registered: RegisteredModels
    tables: list[sa.Table]  # of the slices that were loaded when it was made
    url: str = ""
    clients: dict[str, Client] = field(default_factory=dict)

    @property
    def workspace_id(self) -> str:
        return self.workspaces.id_of("default")

    def client(self, token: str = "owner-token") -> Client:
        return self.clients.setdefault(token, Client(self.url, token, patience_s=0))

    def run_token(self, run_id: str) -> str:
        wid = self.workspace_id
        return self.db.write(
            lambda tx: issue(tx, kind=Kind.RUN, workspace_id=wid, subject=run_id, now=self.clock.now())
        )

    def path(self, rest: str, workspace: str = "default") -> str:
        return f"/api/v1/workspaces/{workspace}{rest}"

    def reset(self) -> None:
        """As new, but for the blobs on disk, which no row tells of any more."""
        self.db.write(lambda tx: [tx.execute(table.delete()) for table in self.tables])
        self.workspaces.__init__(self.db, self.clock)  # type: ignore[misc]  # the routes hold these objects
        self.models.__init__(self.db, self.clock, self.artifacts)  # type: ignore[misc]
        self.workspaces.on_create.append(self.data.begin_workspace)
        for slice_ in (self.models, self.data, self.artifacts):
            self.workspaces.on_delete.append(slice_.forget_workspace)
        self.workspaces.ensure_default()

    def keep(self, *contents: bytes, workspace: str = "default") -> list[FileEntry]:
        """Bring blobs; answers them as files f0, f1, …"""
        body = b"".join(frame(c) for c in contents)
        self.client().request("POST", self.path("/blobs", workspace), content=body)
        return [FileEntry(f"f{i}", sha256(c), len(c)) for i, c in enumerate(contents)]


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def frame(content: bytes, hash_: str | None = None, size: int | None = None) -> bytes:
    header = f"{sha256(content) if hash_ is None else hash_} {len(content) if size is None else size}\n"
    return header.encode() + content


@contextmanager
def small_yard(home: Path) -> Iterator[SmallYard]:
    clock = ManualClock()
    db = Database(f"sqlite:///{home / 'yard.db'}")
    workspaces = WorkspaceService(db, clock)
    artifacts = ArtifactService(db, clock, open_store(f"file://{home / 'blobs'}", home / "staging"))
    data = DataService(db, clock, artifacts)
    models = ModelService(db, clock, artifacts)
    registered = RegisteredModels(db, clock, models)
    metadata.create_all(db.engine)
    yard = SmallYard(home, db, clock, workspaces, artifacts, data, models, registered, metadata.sorted_tables)

    async def refused(_request: Request, error: Exception) -> Response:
        assert isinstance(error, ProblemError)
        return http.problem_response(error.problem())

    routes = [
        *workspaces_api.routes(workspaces).items,
        *artifacts_api.routes(artifacts).items,
        *data_api.routes(data).items,
        *models_api.routes(models, registered).items,
        *registered_api.routes(registered).items,
    ]
    app = Starlette(
        routes=http.starlette_routes(routes, Identity(db, clock, "owner-token"), workspaces),
        exception_handlers={ProblemError: refused},
    )
    guarded = security.Guard(app, security.allowed_hosts("127.0.0.1", ""))
    server = uvicorn.Server(uvicorn.Config(guarded, port=0, log_level="warning", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_until(lambda: server.started, "the small yard to listen")
    yard.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield yard
    finally:
        for client in yard.clients.values():
            client.close()
        server.should_exit = True
        thread.join(timeout=20)
        artifacts.close()
        db.close()
