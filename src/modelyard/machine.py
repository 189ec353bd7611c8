"""What this machine is, as kept with a run: system, Python, cores, memory, graphics cards, installed packages."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import subprocess
import sys
from typing import Any, Dict, List

_GPU_TIMEOUT_S = 5.0
_DISTRIBUTION = (".dist-info", ".egg-info")


def record() -> Dict[str, Any]:
    """Host name, system, Python, cores, memory and graphics cards of this machine."""
    return {
        "hostname": socket.gethostname(),
        "os": platform.platform(terse=True),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_bytes": memory().get("MemTotal", _sysconf_memory()),
        "gpus": [row[0] for row in gpus("name")],
    }


def packages() -> List[str]:
    """`name==version` of every distribution that this Python can import, by the names of their folders."""
    found: Dict[str, str] = {}
    for folder in sys.path:
        try:
            names = os.listdir(folder or ".")
        except OSError:
            continue
        for name in names:
            stem, suffix = os.path.splitext(name)
            project, _, version = stem.partition("-")
            if suffix in _DISTRIBUTION and version:
                # An egg's folder goes on with the Python it is for: name-1.0-py3.7.
                found.setdefault(project.replace("_", "-").lower(), version.partition("-")[0])
    return [f"{name}=={version}" for name, version in sorted(found.items())]


def memory() -> Dict[str, float]:
    """Bytes in all and free, as far as the system tells."""
    found: Dict[str, float] = {}
    for line in text("/proc/meminfo").splitlines():
        name, _, rest = line.partition(":")
        if name in ("MemTotal", "MemAvailable"):
            found[name] = float(rest.split()[0]) * 1024
    return found


def gpus(fields: str) -> List[List[str]]:
    """A row of these fields for each NVIDIA card."""
    if shutil.which("nvidia-smi") is None:
        return []
    command = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=_GPU_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    rows = done.stdout.decode("utf-8", "replace").splitlines()
    return [[cell.strip() for cell in row.split(",")] for row in rows if row.strip()]


def text(path: str) -> str:
    """A file of /proc; empty where there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _sysconf_memory() -> float:
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (ValueError, OSError, AttributeError):
        return 0.0
