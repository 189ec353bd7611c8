from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from modelyard.server.kernel import auth, http, openapi
from modelyard.server.kernel.auth import Identity, Kind, Permission
from modelyard.server.kernel.clock import ManualClock
from modelyard.server.kernel.db import Database, metadata
from modelyard.server.kernel.errors import Conflict, NotFound
from modelyard.server.kernel.http import Call, Routes
from modelyard.server.kernel.security import Guard, allowed_hosts, hostname


@dataclass(frozen=True)
class Thing:
    name: str
    size: int = 0


@dataclass(frozen=True)
class ThingQuery:
    limit: int = 10
    tag: list[str] = field(default_factory=list)


def routes() -> Routes:
    r = Routes("things")

    @r.post("/api/v1/workspaces/{workspace}/things", Permission.CONTRIBUTE, status=201)
    def make(call: Call, body: Thing) -> Thing:
        """Make a thing."""
        if body.name == "taken":
            raise Conflict("thing_exists", "Thing 'taken' exists.", name="taken")
        return body

    @r.get("/api/v1/workspaces/{workspace}/things", Permission.READ)
    def listing(call: Call, query: ThingQuery) -> Thing:
        return Thing(",".join(query.tag), query.limit)

    @r.get("/api/v1/workspaces/{workspace}/runs/{run_id}", Permission.RUN_READ)
    async def run(call: Call) -> Thing:
        return Thing(call.principal.name)

    @r.delete("/open", Permission.PUBLIC)
    def nothing(call: Call) -> None:
        return None

    return r


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    db = Database(f"sqlite:///{tmp_path / 'x.db'}")
    metadata.create_all(db.engine)
    yield db
    db.close()


@pytest.fixture
def client(db: Database) -> TestClient:
    clock = ManualClock()
    identity = Identity(db, clock, "owner")
    identity.run_is_within = lambda workspace_id, ancestor, run: run.startswith(ancestor)
    for kind, workspace, subject, token in (
        (Kind.RUN, "w1", "r1", "run-token"),
        (Kind.NODE, "", "local", "node-token"),
        (Kind.RUN, "w2", "r1", "other"),
    ):
        db.write(
            lambda tx, a=(kind, workspace, subject, token): auth.issue(
                tx, kind=a[0], workspace_id=a[1], subject=a[2], now=0, token=a[3]
            )
        )

    app = Starlette(routes=http.starlette_routes(routes().items, identity, OneWorkspace()))
    return TestClient(Guard(app, allowed_hosts("testserver", "")))


class OneWorkspace:
    """`w`, which is remembered once it was asked for."""

    def __init__(self) -> None:
        self._was_asked_for = False

    def id_of(self, name: str) -> str:
        if name != "w":
            raise NotFound("no_such_workspace", f"No workspace {name!r}.")
        self._was_asked_for = True
        return "w1"

    def known_id(self, name: str) -> str | None:
        return "w1" if name == "w" and self._was_asked_for else None


