"""Small durable JSON files, and the layout of a run's directory on a node."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelyard.wire import codec
from modelyard.wire.compute import RunAssignment


def write(path: Path, value: Any, durable: bool = True, mode: int = 0o600) -> None:
    """Replace `path` by the JSON of `value` in one step; with `durable` it is on disk when this returns."""
    replace(path, codec.dumps(value), durable, mode)


def replace(path: Path, content: bytes, durable: bool = True, mode: int = 0o600) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(3).hex()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    if durable:
        sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read(path: Path) -> Any:
    """The JSON value in `path`, or None where there is no file or it does not hold JSON."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in `path`; empty where there is none."""
    value = read(path)
    return value if isinstance(value, dict) else {}


def lock(path: Path) -> int | None:
    """Hold `path` exclusively for the life of this process; None if another process holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def is_locked(path: Path) -> bool:
    """Whether a living process holds `path`."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


@dataclass(frozen=True)
class RunDir:
    """`node/runs/<run id>`: what the agent and the run host of one run keep, and how far they are.

    assignment.json   what to run; written before anything else
    prepared.json     environment and code are ready
    host.json         a run host took over; from here on the script is never started a second time
    verdict.json      how the run ends, known but not yet told
    exit.json         told; nothing left to do
    cancel, forget    empty marks the agent leaves for the run host beside SIGTERM
    """

    path: Path

    @property
    def home(self) -> Path:
        return self.path.parent.parent.parent

    @property
    def run_id(self) -> str:
        return self.path.name

    @property
    def assignment(self) -> Path:
        return self.path / "assignment.json"

    @property
    def prepared(self) -> Path:
        return self.path / "prepared.json"

    @property
    def host(self) -> Path:
        return self.path / "host.json"

    @property
    def host_lock(self) -> Path:
        return self.path / "host.lock"

    @property
    def verdict(self) -> Path:
        return self.path / "verdict.json"

    @property
    def exit(self) -> Path:
        return self.path / "exit.json"

    @property
    def cancel(self) -> Path:
        return self.path / "cancel"

    @property
    def forget(self) -> Path:
        return self.path / "forget"

    @property
    def code(self) -> Path:
        return self.path / "code"

    @property
    def journal(self) -> Path:
        return self.path / "journal"

    @property
    def user_logs(self) -> Path:
        return self.path / "user_logs"

    @property
    def std_log(self) -> Path:
        return self.user_logs / "std_log.txt"

    @property
    def node_logs(self) -> Path:
        return self.path / "azureml-logs"

    def read_assignment(self) -> RunAssignment | None:
        value = read(self.assignment)
        try:
            return codec.from_json(RunAssignment, value) if value is not None else None
        except codec.DecodeError:
            return None
