"""The journal of a run: an append-only file of JSON lines (wire/metrics.py), one `os.write` a record.

Atomic between threads and processes by O_APPEND, and whole after a kill of the writer. Inside a run the run
host sends the file on; an interactive run has no run host, so a thread of `sending.py` does it.
"""

from __future__ import annotations

import errno
import os
from typing import Optional

from modelyard import errors

SUFFIX = ".jsonl"


class Journal:
    """One journal file. `source` is the name of its stream in the yard."""

    def __init__(self, directory: str, source: str) -> None:
        self.path = os.path.join(directory, source + SUFFIX)
        self.source = source
        self._fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._is_torn = False

    def write(self, record: bytes) -> None:
        """Append one record, which ends in a newline. Returns when the operating system has it."""
        if self._is_torn:
            record = b"\n" + record  # ends the half line that a full disk left
        try:
            written = os.write(self._fd, record)
        except OSError as error:
            raise self._failed(error) from error
        if written != len(record):
            self._is_torn = True
            raise self._failed(None)
        self._is_torn = False

    def fileno(self) -> int:
        return self._fd

    def size(self) -> int:
        return os.fstat(self._fd).st_size

    def close(self) -> None:
        os.close(self._fd)

    def _failed(self, error: Optional[OSError]) -> errors.AzureMLException:
        if error is None or error.errno == errno.ENOSPC:
            return errors.AzureMLException(
                f"The metric was not logged: no space is left on the disk of {self.path}. "
                "Make room and log again.",
                inner_exception=error,
                code="no_space",
            )
        return errors.AzureMLException(
            f"The metric was not logged: {self.path} can't be written ({error.strerror or error}).",
            inner_exception=error,
            code="journal_failed",
        )