def as_(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def test_a_body_is_decoded_leniently_and_the_answer_encoded(client: TestClient) -> None:
    sent = {"name": "a", "size": 3, "later": 1}
    answer = client.post("/api/v1/workspaces/w/things", json=sent, headers=as_("owner"))
    assert (answer.status_code, answer.json()) == (201, {"name": "a", "size": 3})


@pytest.mark.parametrize(
    ("content", "kind", "status", "code"),
    [
        (b'{"size": 1}', "application/json", 422, "bad_body"),
        (b'{"name": "a", "size": "x"}', "application/json", 422, "bad_body"),
        (b"{", "application/json", 422, "bad_body"),
        (b"\xff", "application/json", 422, "bad_body"),
        (b"[" * 100_000, "application/json", 422, "bad_body"),
        (b'{"name": "a"}', "text/plain", 415, "json_required"),
        (b"name=a", "application/x-www-form-urlencoded", 415, "json_required"),
    ],
)
def test_a_body_that_does_not_fit_is_refused_in_words(
    client: TestClient, content: bytes, kind: str, status: int, code: str
) -> None:
    answer = client.post(
        "/api/v1/workspaces/w/things", content=content, headers={**as_("owner"), "content-type": kind}
    )
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_problem_keeps_its_code_detail_and_extra(client: TestClient) -> None:
    answer = client.post("/api/v1/workspaces/w/things", json={"name": "taken"}, headers=as_("owner"))
    assert answer.status_code == 409
    assert answer.json() == {
        "code": "thing_exists",
        "detail": "Thing 'taken' exists.",
        "status": 409,
        "title": "Conflict",
        "extra": {"name": "taken"},
    }


def test_a_query_is_typed_and_unknown_names_are_refused(client: TestClient) -> None:
    path = "/api/v1/workspaces/w/things"
    assert client.get(path + "?limit=3&tag=a&tag=b", headers=as_("owner")).json() == {
        "name": "a,b",
        "size": 3,
    }
    assert client.get(path + "?limit=x", headers=as_("owner")).json()["code"] == "bad_query"
    assert "'limt'" in client.get(path + "?limt=3", headers=as_("owner")).json()["detail"]


@pytest.mark.parametrize(
    ("token", "path", "status"),
    [
        ("", "things", 401),
        ("wrong", "things", 401),
        ("node-token", "things", 200),
        ("run-token", "things", 200),
        ("other", "things", 403),
        ("run-token", "runs/r1", 200),
        ("run-token", "runs/r1-child", 200),
        ("run-token", "runs/x", 403),
        ("node-token", "runs/r1", 403),
        ("owner", "runs/x", 200),
    ],
)
def test_who_may_do_what(client: TestClient, token: str, path: str, status: int) -> None:
    answer = client.get(f"/api/v1/workspaces/w/{path}", headers=as_(token) if token else {})
    assert answer.status_code == status


def test_a_run_token_may_not_contribute(client: TestClient) -> None:
    answer = client.post("/api/v1/workspaces/w/things", json={"name": "a"}, headers=as_("run-token"))
    assert (answer.status_code, answer.json()["code"]) == (403, "not_allowed")


def test_an_unknown_workspace_is_not_found(client: TestClient) -> None:
    assert client.get("/api/v1/workspaces/nope/things", headers=as_("owner")).status_code == 404


def test_a_route_without_a_permission_does_not_build() -> None:
    with pytest.raises(TypeError):
        Routes("x").get("/x")  # type: ignore[call-arg]  # that is the point


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "[::2]", ""])
def test_a_host_the_yard_is_not_known_by_is_refused(client: TestClient, host: str) -> None:
    answer = client.delete("/open", headers={"host": host})
    assert (answer.status_code, answer.json()["code"]) == (422, "unknown_host")


@pytest.mark.parametrize("host", ["testserver", "TESTSERVER:7070", "localhost:1", "127.0.0.1", "[::1]:7070"])
def test_known_hosts_pass_whatever_their_port(client: TestClient, host: str) -> None:
    assert client.delete("/open", headers={"host": host}).status_code == 204


@pytest.mark.parametrize(
    ("origin", "status"),
    [("http://evil.example", 403), ("null", 403), ("http://localhost:3000", 204), ("http://testserver", 204)],
)
def test_a_foreign_page_may_not_change_anything(client: TestClient, origin: str, status: int) -> None:
    assert client.delete("/open", headers={"origin": origin}).status_code == status


def test_hostnames_lose_their_port_and_case() -> None:
    assert [hostname(h) for h in ("A.b:1", "[::1]:80", "x.", "::1")] == ["a.b", "[::1]", "x", ""]


def test_answers_carry_the_safe_headers(client: TestClient) -> None:
    answer = client.delete("/open")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"


def test_openapi_tells_permission_body_query_and_answer() -> None:
    doc = openapi.document(routes().items, "1")
    make = doc["paths"]["/api/v1/workspaces/{workspace}/things"]["post"]
    assert make["x-permission"] == "contribute"
    assert make["x-callers"] == ["owner"]
    assert make["requestBody"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/Thing"
    }
    assert "security" not in doc["paths"]["/open"]["delete"]
