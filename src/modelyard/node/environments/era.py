"""Which Python an environment gets for which nobody chose one, but which pins releases of another age.

A specification of 2020 that pins scikit-learn 0.22 means a Python of 2020 by it: newer ones have no wheel of that
release, and building it from source takes minutes and mostly fails. The oldest Python that has the wheels is taken, as
the packages that are not pinned are then of that age too: scikit-learn 0.22 fails with the numpy of 2023.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from modelyard.node.environments.interpreters import OLDEST_FOR_SDK, Interpreter
from modelyard.wire import requirement_lines as lines

_NO_SOLUTION = 1  # uv's exit code when nothing fits; any other failure has nothing to do with the Python
_BOUNDS = ("==", "~=", "<")


def held_back(requirements: list[str]) -> list[str]:
    """Names of the packages whose requirement does not let in their newest release."""
    names = []
    for line in requirements:
        requirement = lines.parse_requirement(line)
        version = line.partition(";")[0]
        if requirement.name and "@" not in version and any(bound in version for bound in _BOUNDS):
            names.append(requirement.name)
    return names


def fitting(
    resolve: Callable[[str], int], first: Interpreter, installed: Callable[[], list[Interpreter]]
) -> Interpreter:
    """`first`, or the oldest of those installed for which `resolve(python)`, wheels only, exits with 0."""
    if resolve(first.path) != _NO_SOLUTION:
        return first
    others = {i.version[:2]: i for i in reversed(installed()) if i.version >= OLDEST_FOR_SDK}
    others.pop(first.version[:2], None)
    return next((i for _, i in sorted(others.items()) if resolve(i.path) == 0), first)


def resolver(
    uv: str, file: Path, arguments: list[str], wheels_of: list[str], environment: dict[str, str]
) -> Callable[[str], int]:
    """A function from the path of a Python to the exit code of resolving the requirements in `file` for it."""
    only = [part for name in wheels_of for part in ("--only-binary", name)]

    def resolve(python: str) -> int:
        command = [
            uv,
            "pip",
            "compile",
            "--quiet",
            "--no-header",
            "--python",
            python,
            *arguments,
            *only,
            str(file),
        ]
        return subprocess.run(
            command, env=environment, cwd=file.parent, check=False, capture_output=True, stdin=subprocess.DEVNULL
        ).returncode  # fmt: skip

    return resolve
