"""What a run finds first on its PYTHONPATH."""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
import sys

import pytest

from modelyard.node import bundle

PYENV = glob.glob(os.path.expanduser("~/.pyenv/versions/3.7.*/bin"))
OLD_PYTHON = shutil.which("python3.7", path=os.pathsep.join([*PYENV, os.environ["PATH"]]))


@pytest.fixture(scope="module")
def sdk(tmp_path_factory):
    return bundle.build(tmp_path_factory.mktemp("sdk"))


def test_it_holds_what_a_script_imports_and_not_the_yard(sdk):
    assert (sdk / "modelyard" / "wire" / "runs.py").exists()
    assert (sdk / "modelyard" / "scoring" / "host.py").exists()
    assert (sdk / "azureml" / "core" / "__init__.py").exists()
    for name in ("server", "node", "cli"):
        assert not (sdk / "modelyard" / name).exists()


def test_the_same_sources_give_the_same_directory(sdk):
    stamp = sdk.stat().st_mtime_ns
    assert bundle.build(sdk.parent) == sdk
    assert sdk.stat().st_mtime_ns == stamp


@pytest.mark.parametrize("python", [sys.executable, OLD_PYTHON])
def test_it_is_compiled_once_and_imported_by_that_python(sdk, python):
    if python is None:
        pytest.skip("no Python 3.7 on this machine")
    bundle.compile_for(sdk, python)
    code = "import modelyard.wire.metrics as m, azureml.core; from modelyard import Run; print(m.__cached__)"
    done = subprocess.run(
        [python, "-c", code], env={"PYTHONPATH": str(sdk), "PATH": os.environ["PATH"]}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    cached = done.stdout.strip()
    assert cached.startswith(str(sdk))
    assert os.path.exists(cached)
    stamp = os.stat(cached).st_mtime_ns
    bundle.compile_for(sdk, python)
    assert os.stat(cached).st_mtime_ns == stamp
