"""The environment section of a `.runconfig` file. The conda specification is a file of its own, as in v1."""

from __future__ import annotations

import os
from typing import Any, Dict, Optional

from modelyard import errors

_FILE = "conda_dependencies.yml"


def to_yaml(environment: Optional[Any]) -> Optional[Dict[str, Any]]:
    """v1's section, the conda specification in it; None for a configuration whose environment nobody set."""
    return None if environment is None else dict(environment.to_dict())


def from_yaml(values: Optional[Dict[str, Any]], folder: str) -> Optional[Any]:
    """The Environment of a section; `condaDependenciesFile` is looked for from `folder` and from above it."""
    if values is None:
        return None
    if not isinstance(values, dict):
        raise errors.RunConfigurationException(
            f"environment must be a mapping in a run configuration, not {values!r}."
        )
    section = dict(values)
    python = dict(section.get("python") or {})
    file = python.pop("condaDependenciesFile", None)
    if python.get("condaDependencies") is None and file:
        python["condaDependencies"] = _read(str(file), folder)
    section["python"] = python
    from modelyard import environments  # only files with an environment need it

    return environments._from_dict(section)


def put_conda_aside(section: Dict[str, Any], folder: str, name: str, yaml: Any) -> None:
    """Write the conda specification beside the run configuration, and name the file in the section."""
    python = dict(section["python"])
    conda = python.pop("condaDependencies", None)
    python["condaDependenciesFile"] = None
    if conda is not None:
        text = yaml.safe_dump(conda, sort_keys=False, allow_unicode=True)
        file = os.path.join(folder, _FILE)
        if os.path.exists(file) and _text(file) != text:
            file = os.path.join(folder, f"{name}.{_FILE}")  # another configuration's is there already
        with open(file, "w", encoding="utf-8") as stream:
            stream.write(text)
        python["condaDependenciesFile"] = ".azureml/" + os.path.basename(file)
    section["python"] = python


def _text(file: str) -> str:
    with open(file, encoding="utf-8") as stream:
        return stream.read()


def _read(name: str, folder: str) -> Dict[str, Any]:
    import yaml  # the .runconfig file was YAML, so it is there

    for place in (folder, os.path.dirname(folder), "."):
        for file in (os.path.join(place, name), os.path.join(place, os.path.basename(name))):
            if os.path.isfile(file):
                return dict(yaml.safe_load(_text(file)) or {})
    raise errors.RunConfigurationException(
        f"The run configuration names {name!r}, which is not in {folder} or above it."
    )
