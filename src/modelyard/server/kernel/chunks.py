"""Pieces of append-only streams (journals, logs) as they come in: at which byte one begins, and its bytes."""

from __future__ import annotations

from modelyard.server.kernel.errors import Invalid, TooLarge
from modelyard.server.kernel.http import Call

_MAX_OFFSET = 2**62  # a chunk's length on top still fits into the database's 64 bits


def check_offset(offset: int) -> int:
    """The offset itself. Raises Invalid for what can't be a byte of a stream."""
    if not 0 <= offset < _MAX_OFFSET:
        raise Invalid("bad_offset", f"offset must be 0 or more, not {offset}.")
    return offset


async def read(call: Call, limit: int) -> bytes:
    """The body of the request. Raises TooLarge as soon as it has more than `limit` bytes."""
    parts: list[bytes] = []
    size = 0
    async for part in call.request.stream():
        size += len(part)
        if size > limit:
            raise TooLarge(
                "chunk_too_large", f"A chunk has at most {limit} bytes; send it in pieces.", limit=limit
            )
        parts.append(part)
    return b"".join(parts)
