"""Web services over REST, with a node that the test plays: what is stored, assigned, reported and refused."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from modelyard import errors
from modelyard._client import Client, path
from modelyard.server.endpoints.reconcile import LOST_AFTER_S, LostServices
from modelyard.server.kernel.clock import ManualClock
from modelyard.server.kernel.reconcile import Round
from modelyard.wire.artifacts import BlobsStored, FileEntry, Offset, SnapshotCreate, SnapshotInfo
from modelyard.wire.compute import NodePoll, NodeWork
from modelyard.wire.endpoints import (
    EndpointCreate,
    EndpointInfo,
    EndpointKeys,
    EndpointList,
    EndpointUpdate,
    KeyRegenerate,
    ServiceAssignment,
    ServiceError,
    ServiceReport,
    ServiceSpec,
    ServiceState,
)
from modelyard.wire.models import ModelInfo, ModelRegister

S = ServiceState


@dataclass
class Workplace:
    """A workspace seen by its owner and by a node."""

    owner: Client
    node: Client
    clock: ManualClock
    db: Any
    services: dict[str, int] = field(default_factory=dict)

    def at(self, *parts: str) -> str:
        return path("workspaces", "default", *parts)

    def entry(self, name: str, content: bytes) -> FileEntry:
        digest = hashlib.sha256(content).hexdigest()
        frame = f"{digest} {len(content)}\n".encode() + content
        self.owner.request("POST", self.at("blobs"), content=frame, kind=BlobsStored)
        return FileEntry(name, digest, len(content))

    def snapshot(self, **files: bytes) -> str:
        entries = [self.entry(name.replace("__", "."), content) for name, content in files.items()]
        made = self.owner.request("POST", self.at("snapshots"), SnapshotCreate(entries), kind=SnapshotInfo)
        return made.id

    def model(self, name: str, framework: str = "Custom") -> ModelInfo:
        body = ModelRegister(name, f"r-{name}", [self.entry("m.pkl", name.encode())], framework=framework)
        return self.owner.request("POST", self.at("models"), body, kind=ModelInfo)

    def spec(self, **changes: Any) -> ServiceSpec:
        if "snapshot_id" not in changes:
            changes["snapshot_id"] = self.snapshot(score__py=b"def init(): ...\ndef run(d): return d\n")
        return replace(ServiceSpec(models=[], entry_script="score.py", snapshot_id=""), **changes)

    def deploy(self, name: str = "svc", **options: Any) -> EndpointInfo:
        spec = options.pop("spec", None) or self.spec()
        return self.owner.request(
            "POST", self.at("endpoints"), EndpointCreate(name, spec, **options), kind=EndpointInfo
        )

    def info(self, name: str = "svc") -> EndpointInfo:
        return self.owner.request("GET", self.at("endpoints", name), kind=EndpointInfo)

    def update(self, name: str = "svc", **changes: Any) -> EndpointInfo:
        return self.owner.request(
            "PATCH", self.at("endpoints", name), EndpointUpdate(**changes), kind=EndpointInfo
        )

    def poll(self) -> list[ServiceAssignment]:
        """What the node is told; it takes all of it up."""
        work = self.node.request(
            "POST",
            path("nodes", "poll"),
            NodePoll("local", services=self.services, wait_s=0.0),
            kind=NodeWork,
        )
        for each in work.services:
            if each.stop:
                del self.services[each.endpoint_id]
            else:
                self.services[each.endpoint_id] = each.revision
        return list(work.services)

    def report(self, name: str = "svc", **fields: Any) -> None:
        self.node.request("POST", self.at("endpoints", name, "report"), ServiceReport(**fields))

    def healthy(self, name: str = "svc", revision: int = 1, port: int = 5001) -> EndpointInfo:
        self.poll()
        self.report(name, revision=revision, state=S.HEALTHY, port=port, replicas_ready=1)
        return self.info(name)


@pytest.fixture
def place(start_server: Callable[..., Any]) -> Iterator[Workplace]:
    clock = ManualClock()
    server = start_server(clock=clock)
    owner, node = Client(server.url, server.owner_token), Client(server.url, server.node_token)
    yield Workplace(owner, node, clock, server.yard.db)
    owner.close()
    node.close()


def test_a_service_goes_from_waiting_to_healthy(place):
    made = place.deploy(tags={"a": "b"}, description="d")
    assert (made.state, made.revision, made.active_revision, made.scoring_uri) == (
        S.TRANSITIONING,
        1,
        None,
        "",
    )
    (assignment,) = place.poll()
    assert (assignment.endpoint, assignment.revision, assignment.workspace) == ("svc", 1, "default")
    assert place.poll() == []
    assert "prepares" in place.info().state_reason
    place.report(revision=1, state=S.HEALTHY, port=5001, replicas_ready=1, telemetry={"requests": 3})
    now = place.info()
    assert (now.state, now.active_revision, now.replicas_ready) == (S.HEALTHY, 1, 1)
    assert now.scoring_uri == "http://127.0.0.1:5001/score"
    assert now.swagger_uri == "http://127.0.0.1:5001/swagger.json"
    assert now.telemetry == {"requests": 3}
    assert now.version > made.version
    assert [
        each.name for each in place.owner.request("GET", place.at("endpoints"), kind=EndpointList).items
    ] == ["svc"]


def test_a_name_that_is_taken_is_refused_unless_overwritten(place):
    first = place.deploy()
    with pytest.raises(errors.Conflict, match="exists already") as refused:
        place.deploy()
    assert refused.value.code == "endpoint_exists"
    place.healthy()
    again = place.deploy(overwrite=True, compute_type="ACI")
    assert (again.id, again.revision, again.active_revision, again.compute_type) == (first.id, 2, 1, "ACI")
    assert again.scoring_uri == "http://127.0.0.1:5001/score"


def test_what_a_spec_names_must_be_there(place):
    with pytest.raises(
        errors.RequestRefused, match=r"'main.py' is not in the source directory. It holds: score.py"
    ):
        place.deploy(spec=place.spec(entry_script="main.py"))
    with pytest.raises(errors.NotFound):
        place.deploy(spec=place.spec(snapshot_id="0" * 64))
    with pytest.raises(errors.ModelNotFoundException):
        place.deploy(spec=place.spec(models=["gone:1"]))
    with pytest.raises(errors.NotFound, match="no web service 'svc'"):
        place.info()


def test_models_are_settled_to_versions_and_trees(place):
    model = place.model("digits", "ScikitLearn")
    made = place.deploy(spec=place.spec(models=["digits"]))
    assert made.spec.models == ["digits:1"]
    (assignment,) = place.poll()
    assert assignment.model_trees == {"digits:1": model.tree_id}
    assert assignment.model_frameworks == {"digits:1": "ScikitLearn"}


def test_a_model_is_kept_while_a_service_holds_it(place):
    place.model("digits")
    place.model("other")
    place.deploy(spec=place.spec(models=["digits:1"]))
    place.healthy()
    place.update(spec=place.spec(models=["other:1"]))
    for name in ("digits", "other"):  # one answers, one is asked for
        with pytest.raises(errors.Conflict, match="svc"):
            place.owner.request("DELETE", place.at("models", name, "versions", "1"))
    place.healthy(revision=2)
    place.owner.request("DELETE", place.at("models", "digits", "versions", "1"))


def test_a_failing_update_leaves_the_old_revision_answering_and_says_the_error(place):
    place.deploy()
    place.healthy()
    place.update(reload=True)
    (assignment,) = place.poll()
    assert assignment.revision == 2
    error = ServiceError("InitFailed", "ValueError: no", "score.py:3: ValueError: no", "Traceback")
    place.report(revision=2, state=S.FAILED, error=error)
    now = place.info()
    assert (now.state, now.revision, now.active_revision, now.error) == (S.HEALTHY, 2, 1, error)
    place.update(reload=True)
    assert place.info().error is None


def test_a_service_that_was_stopped_is_healthy_again_with_its_keepers_first_report(place):
    place.deploy()
    place.healthy()
    place.report(revision=1, state=S.STOPPED, port=5001)
    assert place.info().state is S.STOPPED
    place.report(revision=1, state=S.HEALTHY, port=5001, replicas_ready=1, active_revision=1)
    assert (place.info().state, place.info().error) == (S.HEALTHY, None)


def test_reports_on_an_older_revision_change_nothing_but_figures(place):
    place.deploy()
    place.healthy()
    place.update(reload=True)
    place.report(revision=1, state=S.FAILED, telemetry={"requests": 9})
    now = place.info()
    assert (now.state, now.error, now.telemetry) == (S.TRANSITIONING, None, {"requests": 9})
    with pytest.raises(errors.Conflict, match="there is no 7"):
        place.report(revision=7, state=S.HEALTHY)


def test_a_deleted_service_does_not_speak_for_a_new_one_of_its_name(place):
    old = place.deploy()
    place.poll()
    place.owner.request("DELETE", place.at("endpoints", "svc"))
    place.deploy()
    with pytest.raises(errors.Conflict, match="was deleted"):
        place.report(revision=1, state=S.HEALTHY, port=1, endpoint_id=old.id)
    assert place.info().state is S.TRANSITIONING


def test_deleting_stops_the_service_and_frees_name_and_port(place):
    old = place.deploy(spec=place.spec(port=6789))
    place.poll()
    with pytest.raises(errors.Conflict, match="Port 6789 belongs to endpoint 'svc'"):
        place.deploy("other", spec=place.spec(port=6789))
    place.owner.request("DELETE", place.at("endpoints", "svc"))
    with pytest.raises(errors.NotFound):
        place.info()
    new = place.deploy(spec=place.spec(port=6789))
    work = place.poll()
    assert [(each.endpoint_id, each.stop) for each in work] == [(old.id, True)]  # the port is still held
    place.poll()  # tells that the old one is gone
    assert place.services.get(new.id) == 1


def test_a_stop_is_not_said_again_and_again(place):
    place.services["unknown"] = 4
    place.poll()
    place.services["unknown"] = 4
    assert place.poll() == []
    place.clock.advance(3)
    assert [each.stop for each in place.poll()] == [True]


def test_keys_are_made_given_and_replaced(place):
    place.deploy(spec=place.spec(auth_enabled=True), primary_key="first")
    keys = place.owner.request("GET", place.at("endpoints", "svc", "keys"), kind=EndpointKeys)
    assert keys.primary == "first"
    assert len(keys.secondary) == 32
    assert place.poll()[0].keys == ["first", keys.secondary]
    fresh = place.owner.request(
        "POST", place.at("endpoints", "svc", "keys"), KeyRegenerate("secondary"), kind=EndpointKeys
    )
    assert fresh.primary == "first"
    assert fresh.secondary != keys.secondary
    (assignment,) = place.poll()
    assert (assignment.revision, assignment.keys) == (2, ["first", fresh.secondary])
    with pytest.raises(errors.RequestRefused, match="no key 'third'"):
        place.owner.request("POST", place.at("endpoints", "svc", "keys"), KeyRegenerate("third"))


def test_authentication_can_be_turned_on_and_off(place):
    place.deploy()
    with pytest.raises(errors.Conflict, match="has no keys"):
        place.owner.request("GET", place.at("endpoints", "svc", "keys"))
    assert place.poll()[0].keys == []
    assert place.update(auth_enabled=True).revision == 2
    assert len(place.poll()[0].keys) == 2
    assert place.update(auth_enabled=True).revision == 2
    assert place.update(auth_enabled=False).revision == 3


def test_only_a_reload_or_a_new_deployment_starts_a_new_generation(place):
    place.deploy(spec=place.spec(auth_enabled=True))
    place.owner.request("POST", place.at("endpoints", "svc", "keys"), KeyRegenerate("primary"))
    place.update(auth_enabled=False)
    place.update(spec=place.spec(replicas=2, generation=7))
    assert place.info().spec.generation == 0
    assert place.update(reload=True).spec.generation == 1
    assert place.update(spec=place.spec(), reload=True).spec.generation == 2
    place.deploy(overwrite=True)
    assert place.info().spec.generation == 3


def test_labels_change_without_a_new_revision(place):
    place.deploy(tags={"a": "1", "b": "2"}, properties={"p": "1"})
    now = place.update(set_tags={"c": "3"}, remove_tags=["a"], add_properties={"q": "2"}, description="new")
    assert (now.tags, now.properties, now.description, now.revision) == (
        {"b": "2", "c": "3"}, {"p": "1", "q": "2"}, "new", 1,
    )  # fmt: skip
    with pytest.raises(errors.Conflict, match="stays so"):
        place.update(add_properties={"p": "other"})


def test_the_port_a_node_reports_is_kept_through_revisions(place):
    place.deploy()
    place.healthy(port=41234)
    place.update(reload=True)
    assert place.poll()[0].port == 41234


def test_waiting_answers_when_something_changed(place):
    made = place.deploy()
    place.poll()
    seen: list[EndpointInfo] = []

    def wait() -> None:
        query = {"wait_version": place.info().version, "wait_s": 20}
        seen.append(place.owner.request("GET", place.at("endpoints", "svc"), query=query, kind=EndpointInfo))
        place.owner.close()  # a connection is a thread's own

    thread = threading.Thread(target=wait)
    thread.start()
    while not seen and thread.is_alive():
        place.report(revision=1, state=S.HEALTHY, port=5001, replicas_ready=1 + place.info().version)
        thread.join(0.05)
    assert seen[0].version > made.version
    assert seen[0].state is S.HEALTHY


def test_logs_are_appended_by_offset(place):
    place.deploy()

    def send(offset: int, data: bytes) -> int:
        return place.node.request(
            "POST", place.at("endpoints", "svc", "logs"), content=data, query={"offset": offset}, kind=Offset
        ).offset

    assert send(0, b"one\ntwo\n") == 8
    assert send(0, b"one\ntwo\n") == 8
    assert send(4, b"two\nthree\n") == 14
    with pytest.raises(errors.Conflict) as gap:
        send(99, b"x")
    assert (gap.value.code, gap.value.extra) == ("stream_gap", {"offset": 14})

    def tail(lines: int) -> bytes:
        return place.owner.raw("GET", place.at("endpoints", "svc", "logs"), query={"lines": lines}).body

    assert tail(2) == b"two\nthree\n"
    assert tail(100) == b"one\ntwo\nthree\n"

    def after(offset: int, wait_s: float = 0.0) -> tuple[bytes, str]:
        query = {"offset": offset, "wait_s": wait_s}
        answer = place.owner.raw("GET", place.at("endpoints", "svc", "logs"), query=query)
        return answer.body, answer.headers["x-log-offset"]

    assert after(4) == (b"two\nthree\n", "14")
    assert after(14) == (b"", "14")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(after, 14, 30.0)
        send(14, b"four\n")
        assert waiting.result(20) == (b"four\n", "19")
    with pytest.raises(errors.RequestRefused, match="offset must be"):
        after(-1)


def test_a_silent_node_makes_its_services_unhealthy_until_it_is_back(place):
    place.deploy()
    place.healthy()
    check = Round(place.db, place.clock, LostServices())
    place.clock.advance(LOST_AFTER_S - 1)
    check()
    assert place.info().state is S.HEALTHY
    place.clock.advance(2)
    check()
    lost = place.info()
    assert lost.state is S.UNHEALTHY
    assert lost.error.code == "Lost"
    place.poll()
    back = place.info()
    assert (back.state, back.error) == (S.HEALTHY, None)


def test_only_the_owner_changes_services_and_only_a_node_reports(place):
    place.deploy()
    for method, parts, body in (
        ("PATCH", ("svc",), EndpointUpdate(reload=True)),
        ("DELETE", ("svc",), None),
        ("GET", ("svc", "keys"), None),
    ):
        with pytest.raises(errors.AuthenticationException):
            place.node.request(method, place.at("endpoints", *parts), body)


def test_a_service_without_code_needs_a_known_framework(place):
    place.model("custom")
    place.model("known", "ScikitLearn")
    spec = ServiceSpec(models=["custom:1"], entry_script="", snapshot_id="")
    with pytest.raises(errors.RequestRefused, match="Give an entry script"):
        place.deploy(spec=spec)
    assert place.deploy(spec=replace(spec, models=["known:1"])).spec.entry_script == ""
