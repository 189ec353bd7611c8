"""The log of one build: a file that its builder writes, and that those who wait for it read while it grows."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path

_LOOK_S = 0.05


class BuildLock:
    """Held by whoever builds. The kernel lets go of it when the holder and every installer it started have ended."""

    def __init__(self, file: Path) -> None:
        self.fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def take(self) -> bool:
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        os.close(self.fd)


def follow(file: Path, lock: BuildLock, log: Callable[[str], None]) -> None:
    """Pass on another's build log line by line until its lock can be taken; then it is ours."""
    offset, inode, rest = 0, 0, b""
    while True:
        taken = lock.take()
        try:
            with open(file, "rb") as source:
                status = os.fstat(source.fileno())
                if status.st_ino != inode or status.st_size < offset:
                    offset, inode, rest = 0, status.st_ino, b""
                source.seek(offset)
                piece = source.read()
        except FileNotFoundError:
            piece = b""
        offset += len(piece)
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            log(line.decode("utf-8", "replace"))
        if taken:
            return
        time.sleep(_LOOK_S)  # flock has no wait with a second thing to watch
