"""Python environments that tests need beside their own: made once a machine by uv, shared by all workers."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

TOOLS = Path(os.environ.get("MODELYARD_TEST_TOOLS", Path.home() / ".cache" / "modelyard-test-tools"))

# The MLflow whose protocol the yard speaks. uvloop and httptools: without them its server loses 44 ms a request.
MLFLOW = ("mlflow==3.17.2", "uvloop", "httptools")
# A server of it starts eight processes for jobs of its web pages, unless told not to.
NO_JOBS = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
# As it was in 2022, with what it needs from that time.
MLFLOW_1 = ("mlflow==1.30.1", "setuptools<66", "numpy<1.24", "pandas<2", "scikit-learn<1.2")
# What autologging is tried with, beside torch.
AUTOLOGGING = (
    "mlflow==3.17.2",
    "scikit-learn==1.9.1",
    "xgboost==3.2.0",
    "lightgbm==4.7.0",
    "lightning==2.6.6",
)
TENSORBOARD = ("tensorboard==2.21.0", "setuptools<81")  # it imports pkg_resources


class Wheel(NamedTuple):
    """A requirement, and the directory in which what fulfils it lies."""

    requirement: str
    directory: str


def cpu_torch(python: str = "3.11") -> Wheel | None:
    """torch without CUDA, which package indexes have for few systems: from a directory of PIP_FIND_LINKS."""
    tag = "cp" + python.replace(".", "")
    for directory in os.environ.get("PIP_FIND_LINKS", "").split():
        for file in sorted(Path(directory).glob(f"torch-*+cpu-{tag}-*.whl"), reverse=True):
            return Wheel(f"torch=={file.name.split('-')[1]}", directory)
    return None


def interpreter(version: str) -> str:
    """A Python of pyenv's of this version, by path, for uv looks past them; else the version, which uv may bring."""
    found = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python"))
    return str(found[-1]) if found else version


def environment(*packages: str, python: str = "3.11", options: tuple[str, ...] = ()) -> Path:
    """The Python of an environment that holds these packages; made on first use, which may take minutes.

    `options` go to `uv pip install`.
    """
    wanted = "\n".join((python, *options, *packages))
    directory = TOOLS / f"python-{hashlib.sha256(wanted.encode()).hexdigest()[:16]}"
    interpreter = directory / "bin" / "python"
    done = directory / "made-of"
    if done.exists():
        return interpreter
    TOOLS.mkdir(parents=True, exist_ok=True)
    with open(f"{directory}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(directory, ignore_errors=True)
            _uv("venv", "--python", python, str(directory))
            _uv("pip", "install", "--python", str(interpreter), *options, *packages)
            done.write_text(wanted)
    return interpreter


def _uv(*arguments: str) -> None:
    program = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert program, "uv is in the development environment"
    done = subprocess.run([program, "--quiet", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, f"uv {' '.join(arguments)}: {done.stderr}"
