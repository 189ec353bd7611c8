"""Environments from conda channels, as py-rattler installs them: when, from where, and what is in one afterwards."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path

from modelyard.node.environments import interpreters
from modelyard.node.environments.channels import DEFAULT, Channel, Channels, resolve
from modelyard.node.environments.requirements import CannotMap, Plan, needs_sdk
from modelyard.wire import requirement_lines as lines
from modelyard.wire.environment_hash import Parts, is_conda_lock

INSTALL = "pip install 'modelyard[conda]'"
_SUBDIRS = re.compile(r"noarch|(?:linux|osx|win|emscripten|wasi|freebsd|zos)-\w+")


def is_installed() -> bool:
    """Whether py-rattler is there, without importing it: it has 80 MB."""
    return importlib.util.find_spec("rattler") is not None


def route(taken: Parts, channels: Channels) -> tuple[list[Channel] | None, str]:
    """The channels that an environment is installed from, or None and why they are not used: a line for the log,
    empty if nothing asks for a channel.

    Raises CannotMap for a lock of conda packages where py-rattler is missing: nothing else can install it.
    """
    if is_conda_lock(taken):
        if not is_installed():
            raise CannotMap(
                f"{lines.without_secrets(taken.conda[0])}: conda packages given by their addresses are installed by "
                f"py-rattler, which is not installed. Install it where the yard runs: {INSTALL}"
            )
        return resolve(taken.channels, channels.environ), ""
    packages = [line for line in taken.conda if lines.parse_conda(line).name != "pip"]
    if not packages and not (taken.channels and _wants_another_python(taken)):
        return None, ""
    meant = resolve([*(taken.channels or [DEFAULT]), *_of_lines(taken.conda)], channels.environ)
    if not is_installed():
        why = f"py-rattler, which installs from conda channels, is not installed (to have it: {INSTALL})"
    elif not meant:
        why = "no channel is named but 'nodefaults'"
    else:
        why = channels.complaint(meant)
    if not why:
        return meant, ""
    return None, (
        f"{why[0].upper()}{why[1:]}. So conda packages are taken from the Python index, under the names they have there."
    )


def _wants_another_python(taken: Parts) -> bool:
    if not interpreters.is_chosen(taken.python):
        return False
    try:
        interpreters.choose(taken.python, needs_sdk(taken))
    except interpreters.NoInterpreter:
        return True
    return False


def _of_lines(conda: list[str]) -> list[str]:
    named = (lines.parse_conda(line).channel for line in conda)
    return [_without_subdir(channel) for channel in named if channel]


def _without_subdir(channel: str) -> str:
    front, _, last = channel.rpartition("/")
    return front if front and _SUBDIRS.fullmatch(last) else channel


def request(wanted: Plan, channels: list[Channel], prefix: Path) -> str:
    """What the installer reads: `conda_install` says how it is made."""
    packages = [p for p in map(lines.conda_package, wanted.conda) if p is not None]
    content = {
        "prefix": str(prefix),
        "channels": [[c.name, c.address] for c in channels],
        "packages": [{**p._asdict(), "url": _with_secrets(p.url, channels)} for p in packages],
        "attempts": [] if packages else _attempts(wanted, channels),
    }
    return json.dumps(content)


def _attempts(wanted: Plan, channels: list[Channel]) -> list[dict[str, object]]:
    """What is solved for, one after the other until there is a solution. A version of Python that nobody chose gives way
    at last; and conda's own channel priority lies between the two that py-rattler knows: a channel further down is
    taken from only where those before it can't serve."""
    named = [_match_spec(line, channels) for line in wanted.conda]
    pythons = [_python_specs(wanted.python, wanted.needs_sdk)]
    if interpreters.says_something(wanted.python) and not interpreters.is_chosen(wanted.python):
        pythons.append(_python_specs("", wanted.needs_sdk))
    priorities = [True, False] if len(channels) > 1 else [True]
    return [{"specs": named + python, "strict": strict} for python in pythons for strict in priorities]


def _with_secrets(url: str, channels: list[Channel]) -> str:
    """A lock has no password and no token in it: these are in the specification's channels."""
    for channel in channels:
        shown = lines.without_secrets(channel.address + "/")
        if url.startswith(shown):
            return f"{channel.address}/{url[len(shown) :]}"
    return url


def _match_spec(line: str, channels: list[Channel]) -> str:
    """A dependency as py-rattler reads it: the channel by its address, no spaces round an operator."""
    text = re.sub(r"\s*=\s*", "=", re.sub(r"^-c\s+", "", line.strip()))
    channel, named, rest = text.rpartition("::")
    if not named:
        return text
    bare = _without_subdir(channel)
    address = next(c.address for c in channels if c.name == bare)
    return f"{address}{channel[len(bare) :]}::{rest}"


def _python_specs(asked: str, needs_sdk: bool) -> list[str]:
    specs = []
    if interpreters.says_something(asked):
        specs.append(f"python {asked}" if asked[:1].isdigit() else f"python{asked}")
    if needs_sdk or not specs:
        specs.append("python>=" + ".".join(map(str, interpreters.OLDEST_FOR_SDK)))
    return specs


def command(file: Path) -> list[str]:
    """The installer, for the request in `file`."""
    return [sys.executable, "-m", "modelyard.node.environments.conda_install", str(file)]


def contents(prefix: Path) -> tuple[str, list[str]]:
    """The version of the Python in a conda prefix (empty: there is none), and its packages by address and hash."""
    python, lock = "", []
    for file in sorted((prefix / "conda-meta").glob("*.json")):
        record = json.loads(file.read_bytes())
        if record["name"] == "python":
            python = str(record["version"])
        digest = record.get("sha256")
        lock.append(lines.without_secrets(record["url"]) + (f"#sha256:{digest}" if digest else ""))
    return python, lock
