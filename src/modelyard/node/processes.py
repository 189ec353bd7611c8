"""Processes of this machine: who is still the same one, who belongs to a run, and how all of them are ended."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

_LINUX = sys.platform.startswith("linux")
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_LOOK_S = 0.02
_KILL_PATIENCE_S = 10.0  # a process in uninterruptible sleep (a dead NFS mount) must not hold us for ever

_libc = ctypes.CDLL(None, use_errno=True) if _LINUX else None


def adopt_orphans() -> None:
    """Make this process the parent of descendants whose parent dies, so that none escapes by daemonising."""
    if _libc is not None:
        _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with_parent() -> None:
    """Called in a child between fork and exec: SIGKILL comes when the thread that made it is gone."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def started(pid: int) -> str:
    """A word that changes when a process id is used again (also over a reboot); empty if there is no such process."""
    if not _LINUX:
        done = subprocess.run(
            ["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
        )
        return done.stdout.strip()
    fields = _stat(pid)
    if fields is None or fields[0] in ("Z", "X"):
        return ""
    return f"{_boot_id()}:{fields[19]}"


def is_same(pid: int, start: str) -> bool:
    """Whether process `pid` lives and is the one that `started` named `start`."""
    return bool(pid and start) and started(pid) == start


def tree(root: int, mark: str) -> set[int]:
    """Living processes that belong to a run: descendants of `root`, and those with `mark` in their environment.

    The mark (`NAME=value`, inherited by every child) also finds what lost its parents when a run host was killed.
    """
    parents: dict[int, int] = {}
    found: set[int] = set()
    if _LINUX:
        needle = mark.encode() + b"\0"
        for name in os.listdir("/proc"):
            if not name.isdigit():
                continue
            fields = _stat(int(name))
            if fields is None or fields[0] in ("Z", "X"):
                continue
            parents[int(name)] = int(fields[1])
            with contextlib.suppress(OSError):  # gone meanwhile, or somebody else's
                if mark and needle in Path("/proc", name, "environ").read_bytes() + b"\0":
                    found.add(int(name))
    else:
        listing = subprocess.run(
            ["ps", "-axo", "pid=,ppid="], capture_output=True, text=True, check=False
        ).stdout
        parents = {
            int(a): int(b) for a, b in (line.split()[:2] for line in listing.splitlines() if line.strip())
        }
    grown = True
    while grown:
        more = {p for p, parent in parents.items() if (parent == root or parent in found) and p not in found}
        grown = bool(more)
        found |= more
    return found - {os.getpid(), root}


def end(members: Callable[[], set[int]], grace_s: float, reap: Callable[[], None] = lambda: None) -> bool:
    """End all of `members`: SIGTERM, `grace_s` to leave, then SIGKILL until nobody is left.

    False if somebody would not die within a bound.
    """
    told: set[int] = set()
    deadline = time.monotonic() + grace_s
    while time.monotonic() < deadline:
        reap()
        living = members()
        if not living:
            return True
        for pid in living - told:
            send(pid, signal.SIGTERM)
            send(pid, signal.SIGCONT)  # a stopped process could not act on SIGTERM
        told |= living
        time.sleep(_LOOK_S)
    deadline = time.monotonic() + _KILL_PATIENCE_S
    while time.monotonic() < deadline:
        reap()
        living = members()
        if not living:
            return True
        for pid in living:
            send(pid, signal.SIGKILL)
        time.sleep(_LOOK_S)
    return not members()


def send(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _stat(pid: int) -> list[str] | None:
    """Fields of /proc/PID/stat from `state` on; the name before may hold spaces and brackets."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].decode().split()
    except OSError:
        return None


def _boot_id() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read(8)
    except OSError:
        return "0"
