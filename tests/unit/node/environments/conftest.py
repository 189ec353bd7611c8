"""Packages made on the spot, so that real builds need no network."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from conda_channel import CondaChannel

from modelyard.wire.environments import EnvironmentSpec, PythonSpec

# A build back end of its own: says that it began, then waits for the gate to open.
_BACKEND = """
import os, pathlib, sys, time, zipfile
def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    with open(os.environ["TEST_BEGAN"], "a") as file:
        file.write("x")
    end = time.monotonic() + 60
    while not os.path.exists(os.environ["TEST_GATE"]) and time.monotonic() < end:
        time.sleep(0.01)
    name = "slow-1.0-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(wheel_directory, name), "w") as wheel:
        wheel.writestr("slow.py", "")
        wheel.writestr("slow-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: slow\\nVersion: 1.0\\n")
        wheel.writestr("slow-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("slow-1.0.dist-info/RECORD", "")
    return name
"""


@dataclass
class Packages:
    """A directory that uv is told to install from, and nothing else."""

    directory: Path

    def wheel(self, name: str, version: str = "1.0", requires: str = "", tag: str = "py3-none-any") -> None:
        file = self.directory / f"{name}-{version}-{tag}.whl"
        requirement = f"Requires-Dist: {requires}\n" if requires else ""
        with zipfile.ZipFile(file, "w") as wheel:
            wheel.writestr(f"{name}/__init__.py", f"version = {version!r}\n")
            info = f"{name}-{version}.dist-info"
            wheel.writestr(
                f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requirement}"
            )
            wheel.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
            wheel.writestr(f"{info}/RECORD", "")

    def slow_source(self) -> None:
        """`slow` 1.0, a source package that builds only once the gate is open."""
        files = {
            "slow-1.0/PKG-INFO": "Metadata-Version: 2.1\nName: slow\nVersion: 1.0\n",
            "slow-1.0/pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
            '[project]\nname = "slow"\nversion = "1.0"\n',
            "slow-1.0/backend.py": _BACKEND,
        }
        with tarfile.open(self.directory / "slow-1.0.tar.gz", "w:gz") as archive:
            for name, text in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(text.encode())
                archive.addfile(info, io.BytesIO(text.encode()))

    @property
    def options(self) -> list[str]:
        return ["--no-index", f"--find-links {self.directory}"]

    def spec(self, *requirements: str, **fields: object) -> EnvironmentSpec:
        python = PythonSpec(requirements=list(requirements), pip_options=self.options)
        return EnvironmentSpec(python=python, **fields)  # type: ignore[arg-type]  # fields by name


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Packages:
    directory = tmp_path / "packages"
    directory.mkdir()
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("TEST_BEGAN", str(tmp_path / "began"))
    monkeypatch.setenv("TEST_GATE", str(tmp_path / "gate"))
    return Packages(directory)


@pytest.fixture
def gate(tmp_path: Path, packages: Packages) -> Callable[[], None]:
    """Lets the build of `slow` go on."""
    return (tmp_path / "gate").touch


@pytest.fixture
def began(tmp_path: Path) -> Callable[[], int]:
    """How many builds of `slow` have begun."""
    file = tmp_path / "began"
    return lambda: file.stat().st_size if file.exists() else 0


@pytest.fixture
def channel(tmp_path: Path, packages: Packages, monkeypatch: pytest.MonkeyPatch) -> CondaChannel:
    """A channel with a `python`, `alpha` 1.0, and `beta` 1.5 that it needs."""
    monkeypatch.setenv("RATTLER_CACHE_DIR", str(tmp_path / "rattler-cache"))
    made = CondaChannel(tmp_path / "channel")
    made.python()
    made.module("beta", "1.5")
    made.module("alpha", requires="beta >=1")
    made.index()
    return made
