"""Environments that a person manages: the interpreter is found and looked at, nothing is changed."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from modelyard.node.environments.marker import Marker

_PROBE = "import sys, json; print(json.dumps(['%d.%d.%d' % sys.version_info[:3], [p for p in sys.path if 'packages' in p]]))"
_ANSWER_S = 30.0


class Unusable(ValueError):
    """The interpreter can't be used; the message names it and says why."""


class Interpreters:
    """Interpreters as they were found, remembered by what the file system says of them, over restarts too."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._known: dict[str, tuple[tuple[int, int], str, list[str]]] = {}
        self._locks: dict[str, tuple[tuple[int, ...], list[str]]] = {}

    def look_at(self, name: str) -> Marker:
        """`name`: an absolute path, a program on PATH, or empty (`python`, `python3`): the one that runs the agent.

        Raises Unusable.
        """
        path = _resolve(name)
        try:
            status = os.stat(path)
        except OSError as error:
            raise Unusable(f"Interpreter {path!r} can't be used: {error.strerror}.") from error
        stamp = (status.st_mtime_ns, status.st_size)
        known = self._known.get(path)
        if known is None or known[0] != stamp:
            known = (stamp, *self._probe(path, stamp))
            self._known[path] = known
        _, version, directories = known
        return Marker(path, version, self._lock(path, directories))

    def _probe(self, path: str, stamp: tuple[int, int]) -> tuple[str, list[str]]:
        if path == sys.executable:
            return ".".join(map(str, sys.version_info[:3])), [p for p in sys.path if "packages" in p]
        file = self._directory / f"interpreter-{hashlib.sha256(path.encode()).hexdigest()[:16]}.json"
        try:
            kept = json.loads(file.read_bytes())
            if tuple(kept["stamp"]) == stamp:
                return str(kept["version"]), [str(p) for p in kept["directories"]]
        except (OSError, ValueError, KeyError, TypeError):
            pass  # nothing kept that is of use: the interpreter itself is asked
        version, directories = _ask(path)
        text = {"stamp": stamp, "version": version, "directories": directories}
        part = file.with_suffix(f".{os.getpid()}")
        part.write_text(json.dumps(text), "utf-8")
        os.replace(part, file)
        return version, directories

    def _lock(self, path: str, directories: list[str]) -> list[str]:
        """What is installed, by the names of the metadata directories: a listing, not an import."""
        stamp = tuple(_mtime(d) for d in directories)
        known = self._locks.get(path)
        if known is None or known[0] != stamp:
            found: dict[str, str] = {}
            for directory in directories:
                for name, version in _distributions(directory):
                    found.setdefault(name, version)
            known = (stamp, [f"{name}=={version}" for name, version in sorted(found.items())])
            self._locks[path] = known
        return known[1]


def _resolve(name: str) -> str:
    if name in ("", "python", "python3"):
        return sys.executable
    if os.sep not in name:
        found = shutil.which(name)
        if found is None:
            raise Unusable(
                f"Interpreter {name!r} was not found on this node's PATH. Give the absolute path of a Python, "
                f"for example {sys.executable}."
            )
        return found
    path = os.path.expanduser(name)
    if not os.path.isabs(path):
        raise Unusable(
            f"Interpreter {name!r} is a relative path, which a node can't follow. Give an absolute path."
        )
    if not os.path.exists(path):
        raise Unusable(f"Interpreter {path!r} does not exist on this node.")
    if os.path.isdir(path):
        raise Unusable(
            f"Interpreter {path!r} is a directory. Name the program in it, for example {path}/bin/python."
        )
    if not os.access(path, os.X_OK):
        raise Unusable(
            f"Interpreter {path!r} is not a program that may be run (its execute permission is missing)."
        )
    return path


def _ask(path: str) -> tuple[str, list[str]]:
    try:
        said = subprocess.run(
            [path, "-c", _PROBE], capture_output=True, timeout=_ANSWER_S, check=False, cwd="/", text=True,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise Unusable(f"Interpreter {path!r} did not answer within {_ANSWER_S:.0f} s.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise Unusable(f"Interpreter {path!r} can't be run: {error}.") from error
    try:
        version, directories = json.loads(said.stdout.strip().rpartition("\n")[2])
        return str(version), [str(d) for d in directories]
    except (ValueError, TypeError):
        words = " ".join((said.stderr or said.stdout).strip().splitlines()[-3:]) or "no output"
        raise Unusable(
            f"Interpreter {path!r} does not answer as a Python does (exit code {said.returncode}): {words}"
        ) from None


def _mtime(directory: str) -> int:
    try:
        return os.stat(directory).st_mtime_ns
    except OSError:
        return 0


def _distributions(directory: str) -> list[tuple[str, str]]:
    try:
        names = os.listdir(directory)
    except OSError:
        return []
    found = []
    for name in names:
        match = re.fullmatch(r"(.+?)-([^-]+)(?:-py[\d.]+)?\.(?:dist-info|egg-info)", name)
        if match:
            found.append((re.sub(r"[-_.]+", "-", match.group(1)).lower(), match.group(2)))
    return found
