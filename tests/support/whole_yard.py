"""A whole yard in this process, without its background loops: a test does their rounds itself."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from starlette.testclient import TestClient

from modelyard.server.app import Yard, build
from modelyard.server.kernel.clock import Clock, ManualClock
from modelyard.server.kernel.db import Database
from modelyard.server.kernel.reconcile import Round
from modelyard.server.kernel.settings import Settings
from modelyard.server.lifetime.reconcile import Receipts

W = "/api/v1/workspaces/default"


@dataclass
class WholeYard:
    yard: Yard
    clock: Any  # a ManualClock, but where a test says otherwise
    http: TestClient

    def call(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        given: dict[str, Any] = {"json": body} if body is not None else {}
        headers = {"authorization": "Bearer owner", "content-type": "application/json"}
        answer = self.http.request(
            method, path, headers={**headers, **options.pop("headers", {})}, **given, **options
        )
        return answer.json() if answer.content else None

    def raw(self, path: str) -> bytes:
        answer = self.http.get(path, headers={"authorization": "Bearer owner"})
        assert answer.status_code == 200, answer.text
        return answer.content

    def round(self) -> None:
        """What the loop that works off receipts does once."""
        Round(self.yard.db, self.clock, Receipts(self.yard.db, self.yard.artifacts.garbage))()

    def keep(self, content: bytes, path: str = "f") -> dict[str, Any]:
        """Bring a blob; answers it as a file."""
        file = self.try_to_keep(content, path)
        assert file is not None
        return file

    def try_to_keep(self, content: bytes, path: str = "f") -> dict[str, Any] | None:
        """None when the yard asks to send it again."""
        hash_ = hashlib.sha256(content).hexdigest()
        body = f"{hash_} {len(content)}\n".encode() + content
        answer = self.call(
            "POST", f"{W}/blobs", content=body, headers={"content-type": "application/octet-stream"}
        )
        if "stored" not in answer:
            assert answer["code"] == "blobs_removed", answer
            return None
        self.advance(1)
        return {"path": path, "hash": hash_, "size": len(content)}

    def advance(self, seconds: float) -> None:
        """Where the clock is ours to set."""
        if isinstance(self.clock, ManualClock):
            self.clock.advance(seconds)

    def run(self, run_id: str, *files: dict[str, Any], experiment: str = "e", **given: Any) -> None:
        """One that is over, with these files."""
        body = {"run_id": run_id, "experiment": experiment, "started": True, **given}
        assert "id" in self.call("POST", f"{W}/runs", body)
        if files:
            assert "items" in self.call("POST", f"{W}/runs/{run_id}/files", {"entries": list(files)})
        self.call(
            "POST", f"{W}/runs/{run_id}/journal?source=s&offset=0", content=b'{"k":"m","n":"a","v":1,"t":0}\n'
        )
        assert (
            self.call("POST", f"{W}/runs/{run_id}/status", {"status": "Completed"})["status"] == "Completed"
        )

    def purge(self, *ids: str) -> Any:
        """Empty these from the trash; answers the finished receipt."""
        begun = self.call("POST", f"{W}/trash/empty", {"ids": list(ids)})
        assert "id" in begun, begun
        self.advance(1)
        self.round()
        return self.call("GET", f"{W}/receipts/{begun['id']}")

    def holds(self, file: dict[str, Any]) -> bool:
        """Whether the yard's store has the bytes."""
        return (file["hash"], file["size"]) in set(self.yard.artifacts.garbage._blobs.listed(2e10))

    def ids(self, query: str = "") -> set[str]:
        return {r["id"] for r in self.call("GET", f"{W}/runs{query}")["items"]}


def emptied(url: str) -> str:
    """A PostgreSQL database that other tests have used."""
    db = Database(url)
    with db.engine.begin() as connection:
        connection.execute(sa.text("DROP SCHEMA public CASCADE"))
        connection.execute(sa.text("CREATE SCHEMA public"))
    db.close()
    return url


def open_yard(home: Path, clock: Clock | None = None, **given: Any) -> WholeYard:
    """Whoever opens it ends it: `yard.yard.close()`."""
    clock = clock or ManualClock()
    yard = build(Settings(home=home, **given), "owner", "node", clock)
    return WholeYard(yard, clock, TestClient(yard.app, base_url="http://127.0.0.1"))
