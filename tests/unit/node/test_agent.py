"""The agent, as a real process against a small real yard."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys

import pytest

from modelyard.node import processes
from modelyard.wire import codec
from modelyard.wire.compute import NodeWork, RunAssignment
from modelyard.wire.runs import RunSpec

RUN = "exp_1_0000abcd"


class Agents:
    def __init__(self, yard):
        self.yard = yard
        self.home = yard.home
        (self.home / "node" / "node.token").write_text("node-token")
        self.started = []

    def start(self):
        with (self.home / "agent.log").open("a") as log:
            agent = subprocess.Popen(
                [sys.executable, "-m", "modelyard.node.agent", "--home", str(self.home), "--url", ""],
                env={**os.environ, "MODELYARD_CANCEL_GRACE_S": "0.5"},
                text=True,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        self.started.append(agent)
        return agent

    def give(self, script, **spec):
        self.yard.add_tree("tree", {"train.py": script.encode()})
        assignment = RunAssignment(
            workspace="ws",
            workspace_id="w",
            run_id=RUN,
            root_id=RUN,
            experiment="exp",
            experiment_id="e",
            spec=RunSpec(script="train.py", snapshot_id="tree", **spec),
            token="token",
        )
        self.send(NodeWork(starts=[assignment]))

    def send(self, work):
        self.yard.work.append(codec.to_json(work))

    @property
    def directory(self):
        return self.home / "node" / "runs" / RUN

    def of_run(self):
        return processes.tree(-1, f"MODELYARD_JOURNAL_DIR={self.directory}/journal")


@pytest.fixture
def agents(small_yard):
    small_yard.poll_wait_s = 0.05
    agents = Agents(small_yard)
    yield agents
    for agent in agents.started:
        agent.kill()
        agent.wait()
        agent.stdout.close()
    for name in os.listdir(agents.home / "node" / "runs"):
        host = agents.home / "node" / "runs" / name / "host.json"
        if host.exists():
            known = json.loads(host.read_bytes())
            if processes.is_same(known["pid"], known["started"]):
                os.kill(known["pid"], signal.SIGKILL)
    for pid in agents.of_run():
        processes.send(pid, signal.SIGKILL)


def test_a_run_is_prepared_hosted_and_cleared_away(agents, small_yard, until):
    agents.give("print('hello')")
    agents.start()
    until(lambda: small_yard.status == "Completed", "the run to complete")
    assert small_yard.log() == "hello\n"
    bulky = [agents.directory / name for name in ("code", "journal", "assignment.json")]
    until(lambda: not any(path.exists() for path in bulky), "the run to be cleared away")
    assert (agents.directory / "exit.json").exists()
    until(lambda: small_yard.polls[-1]["running"] == [], "the yard to hear that nothing runs")


@pytest.mark.parametrize("deleted", ["environments", "runs", "sdk"])
def test_what_a_person_deletes_to_make_room_is_made_again(agents, small_yard, until, deleted):
    agents.start()
    until(lambda: small_yard.polls, "the agent to ask for work")
    until(lambda: list((agents.home / "node" / "sdk").glob("*.compiled-*")), "the agent to be at rest")
    shutil.rmtree(agents.home / "node" / deleted)
    agents.give("import modelyard; print('hello')")
    until(lambda: small_yard.status in ("Completed", "Failed"), "the run to end")
    assert small_yard.log() == "hello\n"


def test_a_second_agent_of_a_home_ends_well_and_says_why(agents, small_yard, until):
    agents.start()
    until(lambda: small_yard.polls, "the first agent to ask for work")
    second = agents.start()
    assert second.wait(20) == 0
    assert "already" in second.stdout.read()


def test_a_run_outlives_its_agent_and_is_adopted_by_the_next(agents, small_yard, until, tmp_path):
    go = tmp_path / "go"
    agents.give(
        f"import os, time\nprint('one')\nwhile not os.path.exists({str(go)!r}): time.sleep(0.01)\nprint('two')"
    )
    first = agents.start()
    until(lambda: small_yard.log() == "one\n", "the script to start")
    first.kill()
    first.wait()
    small_yard.polls.clear()
    agents.start()
    until(
        lambda: any(poll["running"] == [RUN] for poll in small_yard.polls), "the next agent to know the run"
    )
    go.touch()
    until(lambda: small_yard.status == "Completed", "the run to complete")
    assert small_yard.log() == "one\ntwo\n"


def test_a_run_whose_host_was_killed_is_failed_by_another_host(agents, small_yard, until):
    agents.give("import time; print('one'); time.sleep(600)")
    agents.start()
    until(
        lambda: small_yard.log() == "one\n" and (agents.directory / "host.json").exists(),
        "the script to start",
    )
    os.kill(json.loads((agents.directory / "host.json").read_bytes())["pid"], signal.SIGKILL)
    until(lambda: small_yard.status == "Failed", "the run to fail")
    assert small_yard.statuses[-1]["error"]["code"] == "LostRunHost"
    assert agents.of_run() == set()


def test_cancel_and_forget_reach_the_run_host(agents, small_yard, until):
    agents.give("import time; print('one'); time.sleep(600)")
    agents.start()
    until(lambda: small_yard.log() == "one\n", "the script to start")
    agents.send(NodeWork(cancel=[RUN]))
    until(lambda: small_yard.status == "Canceled", "the run to be cancelled")
    assert agents.of_run() == set()


def test_a_forgotten_run_ends_without_a_word(agents, small_yard, until):
    agents.give("import time; print('one'); time.sleep(600)")
    agents.start()
    until(lambda: small_yard.log() == "one\n", "the script to start")
    agents.send(NodeWork(forget=[RUN]))
    until(lambda: (agents.directory / "exit.json").exists(), "the run host to end")
    assert [s["status"] for s in small_yard.statuses] == ["Starting", "Running"]
    assert agents.of_run() == set()


def test_an_agent_waits_for_a_yard_that_is_not_there_yet(agents, small_yard, until):
    small_yard.close()
    agents.give("print('hello')")
    agents.start()
    until(lambda: (agents.home / "node" / "machine.json").exists(), "the agent to be up")
    small_yard.open()
    until(lambda: small_yard.status == "Completed", "the run to complete")


def test_a_snapshot_the_yard_does_not_have_fails_the_run_in_its_words(agents, small_yard, until):
    agents.give("print('hello')")
    small_yard.refused["snapshots/tree"] = "no_such_snapshot"
    agents.start()
    until(lambda: small_yard.status == "Failed", "the run to fail")
    assert "no_such_snapshot" in small_yard.statuses[-1]["error"]["message"]


def test_an_environment_that_can_not_be_had_fails_the_run_with_its_code(agents, small_yard, until):
    from modelyard.wire.environments import EnvironmentSpec, PythonSpec

    agents.give("print('hello')")
    work = small_yard.work[0]
    missing = EnvironmentSpec(python=PythonSpec(user_managed=True, interpreter_path="/nowhere/python"))
    work["starts"][0]["environment"] = codec.to_json(missing)
    agents.start()
    until(lambda: small_yard.status == "Failed", "the run to fail")
    assert small_yard.statuses[-1]["error"]["code"] == "EnvironmentError"
    assert "/nowhere/python" in small_yard.statuses[-1]["error"]["message"]
