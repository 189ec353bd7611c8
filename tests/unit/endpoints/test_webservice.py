"""The SDK's web services against a real yard, with a node that the test plays and a scoring address of its own."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from modelyard import errors
from modelyard._client import Client, path
from modelyard.endpoints import AciWebservice, AksWebservice, InferenceConfig, LocalWebservice, Webservice
from modelyard.endpoints.deployment import deploy
from modelyard.wire.artifacts import Offset
from modelyard.wire.compute import NodePoll, NodeWork
from modelyard.wire.endpoints import ServiceError, ServiceReport, ServiceState
from modelyard.workspace import Workspace

SCORE = "def init():\n    pass\n\ndef run(data):\n    return data\n"


class Scorer(http.server.ThreadingHTTPServer):
    """Answers as a scoring host does: echoes JSON, asks for the keys it has, fails on request."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.keys: list[str] = []
        self.port = self.server_address[1]


class _Answer(http.server.BaseHTTPRequestHandler):
    server: Scorer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        key = (self.headers["authorization"] or "").removeprefix("Bearer ")
        if self.server.keys and key not in self.server.keys:
            self._send(401, {"message": "this key opens nothing"})
        elif b"boom" in body:
            self._send(500, {"message": "score.py:5: ValueError: boom"})
        else:
            self._send(200, {"got": json.loads(body)})

    def _send(self, status: int, value: Any) -> None:
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: Any) -> None:
        """Quiet."""


@dataclass
class Place:
    workspace: Workspace
    node: Client
    scorer: Scorer
    services: dict[str, int] = field(default_factory=dict)

    def work(self, **fields: Any) -> None:
        """The node takes up what there is and reports all of it in the state given, Healthy by default."""
        poll = NodePoll("local", services=self.services, wait_s=0.0)
        for each in self.node.request("POST", path("nodes", "poll"), poll, kind=NodeWork).services:
            if each.stop:
                del self.services[each.endpoint_id]
                continue
            self.services[each.endpoint_id] = each.revision
            self.scorer.keys = each.keys
            report = {"state": ServiceState.HEALTHY, "port": self.scorer.port, "replicas_ready": 1, **fields}
            address = path("workspaces", "default", "endpoints", each.endpoint, "report")
            self.node.request("POST", address, ServiceReport(revision=each.revision, **report))

    def roll(self, revision: int) -> None:
        """From a thread of its own: take up the revision as soon as it is there."""
        while revision not in self.services.values():
            self.work()
        self.node.close()

    def log(self, name: str, text: str) -> None:
        address = path("workspaces", "default", "endpoints", name, "logs")
        self.node.request("POST", address, content=text.encode(), query={"offset": 0}, kind=Offset)


@pytest.fixture
def place(server: Any, tmp_path: Any, monkeypatch: Any) -> Iterator[Place]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MODELYARD_HOME", str(server.home))
    (tmp_path / "score.py").write_text(SCORE)
    owner, node = Client(server.url, server.owner_token), Client(server.url, server.node_token)
    with Scorer() as scorer:
        thread = threading.Thread(target=scorer.serve_forever, args=(0.01,))
        thread.start()
        yield Place(Workspace(workspace_name="default", _client=owner), node, scorer)
        scorer.shutdown()
        thread.join()
    owner.close()
    node.close()


@pytest.fixture
def up(place: Place) -> Callable[..., Webservice]:
    """A healthy service: `up(configuration)`."""

    def up(configuration: Any = None, name: str = "svc") -> Webservice:
        configuration = configuration or LocalWebservice.deploy_configuration()
        service = deploy(place.workspace, name, [], InferenceConfig("score.py"), configuration)
        place.work()
        service.wait_for_deployment()
        return service

    return up


