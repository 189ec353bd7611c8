"""`logs/scoring.log`: everything the replicas print, and what the keeper did. One older file is kept."""

from __future__ import annotations

import os
import time

MAX_BYTES = 32 * 1024 * 1024


class LogFile:
    """Opened for appending; replicas write to the same file by themselves, so it outlives the keeper."""

    def __init__(self, path: str, max_bytes: int = MAX_BYTES) -> None:
        self.path = path
        self.max_bytes = max_bytes
        os.makedirs(os.path.dirname(path), exist_ok=True)
        self.descriptor = self._open()

    def _open(self) -> int:
        return os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def say(self, words: str) -> None:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        try:
            os.write(self.descriptor, f"{stamp} keeper: {words}\n".encode("utf-8", "replace"))
        except OSError:
            pass  # a full disk must not end the service

    def rotate_if_large(self) -> bool:
        """Move a large file to `<path>.1`. True: the replicas have to open the new one."""
        try:
            if os.fstat(self.descriptor).st_size <= self.max_bytes:
                return False
            os.replace(self.path, self.path + ".1")
            fresh = self._open()
        except OSError:
            return False
        os.close(self.descriptor)
        self.descriptor = fresh
        return True
