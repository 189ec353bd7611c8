"""How this machine is doing: the system metrics of a run."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

from modelyard import machine

_LINUX = sys.platform.startswith("linux")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Sampler:
    """Takes one sample of the machine and of a run's processes each time it is called.

    Rates (per cent, bytes a second) are over the time since the call before. What this system does not tell is left out.
    """

    def __init__(self, directory: Path, members: Callable[[], set[int]]) -> None:
        self._directory = directory
        self._members = members
        self._before = _Counters.read(members() if _LINUX else set())
        self._has_gpu = shutil.which("nvidia-smi") is not None

    def sample(self) -> dict[str, float]:
        found: dict[str, float] = {}
        members = self._members() if _LINUX else set()
        if _LINUX:
            now = _Counters.read(members)
            found.update(now.since(self._before))
            self._before = now
            memory = machine.memory()
            if "MemAvailable" in memory:
                used = memory["MemTotal"] - memory["MemAvailable"]
                found["system/memory_used_bytes"] = used
                found["system/memory_percent"] = round(100 * used / memory["MemTotal"], 2)
            found["system/process_memory_bytes"] = sum(_resident(pid) for pid in members)
            found["system/process_count"] = len(members)
        else:
            found["system/load_1m"] = os.getloadavg()[0]
        disk = shutil.disk_usage(self._directory)
        found["system/disk_used_bytes"] = disk.used
        found["system/disk_percent"] = round(100 * disk.used / disk.total, 2) if disk.total else 0.0
        if self._has_gpu:
            found.update(_gpu_sample())
        return found


class _Counters:
    """Counters that only grow, read at one moment."""

    def __init__(self, at: float, values: dict[str, float], process_cpu: dict[int, float]) -> None:
        self.at = at
        self.values = values
        self.process_cpu = process_cpu

    @classmethod
    def read(cls, members: set[int]) -> _Counters:
        values: dict[str, float] = {}
        fields = [float(f) for f in machine.text("/proc/stat").partition("\n")[0].split()[1:9]]
        if len(fields) >= 5:
            values["cpu_total"] = sum(fields)
            values["cpu_idle"] = fields[3] + fields[4]
        for line in machine.text("/proc/net/dev").splitlines()[2:]:
            name, _, rest = line.partition(":")
            numbers = rest.split()
            if name.strip() != "lo" and len(numbers) >= 9:
                values["received"] = values.get("received", 0) + float(numbers[0])
                values["sent"] = values.get("sent", 0) + float(numbers[8])
        for line in machine.text("/proc/diskstats").splitlines():
            numbers = line.split()
            # Whole devices only: a partition's bytes are in its device's count already.
            if (
                len(numbers) > 9
                and os.path.exists(f"/sys/block/{numbers[2]}")
                and not numbers[2].startswith(("loop", "ram"))
            ):
                values["read"] = values.get("read", 0) + float(numbers[5]) * 512
                values["written"] = values.get("written", 0) + float(numbers[9]) * 512
        return cls(time.monotonic(), values, {pid: _cpu_s(pid) for pid in members})

    def since(self, before: _Counters) -> dict[str, float]:
        seconds = max(self.at - before.at, 1e-3)
        grown = {k: max(0.0, v - before.values[k]) for k, v in self.values.items() if k in before.values}
        found: dict[str, float] = {}
        if grown.get("cpu_total"):
            found["system/cpu_percent"] = round(100 * (1 - grown["cpu_idle"] / grown["cpu_total"]), 2)
        used = sum(max(0.0, v - before.process_cpu.get(pid, 0.0)) for pid, v in self.process_cpu.items())
        found["system/process_cpu_percent"] = round(100 * used / seconds, 2)
        names = {
            "read": "system/disk_read_bytes_per_s",
            "written": "system/disk_write_bytes_per_s",
            "received": "system/network_received_bytes_per_s",
            "sent": "system/network_sent_bytes_per_s",
        }
        found.update({name: round(grown[key] / seconds) for key, name in names.items() if key in grown})
        return found


def _resident(pid: int) -> float:
    fields = machine.text(f"/proc/{pid}/statm").split()
    return float(fields[1]) * _PAGE_BYTES if len(fields) > 1 else 0.0


def _cpu_s(pid: int) -> float:
    fields = machine.text(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return (float(fields[11]) + float(fields[12])) / _TICKS_PER_S if len(fields) > 12 else 0.0


def _gpu_sample() -> dict[str, float]:
    found: dict[str, float] = {}
    for i, row in enumerate(
        machine.gpus("utilization.gpu,memory.used,memory.total,temperature.gpu,power.draw")
    ):
        names = ("percent", "memory_used_bytes", "memory_total_bytes", "temperature_c", "power_w")
        for name, text in zip(names, row, strict=False):
            try:
                value = float(text)
            except ValueError:
                continue  # `[N/A]`: this card does not tell
            found[f"system/gpu_{i}_{name}"] = value * 1024 * 1024 if name.endswith("bytes") else value
    return found
