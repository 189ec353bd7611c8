"""Web services on a node, with real keepers and scoring hosts and a small real yard."""

from __future__ import annotations

import json
import os
import signal
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from services import free_port

from modelyard.node import bundle, processes, records, service
from modelyard.node.builds import Builds
from modelyard.node.environments.builder import Builder
from modelyard.node.link import Link
from modelyard.node.services import ServicesHere
from modelyard.node.trees import Trees
from modelyard.wire.endpoints import ServiceAssignment, ServiceSpec
from modelyard.wire.environments import EnvironmentSpec, PythonSpec

SCORE = "import os\ndef init(): pass\ndef run(data): return [os.environ['AZUREML_MODEL_DIR'], {word!r}]\n"


class Node:
    """The services part of an agent; `restart` forgets everything but the disk."""

    def __init__(self, yard):
        self.yard = yard
        self.home = yard.home
        self.port = free_port()
        self.restart()

    def restart(self):
        node = self.home / "node"
        link = Link(self.home, "node-token")
        builds = Builds(Builder(node / "environments"), node / "environments", "local", link)
        self.services = ServicesHere(
            self.home, link, Trees(node / "cache"), builds, bundle.build(node / "sdk")
        )

    def want(self, revision=1, stop=False, word="one", model=b"weights", source="", keys=(), **spec):
        source = source or f"source-{revision}"
        self.yard.add_tree(source, {"score.py": SCORE.format(word=word).encode()})
        self.yard.add_model("iris", 3, {"model.pkl": model})
        wanted = ServiceSpec(["iris:3"], "score.py", source, **spec)
        trees = {"iris:3": "m3"}
        self.services.take(
            ServiceAssignment(
                "ws", "svc", "e1", revision, wanted, self.port, list(keys), model_trees=trees, stop=stop
            )
        )

    def state(self):
        return self.yard.reports[-1]["state"] if self.yard.reports else ""

    def score(self):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/score", b"{}", {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read())

    def keeper(self):
        return records.read_object(self.home / "node" / "services" / "e1" / "keeper.json")


@pytest.fixture
def node(small_yard):
    (small_yard.home / "node").mkdir(exist_ok=True)
    node = Node(small_yard)
    yield node
    node.services.let_go()
    for pid in _of_directory(str(small_yard.home)):
        processes.send(pid, signal.SIGKILL)


def _of_directory(directory):
    found = set()
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            try:
                with open(f"/proc/{name}/cmdline", "rb") as file:
                    line = file.read()
                if directory.encode() in line or os.readlink(f"/proc/{name}/cwd").startswith(directory):
                    found.add(int(name))
            except OSError:
                continue
    return found


def test_a_service_becomes_healthy_answers_and_is_ended_with_all_its_files(node, until):
    node.want()
    until(lambda: node.state() == "Healthy", "the service to be healthy")
    model_dir, word = node.score()
    assert word == "one"
    assert model_dir.endswith("azureml-models/iris/3")
    assert Path(model_dir, "model.pkl").read_text() == "weights"
    assert node.services.running() == {"e1": 1}
    node.want(stop=True)
    until(lambda: node.services.tend() or node.services.running() == {}, "the service to end")
    with pytest.raises(urllib.error.URLError):
        node.score()
    assert not (node.home / "node" / "services" / "e1").exists()
    assert _of_directory(str(node.home / "node" / "services")) == set()


def test_a_new_revision_takes_over_while_the_service_answers(node, until):
    node.want()
    until(lambda: node.state() == "Healthy", "the service to be healthy")
    failures = []
    done = threading.Event()

    def ask():
        while not done.is_set():
            try:
                node.score()
            except OSError as error:
                failures.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    node.want(revision=2, word="two")
    until(lambda: node.yard.reports[-1]["active_revision"] == 2, "the second revision to answer")
    done.set()
    asking.join()
    assert failures == []
    assert node.score()[1] == "two"
    directory = node.home / "node" / "services" / "e1"
    until(lambda: len(list(directory.glob("code-*"))) == 1, "the files of the first to go")


