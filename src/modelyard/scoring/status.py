"""`status.json`: how a service is doing, in v1's states and in words."""

from __future__ import annotations

import json
import os
from typing import Any, Dict, List, Optional

from modelyard.scoring.config import ServiceConfig
from modelyard.scoring.replica import Replica

CRASH_LOOP = 3  # crashes within the keeper's window that make a service Unhealthy though others answer


class Outlook:
    """What the keeper knows besides its replicas."""

    def __init__(self) -> None:
        self.error: Optional[Dict[str, str]] = None  # ServiceError of the wanted revision
        self.config_error = ""
        self.port_error = ""
        self.last_crash = ""
        self.crashes = 0  # lately
        self.has_given_up = False  # on the wanted revision
        self.stopping = False


def service_status(
    wanted: Optional[ServiceConfig],
    active: Optional[ServiceConfig],
    replicas: List[Replica],
    outlook: Outlook,
    port: int,
) -> Dict[str, Any]:
    """All of status.json but the telemetry."""
    ready = [r for r in replicas if r.state == "ready"]
    serving = [r for r in ready if active is not None and r.digest == active.digest]
    state, reason, error = _state(wanted, active, len(serving), len(replicas), outlook)
    return {
        "state": state,
        "reason": reason,
        "revision": wanted.revision if wanted is not None else 0,
        "active_revision": active.revision if active is not None and serving else None,
        "port": port,
        "pid": os.getpid(),
        "replicas": [
            {
                "pid": r.pid,
                "ready": r.state == "ready",
                "state": r.state,
                "is_current": wanted is not None and r.digest == wanted.digest,
            }
            for r in replicas
        ],
        "error": error,
        "swagger": next((r.swagger for r in serving if r.swagger), None),
    }


def _state(
    wanted: Optional[ServiceConfig],
    active: Optional[ServiceConfig],
    serving: int,
    running: int,
    outlook: Outlook,
) -> tuple[str, str, Optional[Dict[str, str]]]:
    if outlook.stopping:
        return ("Transitioning", "Stopping.", None) if running else ("Stopped", "", None)
    if outlook.config_error:
        error = service_error("Crashed", outlook.config_error)
        return ("Healthy" if serving else "Failed"), outlook.config_error, error
    if wanted is None:
        return "Transitioning", "Starting.", None
    if outlook.port_error:
        error = service_error("PortTaken", outlook.port_error)
        return ("Healthy" if serving else "Failed"), outlook.port_error, error
    if active is not None and active.digest == wanted.digest:
        return _state_of_active(serving, wanted.replicas, outlook)
    if outlook.has_given_up:
        message = outlook.error["message"] if outlook.error else ""
        if active is not None and serving:
            words = "Revision {} did not start; revision {} goes on answering. {}"
            return "Healthy", words.format(wanted.revision, active.revision, message), outlook.error
        return "Failed", message, outlook.error
    return "Transitioning", f"Revision {wanted.revision} is starting.", outlook.error


def _state_of_active(
    serving: int, replicas: int, outlook: Outlook
) -> tuple[str, str, Optional[Dict[str, str]]]:
    if serving >= replicas and outlook.crashes < CRASH_LOOP:
        return "Healthy", "", None
    words = f"{min(serving, replicas)} of {replicas} replicas answer."
    if outlook.crashes:
        words += f" {outlook.crashes} crashes in the last minute. {outlook.last_crash}"
    if not serving and not outlook.crashes:
        return "Transitioning", "Starting.", None
    if not serving or outlook.crashes >= CRASH_LOOP:
        return "Unhealthy", words, outlook.error or service_error("Crashed", words)
    return "Healthy", words, None


def service_error(code: str, message: str) -> Dict[str, str]:
    return {"code": code, "message": message, "line": "", "traceback": ""}


def write_json(path: str, value: Any) -> None:
    """Whole or not at all; readable by the owner only, as it may hold keys."""
    temporary = path + ".new"
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as f:
            json.dump(value, f)
        os.replace(temporary, path)
    except OSError:
        pass  # a full disk must not end the service; the next write tells what this one could not
