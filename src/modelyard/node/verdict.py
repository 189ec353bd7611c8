"""How a run ends: settled once, on disk, then told until the yard has it."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from modelyard.node import records
from modelyard.node.records import RunDir
from modelyard.wire import codec
from modelyard.wire.runs import RunError, RunStatus

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Verdict:
    """`status` None: nothing is to be told, because the run belongs to another run host or was deleted."""

    status: RunStatus | None
    at: float
    reason: str = ""
    exit_code: int | None = None
    error: RunError | None = None

    def write(self, directory: RunDir) -> None:
        """Settle it: a run host that comes later tells this and nothing else."""
        try:
            records.write(directory.verdict, self)
        except OSError as error:  # a full disk here need not keep the yard from hearing it
            log.error("the verdict could not be written down: %s", error)

    @classmethod
    def read(cls, directory: RunDir) -> Verdict | None:
        value = records.read(directory.verdict)
        if not isinstance(value, dict):
            return None
        try:
            status, error = value["status"], value["error"]
            return cls(
                RunStatus(status) if status else None,
                float(value["at"]),
                str(value["reason"]),
                value["exit_code"],
                codec.from_json(RunError, error) if error else None,
            )
        except (KeyError, ValueError, TypeError):
            return None


def failed(at: float, code: str, message: str) -> Verdict:
    return Verdict(RunStatus.FAILED, at, reason=message, error=RunError(code, message))