def test_a_deployed_service_answers_through_its_object(place, up, capsys):
    service = up()
    assert type(service) is LocalWebservice
    assert service.state == LocalWebservice.STATE_RUNNING == "Healthy"
    assert service.port == place.scorer.port
    assert service.scoring_uri == f"http://127.0.0.1:{place.scorer.port}/score"
    assert service.swagger_uri == f"http://127.0.0.1:{place.scorer.port}/swagger.json"
    assert service.run(json.dumps({"data": [1]})) == {"got": {"data": [1]}}
    assert service.run({"data": [2]}) == {"got": {"data": [2]}}
    service.wait_for_deployment(show_output=True)
    assert "Succeeded" in capsys.readouterr().out


def test_the_concrete_kind_comes_back_by_name_and_in_lists(place, up):
    up(AciWebservice.deploy_configuration(cpu_cores=1, memory_gb=1, tags={"area": "digits"}), "aci-one")
    up(AksWebservice.deploy_configuration(num_replicas=2), "aks-one")
    assert type(Webservice(place.workspace, "aci-one")) is AciWebservice
    assert type(Webservice(place.workspace, "aks-one")) is AksWebservice
    assert type(AksWebservice(place.workspace, "aks-one")) is AksWebservice
    with pytest.raises(errors.WebserviceException, match="of type AKS, not LOCAL"):
        LocalWebservice(place.workspace, "aks-one")
    names = {
        str(filters): [s.name for s in Webservice.list(place.workspace, **filters)]
        for filters in ({}, {"compute_type": "ACI"}, {"tags": [["area", "digits"]]}, {"tags": ["none"]})
    }
    assert list(names.values()) == [["aci-one", "aks-one"], ["aci-one"], ["aci-one"], []]


def test_a_name_that_is_not_there_or_taken_is_said(place, up):
    with pytest.raises(errors.WebserviceException, match="WebserviceNotFound"):
        Webservice(place.workspace, "gone")
    assert LocalWebservice(place.workspace, "gone", must_exist=False).state == "Deleted"
    up()
    with pytest.raises(errors.WebserviceException, match="exists already"):
        deploy(
            place.workspace, "svc", [], InferenceConfig("score.py"), LocalWebservice.deploy_configuration()
        )
    with pytest.raises(errors.WebserviceException, match="3 to 32 lower-case"):
        deploy(place.workspace, "Bad_Name", [], InferenceConfig("score.py"))


def test_keys_are_sent_and_taken_anew_after_they_were_replaced(place, up):
    service = up(AciWebservice.deploy_configuration(auth_enabled=True, primary_key="first"))
    assert service.get_keys()[0] == "first"
    assert service.run("1") == {"got": 1}
    rolling = threading.Thread(target=place.roll, args=(2,))
    rolling.start()
    service.regen_key("Primary", set_key="second")
    rolling.join()
    assert service.run("2") == {"got": 2}
    assert service.get_keys()[0] == "second"
    with pytest.raises(errors.UserErrorException, match="'Primary' or 'Secondary'"):
        service.regen_key("third")


def test_a_service_without_keys_says_so(up):
    service = up()
    with pytest.raises(errors.WebserviceException, match="has no keys"):
        service.get_keys()
    with pytest.raises(errors.WebserviceException, match="get_keys"):
        service.get_token()


def test_an_error_of_run_carries_what_the_service_said(up):
    with pytest.raises(errors.WebserviceException, match=r"HTTP 500: score.py:5: ValueError: boom") as failed:
        up().run("boom")
    assert failed.value.status == 500
    assert "get_logs()" in failed.value.message


def test_a_failing_init_is_raised_with_line_traceback_and_log(place):
    service = deploy(place.workspace, "svc", [], InferenceConfig("score.py"))
    error = ServiceError(
        "InitFailed",
        "init() of score.py failed",
        "score.py:2: KeyError: 'x'",
        'Traceback …\n  File "score.py", line 2',
    )
    place.log("svc", "loading\nnot found\n")
    place.work(state=ServiceState.FAILED, error=error)
    with pytest.raises(errors.WebserviceException) as failed:
        service.wait_for_deployment()
    for said in ("score.py:2: KeyError: 'x'", 'File "score.py", line 2', "InitFailed", "not found"):
        assert said in failed.value.message
    assert service.state == "Failed"
    assert service.error["line"] == "score.py:2: KeyError: 'x'"


