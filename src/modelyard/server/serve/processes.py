"""Naming a process so that a recycled pid is never mistaken for it, and ending one."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress


def start_time(pid: int) -> str:
    """A word that changes when the pid is used again, also over a reboot; empty without such a process.

    The node's records use the same form, so that either side can tell who lives.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The name in parentheses may hold anything, so count fields after the last closing one.
            fields = file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return "" if os.path.isdir("/proc/self") else _start_time_by_ps(pid)
    if fields[0] in (b"Z", b"X"):
        return ""  # dead, and only not yet waited for
    return f"{_boot_id()}:{fields[19].decode()}"


def _boot_id() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read(8)
    except OSError:
        return "0"


def _start_time_by_ps(pid: int) -> str:
    """The same for systems without /proc (macOS)."""
    done = subprocess.run(
        ["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


def command_line(pid: int) -> list[str]:
    """The arguments a process was started with; empty when there is no such process."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return [os.fsdecode(a) for a in file.read().split(b"\0")[:-1]]
    except (FileNotFoundError, ProcessLookupError):
        done = subprocess.run(
            ["ps", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False
        )
        return done.stdout.split()


def is_alive(pid: int, start: str) -> bool:
    """Whether the process that had this pid and start time still runs."""
    return pid > 0 and bool(start) and start_time(pid) == start


def end(pid: int, start: str, grace_s: float) -> bool:
    """SIGTERM, then SIGKILL after `grace_s`; returns when it is gone. False when it was not there."""
    if not is_alive(pid, start):
        return False
    for sign, wait_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, 5.0)):
        with suppress(ProcessLookupError):
            os.kill(pid, sign)
        deadline = time.monotonic() + wait_s
        while is_alive(pid, start):
            if time.monotonic() > deadline:
                break
            _reap(pid)
            time.sleep(0.01)
        else:
            return True
    return True


def _reap(pid: int) -> None:
    """Wait for it where it is our own child, so that it does not stay a zombie."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
