"""Models that MLflow wrote: served by what they say of themselves, without an entry script and an environment.

`MLmodel`, `requirements.txt` and `conda.yaml` are read here as text; the model itself is loaded by the scoring host alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from modelyard.server.kernel.errors import Invalid
from modelyard.wire import requirement_lines
from modelyard.wire.artifacts import FileEntry
from modelyard.wire.environments import EnvironmentSpec, PythonSpec

_FILE = "MLmodel"
_FLAVOR = "python_function"
_MAX_BYTES = 1 << 20
_MLFLOW = ("mlflow", "mlflow-skinny")

# What reads a file of a model that is held in the yard.
Read = Callable[[FileEntry], bytes]


def root_of(entries: Sequence[FileEntry]) -> str | None:
    """Where in a model's files an MLflow model is: `` or `folder/`; None when they are none."""
    tops = {entry.path.partition("/")[0] for entry in entries}
    roots = ["", f"{next(iter(tops))}/"] if len(tops) == 1 else [""]
    paths = {entry.path for entry in entries}
    return next((root for root in roots if root + _FILE in paths), None)


def environment_of(model_id: str, entries: Sequence[FileEntry], root: str, read: Read) -> EnvironmentSpec:
    """What the model needs to be loaded. Raises Invalid, naming the file that does not fit."""
    files = {entry.path.removeprefix(root): entry for entry in entries if entry.path.startswith(root)}

    def text(name: str) -> str | None:
        entry = files.get(name)
        if entry is None:
            return None
        if entry.size > _MAX_BYTES:
            raise _bad(model_id, name, f"has {entry.size} bytes; {_MAX_BYTES} are read")
        try:
            return read(entry).decode("utf-8")
        except UnicodeDecodeError:
            raise _bad(model_id, name, "is not UTF-8 text") from None

    described = _mapping(model_id, _FILE, text(_FILE) or "")
    flavors = described.get("flavors")
    flavor = flavors.get(_FLAVOR) if isinstance(flavors, dict) else None
    if not isinstance(flavor, dict):
        has = ", ".join(map(str, flavors)) if isinstance(flavors, dict) and flavors else "none"
        raise Invalid(
            "flavor_required",
            f"Model {model_id} can't be served without an entry script: of MLflow's flavors it has {has}, and "
            f"{_FLAVOR} is what is served. Give an entry script.",
        )
    conda = _mapping(model_id, "conda.yaml", text("conda.yaml") or "")
    python = PythonSpec(conda=conda) if _has_conda_packages(conda) else None
    if python is None:
        python = PythonSpec(
            requirements=_requirements(model_id, text("requirements.txt"), conda, described),
            python_version=str(flavor.get("python_version") or ""),
        )
    return EnvironmentSpec(python=python)


def _requirements(
    model_id: str, requirements: str | None, conda: dict[str, Any], described: dict[str, Any]
) -> list[str]:
    if requirements is not None:
        lines = [line.partition(" #")[0].strip() for line in requirements.splitlines()]
        # MLflow writes a file of upper limits beside, which the pinned lines do not need.
        given = [line for line in lines if line and not line.startswith(("#", "-c ", "--constraint"))]
    else:
        pip: Any = next((d["pip"] for d in _dependencies(conda) if isinstance(d, dict) and "pip" in d), [])
        given = [str(line) for line in pip or []]
    problem = requirement_lines.first_problem("requirement", given, requirement_lines.requirement_problem)
    if problem:
        raise _bad(
            model_id, "conda.yaml" if requirements is None else "requirements.txt", f"does not fit: {problem}"
        )
    names = {requirement_lines.parse_requirement(line).name for line in given}
    if not names & set(_MLFLOW):
        version = str(described.get("mlflow_version") or "")
        given.append(f"mlflow=={version}" if version else "mlflow")
    return given


def _has_conda_packages(conda: dict[str, Any]) -> bool:
    """Whether it asks for more than a Python and what pip installs."""
    names = [
        str(d).split("=")[0].split("<")[0].split(">")[0].strip()
        for d in _dependencies(conda)
        if isinstance(d, str)
    ]
    return bool(set(names) - {"python", "pip"})


def _dependencies(conda: dict[str, Any]) -> list[Any]:
    found = conda.get("dependencies")
    return found if isinstance(found, list) else []


def _mapping(model_id: str, name: str, text: str) -> dict[str, Any]:
    import yaml  # only where a model of MLflow's is deployed

    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise _bad(model_id, name, f"is not valid YAML: {' '.join(str(error).split())[:200]}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise _bad(model_id, name, "is no mapping")
    return content


def _bad(model_id: str, name: str, problem: str) -> Invalid:
    return Invalid(
        "bad_mlflow_model",
        f"Model {model_id} can't be served without an entry script: its file {name} {problem}.",
    )
