"""kill -9 of server, agent, run host and user script at random moments of a load: nothing acknowledged is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import load
import pytest
from services import wait_until


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    (tmp_path / "ledger").mkdir()
    return tmp_path / "ledger"


def submit_many(workspace: Any, source: Path, ledger: Path, count: int, seconds: float) -> list[str]:
    return [
        load.submit(
            workspace, source, load.SCRIPT, [seconds, str(ledger), "model" if i % 10 == 0 else "-"]
        ).id
        for i in range(count)
    ]


@pytest.mark.timeout(600)
def test_nothing_is_lost_or_doubled_when_everything_is_killed_at_random(
    own_yard: Any, workspace: Any, tmp_path: Path, ledger: Path
) -> None:
    nemesis = load.Nemesis(own_yard, ["server", "agent", "host", "script"], seed=7, every_s=(0.3, 2.0))
    registering = load.Registering(workspace, tmp_path / "models", "loaded")
    nemesis.start()
    registering.start()
    try:
        run_ids = submit_many(workspace, tmp_path / "source", ledger, 200, 0.3)
        load.wait_all_final(workspace, run_ids[:170], 400)
    finally:
        nemesis.stop()
        registering.stop()
    runs = load.wait_all_final(workspace, run_ids, 100)
    assert len({run.number for run in runs.values()}) == 200
    for run in runs.values():
        load.check(workspace, run, nemesis.killed, ledger)
    registering.check(tmp_path / "fetched")
    killed = nemesis.killed
    assert all([killed.servers, killed.agents, killed.hosts, killed.scripts]), killed
    assert len(registering.acknowledged) > 20


@pytest.mark.timeout(120)
def test_runs_go_on_while_the_server_is_down_and_are_adopted_again(
    own_yard: Any, workspace: Any, tmp_path: Path, ledger: Path
) -> None:
    run_ids = submit_many(workspace, tmp_path / "source", ledger, 3, 2.0)
    wait_until(lambda: all("0" in load.ledger(ledger, r) for r in run_ids), "the runs to start", 60)
    load.kill(load.server_pid(own_yard.home))
    load.kill(load.agent_pid(own_yard.home))
    wait_until(
        lambda: all("outputs" in load.ledger(ledger, r) for r in run_ids),
        "the scripts to go on without server and agent",
        60,
    )
    own_yard.up()
    for run in load.wait_all_final(workspace, run_ids, 60).values():
        load.check(workspace, run, load.Killed(), ledger)


TREE = """
import os, subprocess, sys, time
from modelyard import Run
run = Run.get_context()
child = "import os, sys, time\\nos.setsid()\\nprint('child', os.getpid(), flush=True)\\ntime.sleep(600)"
subprocess.Popen([sys.executable, "-c", child])
for i in range(100000):
    run.log("step", i)
    print("line", i, flush=True)
    time.sleep(0.05)
"""


@pytest.mark.timeout(120)
def test_a_lost_run_host_ends_the_run_as_failed_with_the_reason_and_keeps_what_was_said(
    own_yard: Any, workspace: Any, tmp_path: Path
) -> None:
    run = load.submit(workspace, tmp_path / "source", TREE)
    directory = own_yard.home / "node" / "runs" / run.id
    log = directory / "user_logs" / "std_log.txt"
    wait_until(
        lambda: log.exists() and "line 2" in log.read_text() and "child" in log.read_text(),
        "the script to say something",
        60,
    )
    host = load.host_record(directory)
    child = int(log.read_text().partition("child ")[2].split()[0])
    load.kill(host["pid"])
    assert load.wait_status(run, *load.FINAL) == "Failed"
    assert "run host" in str(run.get_details()["error"])
    assert load.std_log(run)[:3] == ["line 0", "line 1", "line 2"]
    assert run.get_metrics()["step"][:3] == [0, 1, 2]
    for pid in (host["script"], child):
        wait_until(lambda pid=pid: load.is_gone(pid), "the script's tree to be gone", 30)


@pytest.mark.timeout(120)
def test_down_in_the_middle_of_runs_leaves_them_to_the_next_yard(
    own_yard: Any, workspace: Any, tmp_path: Path, ledger: Path
) -> None:
    run_ids = submit_many(workspace, tmp_path / "source", ledger, 6, 1.5)
    wait_until(lambda: "0" in load.ledger(ledger, run_ids[0]), "the first run to start", 60)
    said = own_yard.cli("down").stdout
    assert "Going on without it" in said
    own_yard.up()
    for run in load.wait_all_final(workspace, run_ids, 90).values():
        load.check(workspace, run, load.Killed(), ledger)
