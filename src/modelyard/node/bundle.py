"""Lays out what goes first on a run's PYTHONPATH: the user-process part of modelyard and the azureml tree."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import modelyard

log = logging.getLogger(__name__)

_PACKAGE = Path(modelyard.__file__).parent
_NOT_FOR_USERS = frozenset({"server", "node", "cli", "_bundle", "__pycache__", "plugins"})
_COMPILE_TIMEOUT_S = 120.0
_compiling = threading.Lock()


def build(sdks: Path) -> Path:
    """The directory `sdks/<hash>` for the modelyard that is installed here, made if it is not there yet."""
    files = sorted(_files())
    digest = hashlib.sha256()
    for name, source in files:
        digest.update(f"{name}\0{hashlib.sha256(source.read_bytes()).hexdigest()}\n".encode())
    target = sdks / digest.hexdigest()[:16]
    if target.is_dir():
        return target
    building = sdks / f".{target.name}.{os.getpid()}"
    shutil.rmtree(building, ignore_errors=True)
    for name, source in files:
        placed = building / name
        placed.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, placed)
    try:
        os.replace(building, target)
    except OSError:  # another agent of this home was quicker
        shutil.rmtree(building, ignore_errors=True)
        if not target.is_dir():
            raise
    return target


def compile_for(sdk: Path, interpreter: str) -> None:
    """Byte-compile the bundle with `interpreter`, once, so that no run pays for it at import.

    Harmless if it fails: Python then compiles in memory. A bundle that somebody deleted is laid out again.
    """
    if not sdk.is_dir():
        build(sdk.parent)
    real = os.path.realpath(interpreter)
    name = hashlib.sha256(real.encode()).hexdigest()[:12]
    done = sdk.parent / f"{sdk.name}.compiled-{name}"
    with _compiling:
        if done.exists():
            return
        # The stamp of a source is not looked at again (PEP 552): a bundle never changes once it is there.
        command = [
            interpreter,
            "-I",
            "-m",
            "compileall",
            "-q",
            "-q",
            "--invalidation-mode",
            "unchecked-hash",
            str(sdk),
        ]
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(command, capture_output=True, timeout=_COMPILE_TIMEOUT_S, check=False)
        done.touch()


def _files() -> Iterator[tuple[str, Path]]:
    """(path in the bundle, source file) of everything that belongs in it."""
    for entry in sorted(_PACKAGE.iterdir()):
        if entry.name not in _NOT_FOR_USERS:
            yield from _below(entry, f"modelyard/{entry.name}")
    root = _compat_root()
    if root is None:
        log.warning("no azureml tree beside modelyard: scripts that import azureml.* will not find it")
        return
    for entry in sorted(root.iterdir()):
        if entry.is_dir() and entry.name.startswith("azureml"):
            yield from _below(entry, entry.name)


def _below(entry: Path, name: str) -> Iterator[tuple[str, Path]]:
    if entry.is_dir():
        for child in sorted(entry.iterdir()):
            if child.name != "__pycache__":
                yield from _below(child, f"{name}/{child.name}")
    elif entry.suffix != ".pyc":
        yield name, entry


def _compat_root() -> Path | None:
    """Inside the wheel, or in the repository beside `src`."""
    for candidate in (_PACKAGE / "_bundle", _PACKAGE.parent.parent / "azureml"):
        if (candidate / "azureml").is_dir():
            return candidate
    return None
