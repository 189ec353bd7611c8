"""modelyard doctor: what is installed, what is broken, what to do. Works with the yard down."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import asdict

import click

from modelyard.cli.failures import FAILED
from modelyard.cli.finding import BROKEN, NOTE, OK, Finding
from modelyard.cli.lazy import YardCommand
from modelyard.cli.output import print_json, wants_json


@click.command(cls=YardCommand)
def doctor() -> None:
    """Tell what is installed, what is broken and what to do. Exit code 1 when something is broken."""
    found = list(findings())
    if wants_json():
        print_json([asdict(f) for f in found])
    else:
        width = max(len(f.what) for f in found)
        for finding in found:
            colour = {OK: "green", NOTE: "yellow", BROKEN: "red"}[finding.state]
            mark = click.style(finding.state.ljust(6), fg=colour)
            click.echo(f"{mark}  {finding.what.ljust(width)}  {finding.detail}")
            if finding.next:
                click.echo(" " * (width + 10) + f"→ {finding.next}")
    broken = sum(f.state == BROKEN for f in found)
    if broken:
        click.echo(f"{broken} broken", err=True)
        raise click.exceptions.Exit(FAILED)


def findings() -> Iterator[Finding]:
    from modelyard.cli import doctor_yard

    yield from _pythons()
    yield _uv()
    yield _conda()
    yield from _tools()
    yield from doctor_yard.findings()


def _pythons() -> Iterator[Finding]:
    import sys

    version = ".".join(str(n) for n in sys.version_info[:3])
    state = OK if sys.version_info >= (3, 11) else BROKEN
    yield Finding(
        "python",
        state,
        f"{version} at {sys.executable}",
        "" if state == OK else "install Python 3.11 or newer",
    )
    others = interpreters()
    names = ", ".join(sorted(others, key=lambda v: [int(n) for n in v.split(".")]))
    yield Finding(
        "interpreters", OK if others else NOTE, names or "none besides this one",
        "" if others else "a conda specification that asks for another Python needs that interpreter",
    )  # fmt: skip


def interpreters() -> dict[str, str]:
    """Python versions that environments can be built for, and where they are: on PATH, of pyenv, of uv."""
    import glob
    import os
    import re

    found: dict[str, str] = {}
    places = [
        p for d in os.environ.get("PATH", "").split(os.pathsep) for p in glob.glob(f"{d}/python3.[0-9]*")
    ]
    roots = [os.environ.get("PYENV_ROOT", os.path.expanduser("~/.pyenv")) + "/versions/*/bin/python3.[0-9]*"]
    roots.append(os.path.expanduser("~/.local/share/uv/python/*/bin/python3.[0-9]*"))
    for place in places + [p for root in roots for p in glob.glob(root)]:
        match = re.fullmatch(r"python(3\.[0-9]+)", os.path.basename(place))
        # A pyenv shim is there for every version that any directory knows; only what stands in versions/ is real.
        if match and "/shims/" not in place and os.access(place, os.X_OK):
            found.setdefault(match[1], place)
    return found


def _uv() -> Finding:
    import importlib.util
    import os
    import sys

    if importlib.util.find_spec("uv") is None:
        return Finding("uv", BROKEN, "not installed: no environment can be built", "pip install uv")
    beside = os.path.join(os.path.dirname(sys.executable), "uv")
    program = beside if os.path.exists(beside) else shutil.which("uv")
    if program is None:
        return Finding(
            "uv", BROKEN, "the package is there but not its program", "pip install --force-reinstall uv"
        )
    return Finding("uv", OK, _version([program, "--version"]) or program)


def _conda() -> Finding:
    import importlib.metadata

    try:
        return Finding("py-rattler", OK, importlib.metadata.version("py-rattler"))
    except importlib.metadata.PackageNotFoundError:
        return Finding(
            "py-rattler", NOTE, "not installed: conda packages are taken from the Python index, not from channels",
            "pip install 'modelyard[conda]'",
        )  # fmt: skip


def _version(command: list[str]) -> str:
    import subprocess

    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    lines = (done.stdout or done.stderr).strip().splitlines()
    return lines[0] if lines and done.returncode == 0 else ""


# program, what is missing without it, how to get it
_TOOLS = (
    ("git", "runs don't record commit and diff", "apt-get install git"),
    ("nvidia-smi", "no NVIDIA GPU is seen, so runs record no GPU metrics", ""),
    ("podman", "no containers; runs and services are processes", "apt-get install podman"),
    ("psql", "only needed to look into a PostgreSQL by hand", "apt-get install postgresql-client"),
    ("haproxy", "only needed in front of several machines", "apt-get install haproxy"),
)


def _tools() -> Iterator[Finding]:
    for program, without, install in _TOOLS:
        place = shutil.which(program)
        if place is None:
            yield Finding(program, NOTE, f"not installed: {without}", install)
        else:
            yield Finding(program, OK, _version([program, "--version"]) or place)
