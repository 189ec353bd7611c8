"""Turns an environment's specification into what uv is asked to install, telling every change it makes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from modelyard.node.environments.conda_names import DROPPED, RENAMED, RENAMED_ON_PYPI
from modelyard.wire import requirement_lines as lines
from modelyard.wire.environment_hash import Parts, parts
from modelyard.wire.environments import EnvironmentSpec

# What an azureml package brought along that scripts import without naming it.
_BROUGHT = {"azureml-defaults": ("inference-schema",)}
_BROUGHT_BY_EXTRA = {"pandas": ("pandas",)}
_OURS = re.compile(r"azureml(-.*)?|modelyard(-azureml)?")
_OURS_TOO = ("azureml-monitoring",)  # the collector of v1's web services; the scoring host has its own

_VERSION = re.compile(r"[0-9][\w.+!-]*(?:\.\*)?")


class CannotMap(ValueError):
    """A line that has no counterpart; the message names it and says what to write instead."""


@dataclass(frozen=True)
class Plan:
    """What is to be installed. `python`: the version asked for; `needs_sdk`: a script will import azureml.

    `conda`: what is taken from conda channels, empty where none are used; `requirements` are pip's. `notes` are lines
    for the build log.
    """

    python: str
    conda: list[str]
    requirements: list[str]
    options: list[str]
    needs_sdk: bool
    notes: list[str] = field(default_factory=list)


def needs_sdk(taken: Parts) -> bool:
    """Whether an azureml package is named, so that a script will import it."""
    names = [lines.parse_requirement(line).name for line in taken.pip]
    return any(_is_ours(name) for name in names + [lines.parse_conda(line).name for line in taken.conda])


def plan(spec: EnvironmentSpec, from_channels: bool = False) -> Plan:
    """`from_channels`: conda packages stay conda packages. Otherwise raises CannotMap for a line that can't be said to
    pip."""
    taken = parts(spec.python)
    notes: list[str] = []
    conda: list[str] = []
    wanted: list[str] = []
    for line in taken.conda:
        if from_channels and not _is_ours(lines.parse_conda(line).name):
            conda.append(line)
            continue
        requirement = _from_conda(line, notes)
        if requirement is not None:
            wanted.append(requirement)
    for line in taken.pip:
        wanted.append(_renamed(line.strip(), notes))
    kept: list[str] = []
    for line in wanted:
        requirement_ = lines.parse_requirement(line)
        if _is_ours(requirement_.name):
            kept += _instead_of(requirement_, notes)
        else:
            kept.append(line)
    for option in taken.options:
        notes.append(f"pip option: {lines.without_secrets(option.strip())}")
    notes += _not_used(spec)
    return Plan(taken.python, conda, list(dict.fromkeys(kept)), list(taken.options), needs_sdk(taken), notes)


def _is_ours(name: str) -> bool:
    return _OURS.fullmatch(name) is not None or name in _OURS_TOO


def _renamed(line: str, notes: list[str]) -> str:
    name = lines.parse_requirement(line).name
    if name not in RENAMED_ON_PYPI:
        return line
    match = re.match(r"[A-Za-z0-9._-]+", line)
    assert match is not None
    notes.append(f"{line}: the package is called {RENAMED_ON_PYPI[name]}.")
    return RENAMED_ON_PYPI[name] + line[match.end() :]


def _instead_of(requirement: lines.Requirement, notes: list[str]) -> list[str]:
    """What is installed in place of a package that modelyard's own tree stands for."""
    brought = list(_BROUGHT.get(requirement.name, ()))
    for extra in requirement.extras:
        brought += _BROUGHT_BY_EXTRA.get(extra, ())
    installed = f", {' and '.join(brought)} installed for what came with it" if brought else ""
    notes.append(f"{requirement.text}: met by modelyard's own azureml tree{installed}.")
    if requirement.name == "azureml-mlflow":
        notes.append(
            "azureml-mlflow: mlflow itself is not installed by it; name mlflow or mlflow-skinny if it is used."
        )
    return brought


