"""Environments: what a run or a web service needs to be installed, and the builds of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Dict, List, Optional


@dataclass(frozen=True)
class PythonSpec:
    """`user_managed`: use `interpreter_path` as it is. Otherwise exactly one of `conda` (the parsed
    conda specification: name, channels, dependencies) and `requirements` (pip lines) is built.

    With `requirements`, `python_version` (`3.8`, `3.8.13`; empty: the yard's own) chooses the interpreter and
    `pip_options` holds option lines such as `--extra-index-url URL`; a conda specification says both itself."""

    user_managed: bool = False
    interpreter_path: str = ""  # empty: the Python that runs the yard
    conda: Optional[Dict[str, Any]] = None
    requirements: Optional[List[str]] = None
    python_version: str = ""
    pip_options: List[str] = field(default_factory=list)


@dataclass(frozen=True)
class EnvironmentSpec:
    """`docker` and `recorded` keep v1's other sections as they were given; a process on a node does not
    use them, and the build log says so."""

    name: str = ""
    version: str = ""  # empty: not registered, or the next number at registration
    python: PythonSpec = field(default_factory=PythonSpec)
    variables: Dict[str, str] = field(default_factory=dict)
    docker: Dict[str, Any] = field(default_factory=dict)
    recorded: Dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class EnvironmentInfo:
    """A registered version of an environment. `content_hash` is of what decides its installation."""

    spec: EnvironmentSpec
    content_hash: str
    created_at: float


@dataclass(frozen=True)
class EnvironmentList:
    """Environments, the latest version of each."""

    items: List[EnvironmentInfo]


class BuildStatus(str, Enum):
    BUILDING = "Building"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


@dataclass(frozen=True)
class BuildReport:
    """A node tells how the build of one environment goes. `lock`: the exact packages, one `name==version` a line."""

    status: BuildStatus
    python_version: str = ""
    lock: List[str] = field(default_factory=list)
    error: str = ""
    duration_s: float = 0.0


@dataclass(frozen=True)
class BuildInfo:
    """How the build of one content went on one node."""

    content_hash: str
    node: str
    status: BuildStatus
    python_version: str
    lock: List[str]
    error: str
    started_at: float
    finished_at: Optional[float] = None


@dataclass(frozen=True)
class BuildList:
    """Builds, newest first."""

    items: List[BuildInfo]
