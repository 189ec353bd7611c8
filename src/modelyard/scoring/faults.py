"""What a user's exception is told as: the failing line of the user's own source, and the traceback."""

from __future__ import annotations

import os
import traceback
from typing import Any, Dict, List, Optional, Tuple


class EntryError(Exception):
    """The entry script is not one: the message says what it lacks."""


def _is_within(path: str, directory: str) -> bool:
    return bool(directory) and os.path.realpath(path).startswith(os.path.realpath(directory) + os.sep)


def failing_line(error: BaseException, source_dir: str) -> str:
    """`score.py:12: KeyError: 'data'`, for the innermost frame inside `source_dir`; without such a frame only
    the exception. The path is relative to `source_dir`."""
    words = _in_one_line(error)
    if isinstance(error, SyntaxError) and error.filename and _is_within(error.filename, source_dir):
        place: Optional[Tuple[str, Optional[int]]] = (error.filename, error.lineno)
    else:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if _is_within(f.filename, source_dir)]
        place = (frames[-1].filename, frames[-1].lineno) if frames else None
    if place is None:
        return words
    relative = os.path.relpath(os.path.realpath(place[0]), os.path.realpath(source_dir))
    return f"{relative}:{place[1]}: {words}"


def _in_one_line(error: BaseException) -> str:
    if isinstance(error, EntryError):
        return str(error)
    lines = traceback.format_exception_only(type(error), error)
    # A syntax error's first lines show its place; other messages may have lines of their own.
    words = lines[-1] if isinstance(error, SyntaxError) else "".join(lines)
    return " ".join(words.split())


def user_traceback(error: BaseException) -> str:
    """The traceback without the frames of the scoring host that lead to the user's code."""
    here = os.path.dirname(os.path.abspath(__file__))
    trace = traceback.TracebackException(type(error), error, error.__traceback__)
    frames: List[Any] = list(trace.stack)
    fewest = 0 if isinstance(error, SyntaxError) else 1  # a syntax error tells its place without a frame
    while len(frames) > fewest and (
        os.path.dirname(os.path.abspath(frames[0].filename)) == here or "importlib" in frames[0].filename
    ):
        frames.pop(0)
    trace.stack[:] = frames
    return "".join(trace.format())


def init_error(error: BaseException, source_dir: str) -> Dict[str, str]:
    """A ServiceError in JSON: the revision cannot start because loading it or `init()` failed."""
    line = failing_line(error, source_dir)
    if isinstance(error, EntryError):  # nothing of the user's has run, so there is no place to show
        return {"code": "InitFailed", "message": line, "line": "", "traceback": ""}
    return {
        "code": "InitFailed",
        "message": f"The entry script failed: {line}",
        "line": line,
        "traceback": user_traceback(error),
    }
