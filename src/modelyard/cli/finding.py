"""One thing that `modelyard doctor` has looked at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

OK, NOTE, BROKEN = "ok", "note", "broken"


@dataclass(frozen=True)
class Finding:
    """`note` is worth knowing and harms nothing; `broken` keeps the yard or a part of it from working."""

    what: str
    state: str
    detail: str
    next: str = ""


def first_line(error: BaseException) -> str:
    text = str(getattr(error, "detail", None) or error) or type(error).__name__
    return text.splitlines()[0]


def checked(
    what: str, check: Callable[[], str], mend: str, errors: tuple[type[BaseException], ...]
) -> Finding:
    """OK with what `check` says, or broken with what it raised."""
    try:
        return Finding(what, OK, check())
    except errors as error:
        return Finding(what, BROKEN, first_line(error), mend)