def test_a_service_outlives_the_agent_and_comes_back_without_the_yard(node, until):
    node.want()
    until(lambda: node.state() == "Healthy", "the service to be healthy")
    keeper = node.keeper()
    node.services.let_go()
    node.restart()
    node.services.adopt()
    assert node.services.running() == {"e1": 1}
    assert node.score()[1] == "one"
    assert node.keeper() == keeper
    node.yard.close()
    for pid in _of_directory(str(node.home / "node" / "services")):
        processes.send(pid, signal.SIGKILL)
    until(lambda: node.keeper() != keeper, "another keeper")

    def answers():
        try:
            return node.score()[1] == "one"
        except OSError:
            return False

    until(answers, "the service to answer again")


def test_other_keys_and_replicas_keep_the_processes_and_a_new_generation_does_not(node, until):
    node.want()
    until(lambda: node.state() == "Healthy", "the service to be healthy")
    status = node.home / "node" / "services" / "e1" / "status.json"

    def pids_of(revision):
        until(lambda: node.yard.reports[-1]["active_revision"] == revision, f"revision {revision}")
        return {r["pid"] for r in records.read_object(status)["replicas"] if r["ready"]}

    first = pids_of(1)
    node.want(revision=2, source="source-1", replicas=2, auth_enabled=True, keys=["k1"])
    second = pids_of(2)
    assert first < second
    node.want(revision=3, source="source-1", replicas=1, generation=1)
    assert not first & pids_of(3)


def test_an_environment_that_can_not_be_had_is_reported_and_the_old_revision_stays(node, until):
    node.want()
    until(lambda: node.state() == "Healthy", "the service to be healthy")
    missing = EnvironmentSpec(python=PythonSpec(user_managed=True, interpreter_path="/nowhere/python"))
    node.want(revision=2, environment=missing)
    until(lambda: node.yard.reports[-1]["revision"] == 2, "a report of the second revision")
    report = node.yard.reports[-1]
    assert report["error"]["code"] == "EnvironmentFailed"
    assert "/nowhere/python" in report["error"]["message"]
    assert (report["state"], report["active_revision"]) == ("Healthy", 1)
    assert node.score()[1] == "one"


def test_the_first_revision_with_no_environment_is_failed(node, until):
    missing = EnvironmentSpec(python=PythonSpec(user_managed=True, interpreter_path="/nowhere/python"))
    node.want(environment=missing)
    until(lambda: node.state() == "Failed", "the service to fail")
    assert node.yard.reports[-1]["error"]["code"] == "EnvironmentFailed"


def test_a_failing_init_is_reported_with_its_line_and_its_log_is_sent(node, until):
    node.yard.add_tree(
        "source-1", {"score.py": b"def init():\n    raise KeyError('no weights')\ndef run(data): pass\n"}
    )
    node.yard.add_model("iris", 3, {"model.pkl": b"x"})
    spec = ServiceSpec(["iris:3"], "score.py", "source-1")
    node.services.take(ServiceAssignment("ws", "svc", "e1", 1, spec, node.port, model_trees={"iris:3": "m3"}))
    until(lambda: node.state() == "Failed", "the service to fail")
    assert "score.py:2" in node.yard.reports[-1]["error"]["line"]
    until(lambda: b"no weights" in node.yard.streams.get("endpoints/svc/logs", b""), "the log in the yard")


@pytest.mark.parametrize(
    ("recorded", "name"),
    [
        ({"source_directory": "/home/ann/churn/scoring"}, "scoring"),
        ({"source_directory": "C:\\work\\scoring\\"}, "scoring"),
        ({"source_directory": "/home/ann/scoring", "entry_script_only": True}, ""),
        ({"source_directory": "/"}, ""),
        ({"source_directory": "/a/.."}, ""),
        ({"source_directory": 5}, ""),
        ({}, ""),
    ],
)
def test_the_source_directory_keeps_its_name(recorded, name):
    assert service._source_name(recorded) == name


def test_a_service_runs_in_the_directory_that_holds_its_source_directory(node, until):
    node.yard.add_tree(
        "source-1",
        {"x/score.py": b"def run(data):\n    return open('code/extra.txt').read()\n", "extra.txt": b"found"},
    )
    spec = ServiceSpec([], "x/score.py", "source-1", recorded={"source_directory": "/somewhere/code"})
    node.services.take(ServiceAssignment("ws", "svc", "e1", 1, spec, node.port))
    until(lambda: node.state() == "Healthy", "the service to be healthy")
    assert node.score() == "found"
