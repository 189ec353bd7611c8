"""LIKE patterns, in time that grows with the text alone: a pattern comes from anybody."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable


@functools.lru_cache(maxsize=256)
def matcher(pattern: str, any_case: bool) -> Callable[[str], bool]:
    """Whether a text is as the pattern says: `%` is any text, `_` any one character."""
    first, *more = (_piece(piece, any_case) for piece in pattern.split("%"))
    if not more:
        return lambda text: first.fullmatch(text) is not None
    *middle, last = more
    last_length = len(pattern.rsplit("%", 1)[1])

    def matches(text: str) -> bool:
        begun = first.match(text)
        if begun is None:
            return False
        at = begun.end()
        for piece in middle:  # the leftmost place leaves the most for what follows
            found = piece.search(text, at)
            if found is None:
                return False
            at = found.end()
        return len(text) - last_length >= at and last.match(text, len(text) - last_length) is not None

    return matches


def _piece(piece: str, any_case: bool) -> re.Pattern[str]:
    """What stands between two `%`: fixed in length, so nothing is tried twice."""
    return re.compile(re.escape(piece).replace("_", "."), re.DOTALL | (re.IGNORECASE if any_case else 0))
