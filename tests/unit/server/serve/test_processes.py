"""Who a process is, and ending it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from services import wait_until

from modelyard.node import processes as node_processes
from modelyard.server.serve import processes

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


def test_this_process_is_alive_and_another_start_is_not() -> None:
    start = processes.start_time(os.getpid())
    assert processes.is_alive(os.getpid(), start)
    assert not processes.is_alive(os.getpid(), "0:1")
    assert not processes.is_alive(os.getpid(), "")
    assert not processes.is_alive(0, start)


def test_server_and_node_name_a_process_alike() -> None:
    assert processes.start_time(os.getpid()) == node_processes.started(os.getpid())


def test_a_dead_process_that_nobody_waited_for_is_not_alive() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    start = processes.start_time(child.pid)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not processes.is_alive(child.pid, start)
    child.wait()


def test_end_returns_when_the_process_is_gone() -> None:
    child = subprocess.Popen(SLEEP)
    start = processes.start_time(child.pid)
    assert processes.end(child.pid, start, grace_s=10)
    assert not processes.is_alive(child.pid, start)
    assert not processes.end(child.pid, start, grace_s=10)
    child.returncode = -signal.SIGTERM  # `end` has waited for it


def test_a_process_that_ignores_sigterm_is_killed() -> None:
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('set', flush=True); time.sleep(60)"
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    assert processes.end(child.pid, processes.start_time(child.pid), grace_s=0.05)
    assert processes.start_time(child.pid) == ""
    child.stdout.close()
    child.returncode = -signal.SIGKILL


def test_the_command_line_of_a_process_is_told() -> None:
    child = subprocess.Popen(SLEEP)
    try:
        wait_until(lambda: processes.command_line(child.pid) == SLEEP, "the program to be loaded")
    finally:
        child.kill()
        child.wait()
