from __future__ import annotations

import threading
from typing import Any

import pytest

from modelyard import errors
from modelyard._client import Client
from modelyard.wire.artifacts import Offset
from modelyard.wire.environments import (
    BuildInfo,
    BuildList,
    BuildReport,
    BuildStatus,
    EnvironmentInfo,
    EnvironmentList,
    EnvironmentSpec,
    PythonSpec,
)

HASH = "cd" * 32
_W = "/api/v1/workspaces/default/environments"
_NODE = f"/api/v1/nodes/local/builds/{HASH}"
_BUILD = f"/api/v1/environments/builds/{HASH}"


@pytest.fixture
def owner(server: Any) -> Client:
    return Client(server.url, server.owner_token, patience_s=0)


@pytest.fixture
def node(server: Any) -> Client:
    return Client(server.url, server.node_token, patience_s=0)


def test_an_environment_goes_to_the_yard_and_comes_back(owner: Client) -> None:
    spec = EnvironmentSpec(name="mine", python=PythonSpec(requirements=["six"], python_version="3.8"))
    made = owner.request("POST", _W, body=spec, kind=EnvironmentInfo)
    assert made.spec.version == "1"
    assert owner.request("GET", f"{_W}/mine", query={"version": "1"}, kind=EnvironmentInfo) == made
    assert made in owner.request("GET", _W, kind=EnvironmentList).items
    with pytest.raises(errors.UserErrorException, match="control"):
        owner.request("POST", _W, body=EnvironmentSpec(name="x", python=PythonSpec(requirements=["six\nx"])))


def test_a_node_tells_a_build_and_the_owner_reads_its_log_while_it_grows(owner: Client, node: Client) -> None:
    node.request("POST", _NODE, body=BuildReport(BuildStatus.BUILDING))
    answers: list[Any] = []
    reader = threading.Thread(
        target=lambda: answers.append(owner.raw("GET", f"{_BUILD}/log", query={"offset": 0, "wait_s": 30}))
    )
    reader.start()
    sent = node.request("POST", f"{_NODE}/log", content=b"one\n", query={"offset": 0}, kind=Offset)
    reader.join(timeout=30)
    assert sent == Offset(4)
    assert (answers[0].body, answers[0].headers["x-log-offset"], answers[0].headers["x-log-complete"]) == (
        b"one\n",
        "4",
        "0",
    )
    node.request("POST", _NODE, body=BuildReport(BuildStatus.SUCCEEDED, "3.11.7", ["six==1.0"]))
    end = owner.raw("GET", f"{_BUILD}/log", query={"offset": 4, "wait_s": 30})
    assert (end.body, end.headers["x-log-complete"]) == (b"", "1")
    assert owner.request("GET", _BUILD, kind=BuildInfo).lock == ["six==1.0"]
    assert len(owner.request("GET", "/api/v1/environments/builds", kind=BuildList).items) == 1


def test_only_that_node_may_tell_its_builds(server: Any, node: Client) -> None:
    with pytest.raises(errors.AuthenticationException):
        node.request("POST", f"/api/v1/nodes/other/builds/{HASH}", body=BuildReport(BuildStatus.BUILDING))
    with pytest.raises(errors.AuthenticationException):
        node.request("POST", _W, body=EnvironmentSpec(name="x", python=PythonSpec(requirements=[])))
    with pytest.raises(errors.AuthenticationException):
        Client(server.url, "nobody", patience_s=0).request("GET", _BUILD)
    with pytest.raises(errors.UserErrorException, match="offset"):
        node.request("POST", f"{_NODE}/log", content=b"x", query={"offset": -1})
