"""The runs slice with everything beneath it, its routes called in this process."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.testclient import TestClient

from modelyard.server.artifacts import api as artifacts_api
from modelyard.server.artifacts.service import ArtifactService
from modelyard.server.compute import api as compute_api
from modelyard.server.compute.service import ComputeService
from modelyard.server.environments.service import EnvironmentService
from modelyard.server.kernel import http
from modelyard.server.kernel.auth import Identity, Kind, issue
from modelyard.server.kernel.blobs import FileBlobs
from modelyard.server.kernel.clock import ManualClock
from modelyard.server.kernel.db import Database, metadata
from modelyard.server.kernel.errors import ProblemError
from modelyard.server.kernel.events import Hub
from modelyard.server.kernel.reconcile import Round
from modelyard.server.kernel.settings import Settings
from modelyard.server.runs import api as runs_api
from modelyard.server.runs.folding import FoldMetrics
from modelyard.server.runs.reconcile import LostRuns
from modelyard.server.runs.search.service import RunSearch
from modelyard.server.runs.service import RunService
from modelyard.server.workspaces.service import WorkspaceService
from modelyard.wire.artifacts import FileEntry

W = "/api/v1/workspaces/default"
SPEC = {"command": ["python", "train.py"]}


@dataclass
class RunYard:
    db: Database
    clock: ManualClock
    hub: Hub
    workspaces: WorkspaceService
    artifacts: ArtifactService
    compute: ComputeService
    runs: RunService
    http: TestClient
    lost_runs: Round
    fold: Round

    def reset(self) -> None:
        """As new but for the workspace, and for blobs on disk that no row tells of any more."""
        kept = {"workspaces"}
        tables = [t for t in reversed(metadata.sorted_tables) if t.name not in kept]
        self.db.write(lambda tx: [tx.execute(table.delete()) for table in tables])
        self.compute._polls.clear()
        self.compute._told.clear()
        self.runs._search = RunSearch(self.db)
        self.runs.started_at = self.clock.now()
        self.lost_runs = Round(self.db, self.clock, LostRuns(self.runs))

    @property
    def workspace_id(self) -> str:
        return self.workspaces.id_of("default")

    def call(self, method: str, path: str, body: Any = None, *, token: str = "owner", **options: Any) -> Any:
        """The answer's JSON; a problem's code and status where it is one."""
        given: dict[str, Any] = {"json": body} if body is not None else {}
        headers = {"authorization": f"Bearer {token}"}
        answer = self.http.request(method, path, headers=headers, **given, **options)
        if answer.status_code >= 400:
            return Refused(answer.status_code, **{k: answer.json()[k] for k in ("code", "detail", "extra")})
        return answer.json() if answer.content else None

    def submit(self, run_id: str, experiment: str = "e", **given: Any) -> Any:
        return self.call(
            "POST", f"{W}/runs", {"run_id": run_id, "experiment": experiment, "spec": SPEC, **given}
        )

    def start(self, run_id: str, experiment: str = "e", **given: Any) -> Any:
        """An interactive run."""
        body = {"run_id": run_id, "experiment": experiment, "started": True, **given}
        return self.call("POST", f"{W}/runs", body)

    def poll(self, running: list[str] | None = None, node: str = "local", **given: Any) -> Any:
        body = {"node": node, "slots": 2, "wait_s": 0, "running": running or [], **given}
        return self.call("POST", "/api/v1/nodes/poll", body)

    def report(self, run_id: str, status: str, token: str = "owner", **given: Any) -> Any:
        return self.call("POST", f"{W}/runs/{run_id}/status", {"status": status, **given}, token=token)

    def run(self, run_id: str) -> Any:
        return self.call("GET", f"{W}/runs/{run_id}")

    def placed(self, run_id: str, until: str = "Running") -> str:
        """A submitted run, taken by the node and brought to this status; answers its token."""
        self.submit(run_id)
        work = self.poll(slots=100)
        token = next(s["token"] for s in work["starts"] if s["run_id"] == run_id)
        for status in ("Starting", "Running", "Finalizing"):
            if until == "Preparing":
                break
            self.report(run_id, status, token)
            if status == until:
                break
        return str(token)

    def token(self, run_id: str) -> str:
        return self.db.write(
            lambda tx: issue(
                tx, kind=Kind.RUN, workspace_id=self.workspace_id, subject=run_id, now=self.clock.now()
            )
        )

    def keep(self, path: str, content: bytes) -> FileEntry:
        """Bring a blob; answers it as a file."""
        hash_ = hashlib.sha256(content).hexdigest()
        body = f"{hash_} {len(content)}\n".encode() + content
        headers = {"authorization": "Bearer owner", "content-type": "application/octet-stream"}
        assert self.http.post(f"{W}/blobs", content=body, headers=headers).status_code == 200
        return FileEntry(path, hash_, len(content))

    def add_files(self, run_id: str, *entries: FileEntry, **given: Any) -> Any:
        body = {"entries": [e.__dict__ for e in entries], **given}
        return self.call("POST", f"{W}/runs/{run_id}/files", body)

    def journal(
        self, run_id: str, text: bytes, offset: int = 0, source: str = "s", token: str = "owner"
    ) -> Any:
        path = f"{W}/runs/{run_id}/journal?source={source}&offset={offset}"
        return self.call("POST", path, content=text, token=token)

    def metrics(self, run_id: str, query: str = "") -> dict[str, Any]:
        answer = self.call("GET", f"{W}/runs/{run_id}/metrics{query}")
        return {m["name"]: m["value"] for m in answer["runs"][0]["metrics"]}


@dataclass(frozen=True)
class Refused:
    status: int
    code: str
    detail: str
    extra: dict[str, Any]


@contextmanager
def run_yard(home: Path, slots: int = 0, database: str = "") -> Iterator[RunYard]:
    clock, hub = ManualClock(), Hub()
    db = Database(database or f"sqlite:///{home / 'yard.db'}", hub.notify)
    with db.engine.begin() as connection:
        metadata.drop_all(connection)
        metadata.create_all(connection)
    workspaces = WorkspaceService(db, clock)
    artifacts = ArtifactService(db, clock, FileBlobs(home / "blobs"))
    environments = EnvironmentService(db, clock, hub)
    compute = ComputeService(db, clock, hub, slots)
    runs = RunService(db, clock, hub, artifacts, environments, Settings(home=home))
    runs.plug_targets(compute.target)
    identity = Identity(db, clock, "owner")
    identity.run_is_within = runs.is_within
    compute.add_source(runs.source())
    workspaces.ensure_default()
    routes = [
        *runs_api.routes(runs).items,
        *compute_api.routes(compute).items,
        *artifacts_api.routes(artifacts).items,
    ]

    async def refused(_request: Request, error: Exception) -> Response:
        assert isinstance(error, ProblemError)
        return http.problem_response(error.problem())

    app = Starlette(
        routes=http.starlette_routes(routes, identity, workspaces),
        exception_handlers={ProblemError: refused},
    )
    try:
        with TestClient(app, base_url="http://127.0.0.1") as client:
            assert client.portal is not None
            client.portal.call(_bind, hub)
            lost = Round(db, clock, LostRuns(runs))
            fold = Round(db, clock, FoldMetrics(db))
            yield RunYard(db, clock, hub, workspaces, artifacts, compute, runs, client, lost, fold)
    finally:
        db.close()


async def _bind(hub: Hub) -> None:
    import asyncio

    hub.bind(asyncio.get_running_loop())
