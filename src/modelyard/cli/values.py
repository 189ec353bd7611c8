"""Values that people type: KEY=VALUE, durations, the environment of a run or a service."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from modelyard.cli.failures import USAGE, Failure
from modelyard.cli.names import Name


def pairs(given: Sequence[str], option: str) -> dict[str, str]:
    """KEY=VALUE texts as a dict."""
    found: dict[str, str] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not key.strip():
            raise click.UsageError(f"{option} {text!r}: write KEY=VALUE")
        if not equals:
            raise click.UsageError(f"{option} {text!r}: write KEY=VALUE, or {key}= for an empty value")
        found[key.strip()] = value
    return found


_UNITS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


def duration(text: str) -> float:
    """Seconds of `90`, `90s`, `15m`, `2h`, `1d`."""
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(s|m|min|h|d)?\s*", text)
    if match is None or float(match[1]) <= 0:
        raise click.UsageError(f"{text!r} is not a duration: write 90s, 15m, 2h or 1d")
    return float(match[1]) * _UNITS[match[2] or ""]


def environment_options(command: Any) -> Any:
    """`--environment`, `--conda-file`, `--requirements`, `--python`: at most one of them."""
    for option in (
        click.option("--python", metavar="PATH", help="An interpreter on the yard's machine, used as it is."),
        click.option(
            "--requirements", type=click.Path(exists=True, dir_okay=False), help="pip requirements."
        ),
        click.option(
            "--conda-file", type=click.Path(exists=True, dir_okay=False), help="conda specification."
        ),
        click.option(
            "--environment",
            type=Name("environment"),
            metavar="NAME[:VERSION]",
            help="A registered environment.",
        ),
    ):
        command = option(command)
    return command


def environment_of(
    workspace: Any,
    environment: str | None,
    conda_file: str | None,
    requirements: str | None,
    python: str | None,
) -> Any:
    """The SDK's Environment that the options name, or None when none does."""
    named = {
        "--environment": environment,
        "--conda-file": conda_file,
        "--requirements": requirements,
        "--python": python,
    }
    given = [option for option, value in named.items() if value]
    if len(given) > 1:
        raise click.UsageError(f"give one of {' and '.join(given)}, not both")
    if not given:
        return None
    from modelyard.environments import Environment

    if environment:
        name, _, version = environment.partition(":")
        return Environment.get(workspace, name, version or None)
    if conda_file:
        return Environment.from_conda_specification(Path(conda_file).stem, conda_file)
    if requirements:
        return Environment.from_pip_requirements(Path(requirements).stem, requirements)
    return interpreter_environment(python or "")


def interpreter_environment(python: str) -> Any:
    """A user-managed environment; an empty path means the Python that runs the yard."""
    from modelyard.environments import Environment

    made = Environment("user-managed")
    made.python.user_managed_dependencies = True
    if python:
        made.python.interpreter_path = python
    return made


def name_and_version(text: str) -> tuple[str, int | str | None]:
    """`name`, `name:7`, `name:latest`, or `name@alias`, whose version is `@alias`."""
    name, _, version = text.partition(":")
    if not version and "@" in name[1:-1]:
        name, _, alias = name.rpartition("@")
        return name, f"@{alias}"
    if not version or version == "latest":
        return name, None
    if not version.isdigit() or not int(version):
        raise Failure(f"{text!r}: a model's version is a number or 'latest'", USAGE)
    return name, int(version)
