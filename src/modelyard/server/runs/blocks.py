"""A block of points as it is kept."""

from __future__ import annotations

from typing import NamedTuple

RAW = 0  # the codec of blocks that are only packed


class Block(NamedTuple):
    seq: int
    size: int
    codec: int
    steps: bytes | None
    times_ms: bytes
    values: bytes
