"""Runs that fall silent: NotResponding, back with a late sign of life, Failed with the reason when none comes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import load
import pytest
from services import wait_until

INTERACTIVE = """
import time
from modelyard import Experiment, Workspace
run = Experiment(Workspace.get("default"), "interactive").start_logging()
child = run.child_run("part")
for i in range(5):
    run.log("step", i)
run.flush()
print(run.id, flush=True)
while True:
    time.sleep(0.1)
"""


@pytest.fixture
def workspace(own_yard: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A yard that takes silence for loss within seconds."""
    own_yard.env.update({"MODELYARD_LEASE_S": "6", "MODELYARD_LOST_AFTER_S": "4", "MODELYARD_SLOTS": "4"})
    own_yard.up()
    monkeypatch.setenv("MODELYARD_HOME", str(own_yard.home))
    from modelyard import Workspace

    return Workspace.get("default")


def interactive(own_yard: Any) -> tuple[subprocess.Popen[str], str]:
    program = subprocess.Popen(
        [sys.executable, "-c", INTERACTIVE], env=own_yard.env, stdout=subprocess.PIPE, text=True
    )
    assert program.stdout is not None
    return program, program.stdout.readline().strip()


@pytest.mark.timeout(120)
def test_interactive_runs_whose_process_is_killed_fail_and_a_stopped_one_comes_back(
    own_yard: Any, workspace: Any
) -> None:
    killed, killed_id = interactive(own_yard)
    stopped, stopped_id = interactive(own_yard)
    try:
        killed.kill()
        stopped.send_signal(signal.SIGSTOP)
        run, sleeper = workspace.get_run(killed_id), workspace.get_run(stopped_id)
        assert run.get_status() == "Running"
        load.wait_status(sleeper, "NotResponding", timeout_s=40)
        stopped.send_signal(signal.SIGCONT)
        load.wait_status(sleeper, "Running", timeout_s=20)
        load.wait_status(run, "Failed", timeout_s=40)
        assert "no sign of life" in str(run.get_details()["error"])
        assert run.get_metrics()["step"] == [0, 1, 2, 3, 4]
        (child,) = run.get_children()
        assert child.get_status() in load.FINAL
        assert sleeper.get_status() == "Running"
    finally:
        for program in (killed, stopped):
            program.kill()
            program.communicate()
    load.wait_status(sleeper, "Failed", timeout_s=40)


@pytest.mark.timeout(120)
def test_a_run_whose_node_is_gone_does_not_stay_running_and_its_tree_is_ended_when_the_node_is_back(
    own_yard: Any, workspace: Any, tmp_path: Path
) -> None:
    script = "import time\nprint('line 0', flush=True)\nwhile True:\n    time.sleep(0.1)\n"
    run = load.submit(workspace, tmp_path / "source", script)
    load.wait_status(run, "Running")
    directory = own_yard.home / "node" / "runs" / run.id
    wait_until(lambda: "script" in load.host_record(directory), "the host's record")
    host = load.host_record(directory)
    agent = load.agent_pid(own_yard.home)
    # Stopped, not killed: nobody starts them anew, as if the machine were cut off.
    for pid in (agent, host["pid"]):
        os.kill(pid, signal.SIGSTOP)
    try:
        load.wait_status(run, "NotResponding", timeout_s=40)
        load.wait_status(run, "Failed", timeout_s=40)
        assert "no sign of life" in str(run.get_details()["error"])
    finally:
        for pid in (agent, host["pid"]):
            os.kill(pid, signal.SIGCONT)
    wait_until(lambda: load.is_gone(host["script"]) and load.is_gone(host["pid"]), "the tree to be ended", 40)
    assert run.get_status() == "Failed"
