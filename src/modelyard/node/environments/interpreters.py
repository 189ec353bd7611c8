"""The Pythons of this machine, and which of them an environment gets."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# What v1's CondaDependencies wrote when nobody chose a version: in 2020, and in its last releases.
V1_DEFAULTS = ("3.6.2", "3.8.13")
OLDEST_FOR_SDK = (3, 7)
_EXACT = re.compile(r"={0,2}\s*(\d+)\.(\d+)(?:\.(\d+))?(?:\.\*)?(?:=\w+)?")

_Version = tuple[int, ...]


class NoInterpreter(ValueError):
    """No Python here fits; the message names the ones there are."""


@dataclass(frozen=True)
class Interpreter:
    path: str
    version: _Version

    @property
    def text(self) -> str:
        return ".".join(map(str, self.version))


def parsed(version: str) -> _Version:
    """`3.8.20` or `3.14.0rc2` as numbers."""
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])


def own() -> Interpreter:
    """The Python that runs the yard."""
    return Interpreter(sys.executable, tuple(sys.version_info[:3]))


def installed() -> list[Interpreter]:
    """Every Python found here, newest first; of one minor version the yard's own comes first."""
    found: dict[str, Interpreter] = {}
    for path, known in _candidates():
        real = os.path.realpath(path)
        if real in found or not os.access(path, os.X_OK):
            continue
        version = known or _ask(path)
        if version is not None and version >= (3,):
            found[real] = Interpreter(path, version)
    mine = os.path.realpath(sys.executable)
    return sorted(
        found.values(),
        key=lambda i: (i.version[:2], os.path.realpath(i.path) == mine, i.version),
        reverse=True,
    )


