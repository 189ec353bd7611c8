"""The yard's second start, and what it takes while idle: server, agent and everything below them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

RUNS = 5


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="my-bench-") as home:
        environ = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        environ["MODELYARD_HOME"] = home

        def cli(*arguments: str) -> None:
            command = [sys.executable, "-m", "modelyard", *arguments]
            subprocess.run(
                command, env=environ, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )

        record = Path(home, "yard.json")
        cli("up", "--detach", "--port", "0")  # the first start makes the database and the byte code
        try:
            cli("down")
            seconds = []
            for _ in range(RUNS):
                begin = time.monotonic()
                cli("up", "--detach", "--port", "0")
                url = json.loads(record.read_text())["url"]
                with urllib.request.urlopen(f"{url}/health", timeout=10) as answer:
                    assert answer.status == 200
                seconds.append(time.monotonic() - begin)
                cli("down")
            cli("up", "--detach", "--port", "0")
            _settle(home)
            members = _members(home)
            memory = sum(_pss_bytes(pid) for pid in members) / 1024**2
        finally:
            cli("down", "--all")
    version = _version()
    return _tell(
        (
            "up_to_health",
            min(seconds),
            "s",
            1.0,
            {"all": [round(s, 3) for s in seconds], "mlflow server": 9.0},
            version,
        ),
        ("idle_memory", memory, "MiB Pss", 200.0, {"mlflow server": 2252.8}, version),
        ("idle_processes", float(len(members)), "processes", 3.0, {"mlflow server": 15}, version),
    )


def _settle(home: str) -> None:
    """Wait until the agent is there and the set of processes stays the same."""
    before: set[int] = set()
    same_since = time.monotonic()
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        now = _members(home)
        if now != before:
            before, same_since = now, time.monotonic()
        if Path(home, "node", "agent.json").exists() and time.monotonic() - same_since > 3:
            return
        time.sleep(0.2)


def _members(home: str) -> set[int]:
    """Every process that was started for this home: the variable is inherited by all of them."""
    mark = f"MODELYARD_HOME={home}".encode()
    arguments = home.encode()
    found = set()
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            environ = Path("/proc", name, "environ").read_bytes().split(b"\0")
            command = Path("/proc", name, "cmdline").read_bytes()
        except OSError:
            continue
        if mark in environ or arguments in command:
            found.add(int(name))
    return found


def _pss_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def _version() -> dict[str, str]:
    import platform
    from importlib.metadata import version

    return {
        "modelyard": version("modelyard"),
        "uvicorn": version("uvicorn"),
        "python": platform.python_version(),
    }


def _tell(*claims: tuple[str, float, str, float, dict[str, object], dict[str, str]]) -> int:
    for claim, value, unit, bar, against, versions in claims:
        line = {
            "claim": claim,
            "value": round(value, 3),
            "unit": unit,
            "bar": f"<= {bar:g}" if unit == "processes" else f"< {bar:g}",
            "holds": value <= bar if unit == "processes" else value < bar,
            "against": against,
            "versions": versions,
        }
        print(json.dumps(line), flush=True)
    return 0 if all(value <= bar for _, value, _, bar, _, _ in claims) else 1


if __name__ == "__main__":
    sys.exit(main())
