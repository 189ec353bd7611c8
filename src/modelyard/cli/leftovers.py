"""The runs and web services of a home that go on without their yard, and ending them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from modelyard.server.serve import processes

_CANCEL_PATIENCE_S = 30.0
_GRACE_S = 10.0


def count(home: Path) -> dict[str, int]:
    return {"runs": len(list(_run_hosts(home))), "services": len(list(_keepers(home)))}


def end_processes(home: Path) -> dict[str, int]:
    """End the run hosts and service keepers of this home; they end what they started."""
    return {
        "runs": sum(processes.end(pid, start, _GRACE_S) for pid, start in list(_run_hosts(home))),
        "services": sum(processes.end(pid, start, _GRACE_S) for pid, start in list(_keepers(home))),
    }


def _run_hosts(home: Path) -> Iterator[tuple[int, str]]:
    for file in (home / "node" / "runs").glob("*/host.json"):
        if not file.with_name("exit.json").exists():
            yield from _living(file, "pid", "started")


def _keepers(home: Path) -> Iterator[tuple[int, str]]:
    for file in (home / "node" / "services").glob("*/keeper.json"):
        yield from _living(file, "pid", "started")


def _living(file: Path, pid_key: str, start_key: str) -> Iterator[tuple[int, str]]:
    value = _read(file)
    pid = value.get(pid_key)
    if not isinstance(pid, int):
        return
    start = str(value.get(start_key) or "")
    # A record without a start time counts only while the process is one of ours by its command line.
    now = processes.start_time(pid)
    ours = any("modelyard" in a for a in processes.command_line(pid)) if now else False
    if now and (start == now if start else ours):
        yield pid, now


def _read(file: Path) -> dict[str, Any]:
    try:
        value = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def cancel_runs(url: str, home: Path) -> int:
    """Cancel every run that has not ended, in all workspaces, and wait a while for them to end."""
    from modelyard import errors
    from modelyard._client import Client, path
    from modelyard.wire.runs import RunPage, RunStatus
    from modelyard.wire.workspaces import WorkspaceList

    final = {RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELED}
    active = [s.value for s in RunStatus if s not in final]
    client = Client(url, (home / "owner.token").read_text("utf-8").strip(), patience_s=2.0)

    def living() -> list[tuple[str, str]]:
        names = [w.name for w in client.request("GET", path("workspaces"), kind=WorkspaceList).items]
        return [
            (name, run.id)
            for name in names
            for run in client.request(
                "GET", path("workspaces", name, "runs"), query={"status": active, "limit": 1000}, kind=RunPage
            ).items
        ]

    try:
        found = living()
        for workspace, run_id in found:
            try:
                client.request(
                    "POST", path("workspaces", workspace, "runs", run_id, "cancel"), idempotent=True
                )
            except errors.RequestRefused:
                pass  # it ended meanwhile
        deadline = time.monotonic() + _CANCEL_PATIENCE_S
        while found and living() and time.monotonic() < deadline:
            time.sleep(0.2)
    except errors.AzureMLException:
        return 0  # a yard that can't answer: its processes are ended all the same
    return len(found)