def _candidates() -> Iterator[tuple[str, _Version | None]]:
    yield sys.executable, tuple(sys.version_info[:3])
    roots = [os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv")]
    for root in roots:
        for directory in _listed(os.path.join(root, "versions")):
            match = re.fullmatch(r"(\d+)\.(\d+)\.(\d+)", os.path.basename(directory))
            if match:
                yield os.path.join(directory, "bin", "python"), tuple(map(int, match.groups()))
    data = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    for directory in _listed(os.environ.get("UV_PYTHON_INSTALL_DIR") or os.path.join(data, "uv", "python")):
        match = re.match(r"cpython-(\d+)\.(\d+)\.(\d+)-", os.path.basename(directory))
        if match:
            yield os.path.join(directory, "bin", "python"), tuple(map(int, match.groups()))
    for directory in os.environ.get("PATH", os.defpath).split(os.pathsep):
        if (
            os.path.basename(directory) == "shims"
        ):  # pyenv's; they answer only for versions chosen in the directory
            continue
        for path in _listed(directory):
            if re.fullmatch(r"python3\.\d+", os.path.basename(path)):
                yield path, None


def _listed(directory: str) -> list[str]:
    try:
        return [os.path.join(directory, name) for name in sorted(os.listdir(directory))]
    except OSError:
        return []


def _ask(path: str) -> _Version | None:
    with contextlib.suppress(OSError, subprocess.TimeoutExpired, ValueError):
        said = subprocess.run(
            [path, "-I", "-S", "-c", "import sys; print('%d.%d.%d' % sys.version_info[:3])"],
            capture_output=True, timeout=20, check=False, text=True,
        )  # fmt: skip
        if said.returncode == 0:
            return tuple(map(int, said.stdout.strip().split(".")))
    return None


def is_chosen(request: str) -> bool:
    """Whether a person has asked for a version, as far as one can tell."""
    return says_something(request) and request.strip("= ") not in V1_DEFAULTS


def says_something(request: str) -> bool:
    """Whether a request leaves any Python 3 out."""
    return request.strip("=* ") not in ("", "3")


def for_sdk(request: str, needs_sdk: bool) -> tuple[str, str]:
    """The version to look for, and a note where that is not the one asked for, as scripts couldn't import the SDK there."""
    exact = _EXACT.fullmatch(request.strip())
    if exact is None or not needs_sdk or (int(exact.group(1)), int(exact.group(2))) >= OLDEST_FOR_SDK:
        return request.strip(), ""
    return "=3.7", (
        f"Python {exact.group(1)}.{exact.group(2)} was asked for, but scripts that import azureml need 3.7 or newer here; "
        "taking 3.7."
    )


def choose(
    request: str, needs_sdk: bool, found: list[Interpreter] | None = None
) -> tuple[Interpreter, list[str]]:
    """The interpreter for a version asked for as in a conda specification, and notes for the log.

    Empty: the yard's own. An exact version that is not here gives the nearest patch of the same minor version. Raises
    NoInterpreter when there is none of that minor version, unless it is one that v1 wrote by itself.
    """
    notes: list[str] = []
    wanted = request.strip()
    if not says_something(wanted):
        return own(), notes
    every = installed() if found is None else found
    wanted, note = for_sdk(wanted, needs_sdk)
    notes += [note] if note else []
    exact = _EXACT.fullmatch(wanted)
    if exact is None:
        return _in_range(wanted, every), notes
    major, minor = int(exact.group(1)), int(exact.group(2))
    patch = exact.group(3)
    same = [i for i in every if i.version[:2] == (major, minor)]
    if same:
        return _nearest_patch(same, patch, notes), notes
    if not is_chosen(wanted):
        notes.append(
            f"Python {wanted.lstrip('= ')} is what SDK v1 wrote when nobody chose a version, and it is not on this machine; "
            f"taking the yard's own, {own().text}."
        )
        return own(), notes
    raise NoInterpreter(
        f"Python {wanted.lstrip('= ')} was asked for, but this machine has no Python {major}.{minor}. {_listing(every)} "
        f"Install it (for example with 'uv python install {major}.{minor}') or ask for one of these."
    )


def _nearest_patch(same: list[Interpreter], patch: str | None, notes: list[str]) -> Interpreter:
    if patch is None:
        return same[0]
    nearest = min(same, key=lambda i: abs(i.version[2] - int(patch)))
    if nearest.version[2] != int(patch):
        asked = f"{nearest.version[0]}.{nearest.version[1]}.{patch}"
        notes.append(f"Python {asked} was asked for; {nearest.text} is the nearest on this machine.")
    return nearest


def _in_range(wanted: str, every: list[Interpreter]) -> Interpreter:
    clauses = [c.strip() for c in wanted.split(",") if c.strip()]
    parsed = []
    for clause in clauses:
        match = re.fullmatch(r"(>=|<=|!=|~=|==|=|>|<)?\s*(\d+(?:\.\d+){0,2})(\.\*)?", clause)
        if match is None:
            raise NoInterpreter(
                f"Python {wanted!r} is not a version that can be looked for. Write 3.8 or >=3.8,<3.12."
            )
        parsed.append((match.group(1) or "=", tuple(map(int, match.group(2).split(".")))))
    fitting = [i for i in every if all(_holds(op, version, i.version) for op, version in parsed)]
    mine = os.path.realpath(sys.executable)
    for interpreter in fitting:
        if os.path.realpath(interpreter.path) == mine:
            return interpreter
    if not fitting:
        raise NoInterpreter(
            f"Python {wanted} was asked for, but no Python of this machine fits. {_listing(every)}"
        )
    return fitting[0]


def _holds(operator: str, version: _Version, has: _Version) -> bool:
    cut = has[: len(version)]
    if operator in ("=", "=="):
        return cut == version
    if operator == "!=":
        return cut != version
    if operator == "~=":
        return has >= version and has[: len(version) - 1] == version[:-1]
    padded = version + (0,) * (3 - len(version))
    return {">=": has >= padded, "<": has < padded, "<=": cut <= version, ">": cut > version}[operator]


def _listing(every: list[Interpreter]) -> str:
    return f"It has {', '.join(i.text for i in every)}." if every else "It has none that could be found."


def real_uv() -> str:
    """The uv that was installed with modelyard. Raises NoInterpreter when it is missing."""
    beside = Path(sys.executable).with_name("uv")
    if beside.is_file():
        return str(beside)
    try:
        from uv import find_uv_bin  # only when it is not beside the interpreter
    except ImportError:
        raise NoInterpreter(
            "uv is not installed beside modelyard. Install it: python -m pip install uv"
        ) from None
    try:
        return str(find_uv_bin())
    except FileNotFoundError as error:
        raise NoInterpreter(
            f"uv is installed without its program: {error}. Reinstall it: python -m pip install uv"
        ) from error
