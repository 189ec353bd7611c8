"""Reads a pip requirements file strictly: a line that is not understood is named with its file and number."""

from __future__ import annotations

import os
import re
from typing import Iterator, List, Tuple

from modelyard import errors
from modelyard.wire import requirement_lines as lines

_INCLUDED = re.compile(r"(?:-r|--requirement)(?:\s+|=|(?<=-r))(.+)")


def read(path: str) -> Tuple[List[str], List[str]]:
    """(requirements, pip options) of a file and of those it includes with -r, as pip reads them.

    Raises UserErrorException: `file:line: 'text' is …`.
    """
    return _read(os.path.normpath(os.fspath(path)), ())


def _read(name: str, within: Tuple[str, ...]) -> Tuple[List[str], List[str]]:
    try:
        with open(name, encoding="utf-8-sig") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise errors.UserErrorException(f"{name} can't be read: {reason}.") from error
    requirements: List[str] = []
    options: List[str] = []
    for number, line in _logical(text):
        included = _INCLUDED.fullmatch(line)
        if included:
            other = os.path.normpath(os.path.join(os.path.dirname(name), included.group(1).strip("'\"")))
            if other in (name, *within):
                raise errors.UserErrorException(f"{name}:{number}: {other} includes itself.")
            if not os.path.isfile(other):
                raise errors.UserErrorException(
                    f"{name}:{number}: {other} can't be read: there is no such file."
                )
            inner = _read(other, (name, *within))
            requirements += inner[0]
            options += inner[1]
            continue
        is_option = lines.is_option(line) and lines.split_option(line)[0] in lines.PIP_OPTIONS
        problem = lines.option_problem(line) if is_option else lines.requirement_problem(line)
        if problem:
            raise errors.UserErrorException(f"{name}:{number}: {lines.shown(line)} {problem}.")
        (options if is_option else requirements).append(line)
    return requirements, options


def _logical(text: str) -> Iterator[Tuple[int, str]]:
    """Lines with their numbers, without comments, those that end in a backslash joined with the next."""
    held, began = "", 0
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), start=1):
        began = began or number
        if line.endswith("\\") and not line.lstrip().startswith("#"):
            held += line[:-1] + " "
            continue
        whole = re.sub(r"(^|\s+)#.*$", "", held + line).strip()
        if whole:
            yield began, " ".join(whole.split())
        held, began = "", 0
    if held.strip():
        yield began, " ".join(held.split())