def _from_conda(line: str, notes: list[str]) -> str | None:
    """The pip requirement for one conda dependency; None if nothing is installed for it. Raises CannotMap."""
    dependency = lines.parse_conda(line)
    said = line.strip()
    if dependency.name.startswith("r-") or dependency.name in DROPPED:
        why = DROPPED.get(dependency.name, "R packages are not installed by this version")
        if dependency.name != "pip":
            notes.append(f"{said}: left out; {why}.")
        return None
    name = RENAMED.get(dependency.name, dependency.name)
    if not name:
        notes.append(f"{said}: left out; it only chooses a build.")
        return None
    version, build = _version(dependency.rest, said)
    requirement = name + version
    if name != dependency.name:
        notes.append(f"{said}: installed as {requirement}.")
    if build:
        notes.append(f"{said}: the build string {build!r} means nothing to pip and is left out.")
    if dependency.channel:
        notes.append(f"{said}: channel {dependency.channel} is not used, installed as {requirement}.")
    return requirement


def _version(rest: str, line: str) -> tuple[str, str]:
    """A conda version specification as pip's, and the build string that was left out."""
    text = rest.strip()
    bracket = re.fullmatch(r"\[(.*)\]", text)
    build = ""
    if bracket:
        fields = dict(re.findall(r"(\w+)\s*=\s*['\"]?([^'\"\]]*)['\"]?", bracket.group(1)))
        unknown = set(fields) - {"version", "build"}
        if unknown or not fields:
            raise CannotMap(f"Conda dependency {line!r}: only version and build can be given in brackets.")
        build = fields.get("build", "")
        text = fields.get("version", "").strip()
    else:
        # NAME=1.2=build and `NAME 1.2 build`: with a build the version is meant exactly.
        match = re.fullmatch(r"=?\s*([0-9*][\w.*+!]*)(?:\s*=\s*|\s+)([\w.*]+)", text)
        if match:
            text, build = match.group(1), match.group(2)
    if "|" in text:
        raise CannotMap(
            f"Conda dependency {line!r}: pip has no 'or'. Write one range, for example >=1.2,<1.4."
        )
    clauses = [_clause(part.strip(), line) for part in text.split(",") if part.strip()]
    return ",".join(clause for clause in clauses if clause), build


def _clause(text: str, line: str) -> str:
    if text in ("*", "=*", "==*"):
        return ""
    match = re.fullmatch(r"(===|==|~=|!=|<=|>=|<|>|=)?\s*(.+)", text)
    assert match is not None
    operator, version = match.group(1) or "", match.group(2).strip()
    if not _VERSION.fullmatch(version):
        raise CannotMap(f"Conda dependency {line!r}: {text!r} is not a version that pip understands.")
    if operator == "=":
        return f"=={version}" if version.endswith("*") else f"=={version}.*"
    if operator == "":
        return f"=={version}"
    if version.endswith(".*") and operator in ("<", ">", ">=", "<="):
        version = version[:-2]
    return operator + version


def _not_used(spec: EnvironmentSpec) -> list[str]:
    """One notice for the sections that a process on a node does not use, and what was noted at registration."""
    notes = [str(note) for note in spec.recorded.get("notices") or []]
    sections = []
    docker = spec.docker
    image, dockerfile = docker.get("baseImage"), docker.get("baseDockerfile")
    if image:
        sections.append(f"docker image {image}")
    if dockerfile:
        sections.append("dockerfile")
    if docker.get("enabled") and not sections:
        sections.append("docker")
    sections += [name for name in ("spark", "databricks", "r") if spec.recorded.get(name)]
    if sections:
        notes.append(
            f"Kept with the environment but not used, since runs are processes of this machine: {', '.join(sections)}."
        )
    return notes
