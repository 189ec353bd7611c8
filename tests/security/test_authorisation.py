"""Who may call what: the matrix is generated from the router, so a new route is in it from its first day."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modelyard.server.kernel import auth
from modelyard.server.kernel.auth import ALLOWED, Kind, Permission

PARAM = re.compile(r"\{(\w+)(?::\w+)?\}")


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A server with two workspaces, two runs in the first and one in the other, and a token for each kind of caller."""
    import threading

    import uvicorn
    from services import wait_until

    from modelyard.server.app import build
    from modelyard.server.kernel.settings import Settings

    home = tmp_path_factory.mktemp("authorisation")
    yard = build(Settings(home=home, port=0), "owner-token", "node-token")
    server = uvicorn.Server(uvicorn.Config(yard.app, port=0, log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_until(lambda: server.started, "the server to listen")
    url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    call = Caller(url)
    assert call("POST", "/api/v1/workspaces", "owner-token", b'{"name": "other"}') < 300
    for workspace, run in (("default", "mine"), ("default", "theirs"), ("other", "elsewhere")):
        body = f'{{"run_id": "{run}", "experiment": "e", "started": true}}'.encode()
        assert call("POST", f"/api/v1/workspaces/{workspace}/runs", "owner-token", body) < 300
    for run, workspace in (("mine", "default"), ("elsewhere", "other")):
        workspace_id = yard.workspaces.id_of(workspace)
        yard.db.write(
            lambda tx, run=run, wid=workspace_id: auth.issue(
                tx, kind=Kind.RUN, workspace_id=wid, subject=run, now=0, token=f"run-{run}"
            )
        )
    yield yard, call
    server.should_exit = True
    thread.join(timeout=20)
    yard.close()


class Caller:
    def __init__(self, url: str) -> None:
        self.url = url

    def __call__(self, method: str, path: str, token: str, body: bytes | None = None) -> int:
        headers = {"content-type": "application/json"}
        if token:
            headers["authorization"] = f"Bearer {token}"
        request = urllib.request.Request(self.url + path, data=body, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code


def fill(path: str, run_id: str) -> str:
    values = {"workspace": "default", "run_id": run_id}
    return PARAM.sub(lambda m: values.get(m.group(1), "0"), path)


TOKENS = {Kind.ANONYMOUS: "", Kind.OWNER: "owner-token", Kind.NODE: "node-token", Kind.RUN: "run-mine"}
REFUSED = {401, 403}


@pytest.mark.parametrize("kind", [Kind.ANONYMOUS, Kind.NODE, Kind.RUN])
def test_a_caller_without_the_permission_is_refused_on_every_route(live: Any, kind: Kind) -> None:
    yard, call = live
    for route in yard.routes:
        if route.permission in ALLOWED[kind]:
            continue
        status = call(
            route.method, fill(route.path, "mine"), TOKENS[kind], b"{}" if route.method != "GET" else None
        )
        assert status in REFUSED, f"{kind.value} {route.method} {route.path}: {status}"


def test_no_route_is_public_but_those_that_say_so(live: Any) -> None:
    yard, _ = live
    public = {route.path for route in yard.routes if route.permission is Permission.PUBLIC}
    assert public == {"/health", "/openapi.json", "/metrics"}


def test_a_run_s_token_opens_no_other_run(live: Any) -> None:
    yard, call = live
    for route in yard.routes:
        if "{run_id}" not in route.path:
            continue
        status = call(
            route.method, fill(route.path, "theirs"), "run-mine", b"{}" if route.method != "GET" else None
        )
        assert status == 403, f"{route.method} {route.path}: {status}"


def test_a_run_s_token_opens_no_other_workspace(live: Any) -> None:
    yard, call = live
    for route in yard.routes:
        if "{workspace}" not in route.path:
            continue
        status = call(
            route.method, fill(route.path, "mine"), "run-elsewhere", b"{}" if route.method != "GET" else None
        )
        assert status == 403, f"{route.method} {route.path}: {status}"


def test_a_wrong_token_is_refused_even_where_none_is_needed_for_reading(live: Any) -> None:
    yard, call = live
    for route in yard.routes:
        if route.permission is not Permission.PUBLIC:
            assert call(route.method, fill(route.path, "mine"), "wrong") == 401


def test_a_run_may_not_make_runs_that_are_not_its_children(live: Any) -> None:
    _, call = live
    lone = b'{"run_id": "lone", "experiment": "e", "started": true}'
    child = b'{"run_id": "child", "experiment": "e", "started": true, "parent_id": "mine"}'
    stolen = b'{"run_id": "stolen", "experiment": "e", "started": true, "parent_id": "theirs"}'
    runs = "/api/v1/workspaces/default/runs"
    assert call("POST", runs, "run-mine", lone) == 403
    assert call("POST", runs, "run-mine", stolen) == 403
    assert call("POST", runs, "run-mine", child) < 300
    assert call("GET", runs + "/child", "run-mine") == 200


def test_secrets_are_files_of_the_owner_alone(own_yard: Any) -> None:
    own_yard.up()
    for name in ("owner.token", "node/node.token"):
        assert (own_yard.home / name).stat().st_mode & 0o077 == 0
    assert Path(own_yard.home).stat().st_mode & 0o077 == 0


def test_no_secret_is_written_to_a_log(own_yard: Any) -> None:
    own_yard.up()
    token = (own_yard.home / "owner.token").read_text().strip()
    node = (own_yard.home / "node" / "node.token").read_text().strip()
    own_yard.cli("experiment", "list")
    own_yard.down()
    for log in (*own_yard.home.glob("logs/*"), *own_yard.home.glob("node/logs/*")):
        text = log.read_text(errors="replace")
        assert token not in text
        assert node not in text
