"""What is kept beside a built environment: that it is whole, and what is in it."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Marker:
    """Written last, so that an environment without one is half-done and built again from nothing."""

    interpreter: str
    python_version: str
    lock: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read(file: Path) -> Marker | None:
    """None when there is none, or it is of no use (of another version, cut off, its interpreter is gone)."""
    try:
        marker = Marker(**json.loads(file.read_bytes()))
    except (OSError, ValueError, TypeError):
        return None
    return marker if os.path.exists(marker.interpreter) else None


def write(file: Path, marker: Marker) -> None:
    """Durable and at once: a reader sees the whole marker or none."""
    part = file.with_name(f".{file.name}.{os.getpid()}")
    with open(part, "w", encoding="utf-8") as out:
        json.dump(asdict(marker), out)
        out.flush()
        os.fsync(out.fileno())
    os.replace(part, file)
