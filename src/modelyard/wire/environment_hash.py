"""What of an environment decides its installation: its parts, what may be in them, and the hash over them.

Two environments with one content hash are installed once. Name, version, variables, docker and the other recorded
sections decide nothing.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

from modelyard.wire import requirement_lines as lines
from modelyard.wire.environments import EnvironmentSpec, PythonSpec

_CONDA_KEYS = frozenset(("name", "channels", "dependencies", "prefix", "variables"))
_CHANNEL = re.compile(r"[A-Za-z0-9/][A-Za-z0-9_.:/@%~+-]*")
_PYTHON = re.compile(r"[0-9*.,<>=!~| ]{1,60}(?:=\w{1,60})?")
MAX_LINES = 2000


class Parts(NamedTuple):
    """An environment taken apart. `python`: the version asked for as written, e.g. `3.8`, `=3.8`, `>=3.7`; empty:
    the yard's own. `conda` and `pip` are dependency lines, `options` pip option lines."""

    python: str
    conda: List[str]
    pip: List[str]
    options: List[str]
    channels: List[str]


def is_user_managed(spec: EnvironmentSpec) -> bool:
    """Whether nothing is installed for it: an interpreter is named, or nothing is asked for at all."""
    python = spec.python
    return python.user_managed or (python.conda is None and python.requirements is None)


def names_only(spec: EnvironmentSpec) -> bool:
    """Whether the spec says nothing but which registered environment is meant."""
    return bool(spec.name) and spec.python == PythonSpec()


def parts(python: PythonSpec) -> Parts:
    """Take a Python section apart that `spec_problem` finds nothing against."""
    if python.conda is None:
        return Parts(
            python.python_version.strip(), [], list(python.requirements or []), list(python.pip_options), []
        )
    wanted, conda, pip, options = "", [], [], list(python.pip_options)  # type: str, List[str], List[str], List[str]
    for dependency in python.conda.get("dependencies") or []:
        if isinstance(dependency, dict):
            for line in dependency.get("pip") or []:
                (options if lines.is_option(line) else pip).append(line)
            continue
        parsed = lines.parse_conda(dependency)
        if parsed.name == "python":
            wanted = parsed.rest
        else:
            conda.append(dependency)
    return Parts(wanted, conda, pip, options, list(python.conda.get("channels") or []))


def content_hash(spec: EnvironmentSpec) -> str:
    """SHA-256 of the canonical JSON of what decides the installation.

    A conda specification with nothing but a pip section equals the same requirements given plainly. The order of
    packages, idle spaces and the spelling of a name do not count; the order of channels and pip options does.
    """
    if is_user_managed(spec):
        content: Dict[str, Any] = {"interpreter": spec.python.interpreter_path or "python"}
    else:
        taken = parts(spec.python)
        content = {
            "python": re.sub(r"\s+", "", taken.python).lstrip("="),
            "conda": sorted({_normal_conda(line) for line in taken.conda}),
            "pip": sorted({lines.normal_requirement(line) for line in taken.pip}),
            "options": [" ".join(lines.split_option(line)).strip() for line in taken.options],
            "channels": taken.channels if taken.conda else [],
        }
    return _digest(content)


def _normal_conda(line: str) -> str:
    return line.strip() if lines.conda_package(line) else " ".join(line.lower().split())


def definition_hash(spec: EnvironmentSpec) -> str:
    """SHA-256 of everything but name and version: what makes two registrations the same."""
    return _digest(dataclasses.asdict(dataclasses.replace(spec, name="", version="")))


