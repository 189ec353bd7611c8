from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from modelyard.node.environments.builder import Builder, BuildFailed
from modelyard.wire.environments import EnvironmentSpec, PythonSpec


def _spec(path: str) -> EnvironmentSpec:
    return EnvironmentSpec(python=PythonSpec(user_managed=True, interpreter_path=path))


def _refusal(tmp_path: Path, path: str) -> str:
    with pytest.raises(BuildFailed) as caught:
        Builder(tmp_path / "environments").ensure(_spec(path), lambda line: None)
    return str(caught.value)


def test_an_interpreter_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "'/no/such/python' does not exist" in _refusal(tmp_path, "/no/such/python")
    assert "PATH" in _refusal(tmp_path, "python9.99")
    assert "relative" in _refusal(tmp_path, "bin/python")
    assert "directory" in _refusal(tmp_path, str(tmp_path))


def test_a_file_that_is_no_python_is_named_with_what_it_says(tmp_path: Path) -> None:
    file = tmp_path / "python"
    file.write_text("#!/bin/sh\necho not me >&2\nexit 3\n")
    assert "execute permission" in _refusal(tmp_path, str(file))
    file.chmod(0o755)
    said = _refusal(tmp_path, str(file))
    assert "exit code 3" in said
    assert "not me" in said
    broken = tmp_path / "broken"
    broken.write_text("#!/no/such/interpreter\n")
    broken.chmod(0o755)
    assert "can't be run" in _refusal(tmp_path, str(broken))


def test_a_known_interpreter_costs_next_to_nothing(tmp_path: Path) -> None:
    link = tmp_path / "python-of-mine"
    link.symlink_to(os.path.realpath(sys.executable))
    builder = Builder(tmp_path / "environments")
    first = builder.ensure(_spec(str(link)), lambda line: None)
    assert first.interpreter == str(link)
    begin = time.perf_counter()
    for _ in range(20):
        builder.ensure(_spec(str(link)), lambda line: None)
    assert (time.perf_counter() - begin) / 20 < 0.005


def test_an_interpreter_is_remembered_over_a_restart(tmp_path: Path) -> None:
    link = tmp_path / "python-of-mine"
    link.symlink_to(os.path.realpath(sys.executable))
    first = Builder(tmp_path / "environments").ensure(_spec(str(link)), lambda line: None)
    assert Builder(tmp_path / "environments").ensure(_spec(str(link)), lambda line: None) == first
    assert len(list((tmp_path / "environments").glob("interpreter-*.json"))) == 1


def test_a_package_installed_meanwhile_is_in_the_next_lock(tmp_path: Path) -> None:
    import subprocess

    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "venv")], check=True)
    builder = Builder(tmp_path / "environments")
    spec = _spec(str(tmp_path / "venv" / "bin" / "python"))
    assert builder.ensure(spec, lambda line: None).lock == []
    packages = next((tmp_path / "venv").glob("lib/*/site-packages"))
    (packages / "New_Package-2.1.dist-info").mkdir()
    assert builder.ensure(spec, lambda line: None).lock == ["new-package==2.1"]
