"""Processes: known again by their start, found by descent or by their mark, ended to the last."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from modelyard import machine
from modelyard.node import processes, sampling

MARK = f"of-{os.getpid()}"  # of this suite alone, whatever else the machine runs
SLEEP = "import time; print(1, flush=True); time.sleep(600)"


@pytest.fixture
def child():
    started = subprocess.Popen(
        [sys.executable, "-c", SLEEP], stdout=subprocess.PIPE, env={**os.environ, "MARK": MARK}
    )
    started.stdout.readline()
    yield started
    started.kill()
    started.wait()
    started.stdout.close()


def test_a_process_is_known_by_pid_and_start(child):
    start = processes.started(child.pid)
    assert start
    assert processes.is_same(child.pid, start)
    assert not processes.is_same(child.pid, start + "0")
    assert not processes.is_same(os.getpid(), start)
    os.kill(child.pid, signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, and not yet waited for
    assert processes.started(child.pid) == ""


def test_members_are_found_by_descent_and_by_mark(child):
    assert child.pid in processes.tree(os.getpid(), "")
    assert processes.tree(-1, f"MARK={MARK}") == {child.pid}
    assert processes.tree(-1, f"MARK={MARK[:-1]}") == set()


def test_a_sample_of_the_machine_has_cpu_memory_disk_network_and_the_processes(child, tmp_path):
    sampler = sampling.Sampler(tmp_path, lambda: {child.pid})
    began = time.process_time()
    while time.process_time() - began < 0.05:
        pass
    found = sampler.sample()
    assert 0 <= found["system/cpu_percent"] <= 100
    assert found["system/memory_used_bytes"] > 0
    assert found["system/process_memory_bytes"] > 1_000_000
    assert found["system/process_count"] == 1
    assert "system/disk_used_bytes" in found
    record = machine.record()
    assert record["cores"] >= 1
    assert record["memory_bytes"] > 0
