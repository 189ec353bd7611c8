"""Reads out of a script's log why it failed, in the words and with the line of the script itself."""

from __future__ import annotations

import itertools
import os
import re
import signal
from dataclasses import dataclass
from pathlib import Path

from modelyard.wire.runs import RunError

_TAIL_BYTES = 256 * 1024
_HEADER = "Traceback (most recent call last):"
_FRAME = re.compile(r'^\s*File "(?P<file>[^"]+)", line (?P<line>\d+)')
_RAISED = re.compile(r"^[A-Za-z_][\w.]*(?::|$)")
_GROUP_HEADER = "  + Exception Group Traceback (most recent call last):"
_GROUP_MARGIN = re.compile(r"^\s+[|+] ?")
_IS_GROUP = re.compile(r"\(\d+ sub-exceptions?\)$")
_MOST_TRACEBACK = 16_000  # characters kept of one traceback
_MOST_LINES_AFTER = 30  # output of atexit handlers and destructors may follow a traceback
_MOST_MESSAGE = 2_000


@dataclass(frozen=True)
class Traceback:
    line: str  # `train.py:42: ValueError: …`
    text: str


def of_exit(code: int, log: Path, code_dir: Path) -> RunError | None:
    """Why a script that ended with `code` (negative: by that signal) failed; None for 0."""
    if code == 0:
        return None
    lines = _tail(log)
    if code < 0:
        return RunError("UserError", _signal_words(-code))
    found = _last_traceback(lines, code_dir, near_end_only=code != 1)
    if found is not None:
        return RunError(
            "UserError", f"The script ended with exit code {code}: {found.line}", found.line, found.text
        )
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    said = f" Its last line: {last[:_MOST_MESSAGE]}" if last else " It printed nothing."
    return RunError("UserError", f"The script ended with exit code {code}.{said}")


def _signal_words(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    hint = ""
    if name == "SIGKILL":
        hint = " The system does this to a process when memory runs out; look at the run's system/memory metrics."
    elif name in ("SIGSEGV", "SIGBUS", "SIGILL"):
        hint = " That is a crash in native code; `faulthandler.enable()` in the script shows where."
    return f"The script was ended by {name}.{hint}"


def _tail(log: Path) -> list[str]:
    try:
        with open(log, "rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - _TAIL_BYTES))
            return file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return []


def _last_traceback(lines: list[str], code_dir: Path, near_end_only: bool) -> Traceback | None:
    headers = (_HEADER, _GROUP_HEADER)
    start = next((i for i in range(len(lines) - 1, -1, -1) if lines[i].startswith(headers)), None)
    if start is not None and lines[start].startswith(_GROUP_HEADER):
        return _group(lines[start:], code_dir)
    if start is None:
        start = _syntax_error(lines)
    if start is None:
        return None
    raised = next((i for i in range(start + 1, len(lines)) if _RAISED.match(lines[i])), None)
    if raised is None:
        return None
    end = raised + 1
    while end < len(lines) and lines[end].strip() and not _FRAME.match(lines[end]) and end - raised < 20:
        end += 1
    # Only an uncaught error makes the exit code 1; with another code the log must end with the traceback itself.
    after, allowed = (lines[raised + 1 :], 0) if near_end_only else (lines[end:], _MOST_LINES_AFTER)
    if len([line for line in after if line.strip()]) > allowed:
        return None
    return _traceback(lines[start:end], _place(lines[start:raised], code_dir), lines[raised])


def _traceback(lines: list[str], where: str, said: str) -> Traceback:
    text = "\n".join(lines)
    if len(text) > _MOST_TRACEBACK:
        text = text[: _MOST_TRACEBACK // 2] + "\n…\n" + text[-_MOST_TRACEBACK // 2 :]
    said = said.strip()[:_MOST_MESSAGE]
    return Traceback(f"{where}: {said}" if where else said, text)


def _group(lines: list[str], code_dir: Path) -> Traceback | None:
    """Of an exception group the first exception in it that is none itself says what failed, and where.

    `lines`: from the group's header on. The others are in the text.
    """
    shown = list(itertools.takewhile(_GROUP_MARGIN.match, lines))
    inner = [_GROUP_MARGIN.sub("", line) for line in shown]
    raised = [i for i, line in enumerate(inner) if _RAISED.match(line)]
    if not raised or len([line for line in lines[len(shown) :] if line.strip()]) > _MOST_LINES_AFTER:
        return None
    first = next((i for i in raised if not _IS_GROUP.search(inner[i])), raised[0])
    said = inner[first] if first == raised[0] else f"{inner[first]} (in {inner[raised[0]]})"
    return _traceback(shown, _place(inner[:first], code_dir), said)


def _syntax_error(lines: list[str]) -> int | None:
    """A script that does not compile is reported without a header: its frame, the source line, a caret, the error."""
    for i in range(len(lines) - 1, -1, -1):
        if lines[i].startswith("  File ") and _FRAME.match(lines[i]):
            return i
    return None


def _place(lines: list[str], code_dir: Path) -> str:
    """`file:line` of the last frame in the run's own code, else of the last frame at all."""
    roots = {os.path.realpath(code_dir) + os.sep, str(code_dir) + os.sep}
    last = ""
    own = ""
    for line in lines:
        frame = _FRAME.match(line)
        if not frame:
            continue
        file, number = frame["file"], frame["line"]
        last = f"{os.path.basename(file)}:{number}"
        if not os.path.isabs(file):
            own = f"{file}:{number}"
        for root in roots:
            if file.startswith(root):
                own = f"{file[len(root) :]}:{number}"
    return own or last
