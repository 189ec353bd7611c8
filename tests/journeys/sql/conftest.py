"""A yard with two runs, a model and a web service's worth of things to ask for, on each database."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from modelyard.server.app import Yard, build
from modelyard.server.kernel.clock import ManualClock
from modelyard.server.kernel.reconcile import Round
from modelyard.server.kernel.settings import Settings
from modelyard.server.runs.folding import FoldMetrics

W = "/api/v1/workspaces/default"
BLOCK = 2000  # points sent at once, so that they are kept as blocks, and folded


@dataclass
class SqlYard:
    yard: Yard
    http: TestClient
    clock: ManualClock

    def call(self, method: str, path: str, token: str = "owner", **given: Any) -> Any:
        headers = {"authorization": f"Bearer {token}", **given.pop("headers", {})}
        return self.http.request(method, path, headers=headers, **given)

    def ask(self, query: str, **params: Any) -> list[list[Any]]:
        """The rows."""
        answer = self.call("POST", f"{W}/sql", json={"query": query, "params": params})
        assert answer.status_code == 200, answer.text
        rows: list[list[Any]] = answer.json()["rows"]
        return rows

    def refused(self, query: str, **params: Any) -> tuple[int, str, str]:
        answer = self.call("POST", f"{W}/sql", json={"query": query, "params": params})
        assert answer.status_code >= 400, answer.text[:500]
        problem = answer.json()
        return answer.status_code, problem["code"], problem["detail"]

    def log(self, run_id: str, records: list[dict[str, Any]]) -> None:
        content = b"".join(json.dumps(r).encode() + b"\n" for r in records)
        name = hashlib.sha256(content).hexdigest()[:8]
        answer = self.call(
            "POST", f"{W}/runs/{run_id}/journal?source={name}&offset=0", content=content,
            headers={"content-type": "application/x-ndjson"},
        )  # fmt: skip
        assert answer.status_code == 200, answer.text

    def keep(self, path: str, content: bytes) -> dict[str, Any]:
        """Bring a blob; answers it as a file."""
        hash_ = hashlib.sha256(content).hexdigest()
        frames = f"{hash_} {len(content)}\n".encode() + content
        headers = {"content-type": "application/octet-stream"}
        assert self.call("POST", f"{W}/blobs", content=frames, headers=headers).status_code == 200
        return {"path": path, "hash": hash_, "size": len(content), "executable": False}


@contextlib.contextmanager
def sql_yard(home: Path, database: str = "") -> Iterator[SqlYard]:
    clock = ManualClock()
    yard = build(Settings(home=home, database=database), "owner", "node", clock)
    try:
        with TestClient(yard.app, base_url="http://127.0.0.1") as client:
            yield SqlYard(yard, client, clock)
    finally:
        yard.close()


def _fill(y: SqlYard) -> None:
    for run_id, team in (("a", "blue"), ("b", "red")):
        body = {
            "run_id": run_id,
            "experiment": "first",
            "started": True,
            "tags": {"team": team, "it's": "“odd”"},
        }
        assert y.call("POST", f"{W}/runs", json=body).status_code == 201
    body = {"run_id": "c", "experiment": "second", "started": True, "parent_id": None}
    assert y.call("POST", f"{W}/runs", json=body).status_code == 201
    y.clock.advance(90)
    assert y.call("POST", f"{W}/runs/a/status", json={"status": "Completed"}).status_code == 200
    for run_id, factor in (("a", 1), ("b", 2)):
        y.log(
            run_id, [{"k": "m", "n": "loss", "v": factor / (s + 1), "t": 1000 + s, "s": s} for s in range(4)]
        )
        y.log(run_id, [{"k": "m", "n": "many", "v": factor * i, "t": 5000 + i} for i in range(BLOCK)])
    y.log(
        "a", [{"k": "m", "n": "folded", "v": i, "t": i, **({"s": i} if i % 2 else {})} for i in range(BLOCK)]
    )
    Round(y.yard.db, y.clock, FoldMetrics(y.yard.db))()
    odd = [("NaN", None), ("Infinity", 1), ("-Infinity", 2)]
    y.log(
        "c",
        [{"k": "m", "n": "odd", "v": v, "f": 1, "t": 1, **({} if s is None else {"s": s})} for v, s in odd],
    )
    y.log(
        "c", [{"k": "m", "n": "nan", "v": "NaN", "f": 1, "t": 1}, {"k": "s", "n": "cpu", "v": 12.5, "t": 7}]
    )
    files = [y.keep("outputs/model.pkl", b"model"), y.keep("outputs/notes.txt", b"notes!")]
    assert y.call("POST", f"{W}/runs/a/files", json={"entries": files}).status_code == 201
    body = {"name": "churn", "request_id": "1", "run_id": "a", "run_path": "outputs", "tags": {"k": "v"}}
    assert y.call("POST", f"{W}/models", json=body).status_code == 201
    assert y.call("POST", "/api/v1/workspaces", json={"name": "other"}).status_code == 201
    body = {"run_id": "elsewhere", "experiment": "first", "started": True}
    assert y.call("POST", "/api/v1/workspaces/other/runs", json=body).status_code == 201


@pytest.fixture(scope="module")
def on_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlYard]:
    with sql_yard(tmp_path_factory.mktemp("sql")) as made:
        _fill(made)
        yield made


@pytest.fixture(scope="module")
def on_postgresql(
    tmp_path_factory: pytest.TempPathFactory, service: Callable[[str], str]
) -> Iterator[SqlYard]:
    from modelyard.server.kernel.db import Database, metadata

    url = service("postgresql")
    db = Database(url)
    with db.engine.begin() as connection:
        metadata.drop_all(connection)
        connection.exec_driver_sql("DROP TABLE IF EXISTS alembic_version")
    db.close()
    with sql_yard(tmp_path_factory.mktemp("sql"), url) as made:
        _fill(made)
        yield made


@pytest.fixture(params=["sqlite", "postgresql"])
def yard(request: pytest.FixtureRequest) -> SqlYard:
    made: SqlYard = request.getfixturevalue(f"on_{request.param}")
    return made