def _digest(content: Dict[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def pinned(spec: EnvironmentSpec, lock: Sequence[str], python_version: str = "") -> EnvironmentSpec:
    """The same environment with exactly the packages of `lock`, for repeating a run. User-managed: unchanged."""
    if is_user_managed(spec) or not lock:
        return spec
    taken = parts(spec.python)
    conda = [line for line in lock if lines.conda_package(line)]
    pip = [line for line in lock if not lines.conda_package(line)]
    if conda:
        dependencies = [*conda, {"pip": pip}] if pip else conda
        # Nothing is looked up in the channels any more; a password that one of them needs is there.
        python = PythonSpec(
            conda={"channels": taken.channels, "dependencies": dependencies}, pip_options=taken.options
        )
    else:
        python = PythonSpec(
            requirements=pip, python_version=python_version or taken.python, pip_options=taken.options
        )
    return dataclasses.replace(spec, python=python)


def is_conda_lock(taken: Parts) -> bool:
    """Whether its conda packages are all given by their addresses, so that nothing is left to choose."""
    return bool(taken.conda) and all(lines.conda_package(line) for line in taken.conda)


def spec_problem(spec: EnvironmentSpec) -> str:
    """Why this environment can't be built by anyone, as a sentence; empty when nothing speaks against it."""
    python = spec.python
    if python.user_managed:
        if python.conda is not None or python.requirements is not None:
            return "A user-managed environment is used as it is: it can't have a conda specification or requirements."
        return _interpreter_problem(python.interpreter_path)
    if python.conda is not None and python.requirements is not None:
        return "An environment has a conda specification or requirements, not both."
    return (
        _python_problem(python.python_version)
        or lines.first_problem("Pip option", python.pip_options, lines.option_problem)
        or (_conda_problem(python.conda) if python.conda is not None else "")
        or _requirements_problem(python.requirements or [])
    )


def _interpreter_problem(path: str) -> str:
    if any(ord(c) < 32 or ord(c) == 127 for c in path) or path.startswith("-"):
        return f"{lines.shown(path)} can't be the path of an interpreter."
    return ""


def _python_problem(version: str) -> str:
    if version and not _PYTHON.fullmatch(version):
        return f"{lines.shown(version)} is not a version of Python (3.8, 3.8.13, >=3.7,<3.9)."
    return ""


def _requirements_problem(requirements: List[str]) -> str:
    if len(requirements) > MAX_LINES:
        return f"An environment may have {MAX_LINES} requirements at most, not {len(requirements)}."
    return lines.first_problem("Requirement", requirements, lines.requirement_problem)


def _conda_problem(conda: Dict[str, Any]) -> str:
    unknown = sorted(str(key) for key in set(conda) - _CONDA_KEYS)
    if unknown:
        return f"A conda specification has no {unknown[0]!r}; it has name, channels and dependencies."
    channels = conda.get("channels") or []
    if not isinstance(channels, list):
        return "channels of a conda specification must be a list."
    for channel in channels:
        if not isinstance(channel, str) or not _CHANNEL.fullmatch(channel):
            return f"{lines.shown(channel)} can't be the name, the address or the absolute directory of a conda channel."
    dependencies = conda.get("dependencies") or []
    if not isinstance(dependencies, list):
        return "dependencies of a conda specification must be a list."
    if len(dependencies) > MAX_LINES:
        return f"An environment may have {MAX_LINES} dependencies at most, not {len(dependencies)}."
    for dependency in dependencies:
        problem = (
            _pip_section_problem(dependency) if isinstance(dependency, dict) else _line_problem(dependency)
        )
        if problem:
            return problem
    named = [d for d in dependencies if isinstance(d, str) and not lines.conda_package(d)]
    if named and any(isinstance(d, str) and lines.conda_package(d) for d in dependencies):
        return (
            f"Conda dependency {lines.shown(named[0])} stands beside packages that are given by their addresses; "
            "give all of them so (a lock), or all by name."
        )
    return ""


def _line_problem(dependency: Any) -> str:
    problem = lines.first_problem("Conda dependency", [dependency], lines.conda_problem)
    if problem:
        return problem
    parsed = lines.parse_conda(dependency)
    return _python_problem(parsed.rest) if parsed.name == "python" else ""


def _pip_section_problem(section: Dict[str, Any]) -> str:
    if list(section) != ["pip"]:
        return (
            f"A dependency that is a mapping must be 'pip', not {', '.join(map(repr, section)) or 'empty'}."
        )
    pip: Optional[Any] = section["pip"]
    if not isinstance(pip or [], list):
        return "The pip section of a conda specification must be a list."
    if len(pip or []) > MAX_LINES:
        return f"An environment may have {MAX_LINES} requirements at most, not {len(pip or [])}."
    for line in pip or []:
        is_known = lines.is_option(line) and lines.split_option(line)[0] in lines.PIP_OPTIONS
        problem = lines.first_problem(
            "Pip option" if is_known else "Requirement",
            [line],
            lines.option_problem if is_known else lines.requirement_problem,
        )
        if problem:
            return problem
    return ""