def test_a_failing_update_raises_while_the_old_revision_answers(place, up):
    service = up()
    service.update(inference_config=InferenceConfig("score.py"))
    place.work(state=ServiceState.FAILED, error=ServiceError("InitFailed", "no"))
    with pytest.raises(errors.WebserviceException, match="Revision 1 still answers"):
        service.wait_for_deployment()
    assert service.run("1") == {"got": 1}


def test_waiting_ends_with_its_time(place):
    service = deploy(place.workspace, "svc", [], InferenceConfig("score.py"))
    with pytest.raises(errors.WebserviceException, match=r"still Transitioning after 0.05 s"):
        service.wait_for_deployment(timeout_sec=0.05)
    with pytest.raises(errors.WebserviceException, match="can't answer"):
        service.run("1")


def test_reload_takes_the_source_as_it_is_now(place, up, tmp_path):
    service = up()
    before = service._info.spec.snapshot_id
    (tmp_path / "score.py").write_text(SCORE + "# changed\n")
    LocalWebservice(place.workspace, "svc").reload()
    place.work()
    service.update_deployment_state()
    assert service._info.spec.snapshot_id != before
    assert (service._info.revision, service.state) == (2, "Healthy")


def test_after_a_reload_the_next_run_waits_for_the_new_code(place, up, tmp_path):
    service = up()
    service.reload()
    node = threading.Thread(target=place.work)
    node.start()
    assert service.run("1") == {"got": 1}
    assert (service._info.active_revision, service.state) == (2, "Healthy")
    node.join()


def test_a_service_that_was_deleted_is_not_called(up):
    service = up()
    service.delete()
    with pytest.raises(errors.WebserviceException, match="was deleted"):
        service.run("1")


def test_what_is_updated_changes_and_the_rest_stays(place, up):
    service = up(AksWebservice.deploy_configuration(tags={"a": "1"}, cpu_cores=1))
    service.update(num_replicas=3, tags={"b": "2"}, description="new", cpu_cores=2)
    place.work()
    service.wait_for_deployment()
    assert (service.tags, service.description) == ({"b": "2"}, "new")
    assert (service._info.spec.replicas, service.serialize()["cpu_cores"]) == (3, 2)
    service.add_tags({"c": 3})
    service.remove_tags(["b"])
    service.add_properties({"p": "1"})
    assert (service.tags, service.properties, service._info.revision) == ({"c": "3"}, {"p": "1"}, 2)
    with pytest.raises(errors.UserErrorException, match="nothing to change"):
        service.update()
    with pytest.raises(errors.WebserviceException, match="stays so"):
        service.add_properties({"p": "2"})


def test_a_deleted_service_is_gone_and_may_be_deleted_again(place, up):
    service = up()
    service.delete()
    service.delete()
    assert service.state == LocalWebservice.STATE_DELETED
    place.work()
    assert place.services == {}


def test_the_last_lines_of_the_log_are_given(place, up):
    service = up()
    place.log("svc", "one\ntwo\nthree\n")
    assert service.get_logs(num_lines=2) == "two\nthree\n"
    with pytest.raises(errors.UserErrorException, match="num_lines"):
        service.get_logs(num_lines=0)


def test_images_and_models_without_code_say_what_works(place):
    with pytest.raises(NotImplementedError, match=r"Model\.deploy"):
        Webservice.deploy_from_image(place.workspace, "svc", None)
    with pytest.raises(errors.UserErrorException, match="exactly one registered Model"):
        deploy(place.workspace, "svc", [])
