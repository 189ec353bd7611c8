"""Where MLflow's clients find files: artifact URIs and paths, taken apart into what they name.

    mlflow-artifacts:/<experiment>/<run>/artifacts/<path>             files of a run
    mlflow-artifacts:/<experiment>/models/<model>/artifacts/<path>    files of a logged model
    mlflow-artifacts:/<experiment>/traces/<trace>/artifacts/<path>    spans of a trace, and what is attached to them
    mlflow-artifacts:/registered-models/<name>/<version>/<path>       files of a version of a registered model

No part of them ever becomes a path on this machine: they are looked up in tables.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from modelyard.server.mlflow import errors
from modelyard.wire.trees import path_problem

_REGISTERED = "registered-models"
_ROUTE = "/api/2.0/mlflow-artifacts/artifacts/"
_VERSION = re.compile(r"[1-9][0-9]{0,8}")


@dataclass(frozen=True)
class RunPlace:
    experiment_id: str
    run_id: str
    path: str  # empty for all its files


@dataclass(frozen=True)
class LoggedPlace:
    experiment_id: str
    model_id: str
    path: str


@dataclass(frozen=True)
class TracePlace:
    experiment_id: str
    trace_id: str
    path: str


@dataclass(frozen=True)
class VersionPlace:
    name: str
    version: int
    path: str


Place = RunPlace | LoggedPlace | TracePlace | VersionPlace


def version_root(name: str, version: int) -> str:
    """The artifact URI of a version of a registered model."""
    return f"mlflow-artifacts:/{_REGISTERED}/{quote(name, safe='')}/{version}"


def place(path: str) -> Place:
    """What an artifact path names. Raises INVALID_PARAMETER_VALUE for one that is not safe, RESOURCE_DOES_NOT_EXIST for
    one that can't be anything here."""
    checked = check(path)
    parts = checked.split("/")
    if parts[0] == _REGISTERED:
        if len(parts) >= 3 and _VERSION.fullmatch(parts[2]):
            return VersionPlace(unquote(parts[1]), int(parts[2]), below("/".join(parts[3:])))
    elif len(parts) >= 4 and parts[1] == "models" and parts[3] == "artifacts":
        return LoggedPlace(parts[0], parts[2], below("/".join(parts[4:])))
    elif len(parts) >= 4 and parts[1] == "traces" and parts[3] == "artifacts":
        return TracePlace(parts[0], parts[2], below("/".join(parts[4:])))
    elif len(parts) >= 3 and parts[2] == "artifacts":
        return RunPlace(parts[0], parts[1], below("/".join(parts[3:])))
    raise errors.not_found(
        f"No such artifact: '{checked[:200]}'. Files lie at the artifact URI of a run, a logged model or a registered model."
    )


def check(path: str) -> str:
    """A path below an artifact root, without a slash at its end. Raises INVALID_PARAMETER_VALUE."""
    path = path.rstrip("/") if path.strip("/") else path
    problem = path_problem(path)
    if not problem and "#" in path:
        problem = "holds '#'"
    if problem:
        shown = path[:200].encode("utf-8", "backslashreplace").decode("utf-8")
        raise errors.invalid(f"Invalid path {shown!r}: it {problem}.")
    return path


def below(path: str) -> str:
    """As `check`, and empty for the root."""
    return check(path) if path.strip("/") else ""


def of_uri(uri: str) -> Place | None:
    """What an artifact URI names; None when it is not one of ours. Raises as `place` does."""
    parts = urlsplit(uri)
    if parts.scheme == "mlflow-artifacts":
        path = parts.path
    elif parts.scheme in ("http", "https") and _ROUTE in parts.path:
        path = parts.path.partition(_ROUTE)[2]
    else:
        return None
    if parts.query or parts.fragment:
        raise errors.invalid(f"Invalid artifact URI '{uri[:200]}': it holds a query or a fragment.")
    return place(path.strip("/"))
