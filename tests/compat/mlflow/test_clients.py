"""MLflow's own clients, of 1.30 and of 3: what a script leaves in a yard is what it leaves on an `mlflow server`."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from python_environments import AUTOLOGGING, MLFLOW, MLFLOW_1, cpu_torch, environment, interpreter

pytestmark = pytest.mark.timeout(900)  # making the environments takes minutes, once

SCRIPTS = Path(__file__).parent / "scripts"


def start(python: Path, script: str, uri: str, out: Path, token: str = "") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [python, SCRIPTS / script, uri, out],
        env={
            **os.environ,
            "MLFLOW_TRACKING_TOKEN": token,
            "OMP_NUM_THREADS": "1",
            "PYTHONWARNINGS": "ignore",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=out.parent,
    )


def result(process: subprocess.Popen[str], out: Path) -> Any:
    said, _ = process.communicate(timeout=800)
    assert process.returncode == 0, said[-6000:]
    return json.loads(out.read_text())


def both(python: Path, script: str, sides: tuple[str, str, str], directory: Path) -> tuple[Any, Any]:
    """What the script found on an MLflow server and in the yard; run side by side."""
    mlflow_uri, yard_uri, token = sides
    theirs = start(python, script, mlflow_uri, directory / "mlflow.json")
    ours = start(python, script, yard_uri, directory / "yard.json", token)
    return result(theirs, directory / "mlflow.json"), result(ours, directory / "yard.json")


@pytest.fixture(scope="module")
def sides(mlflow_server: str, yard_server: tuple[str, str]) -> tuple[str, str, str]:
    return (mlflow_server, *yard_server)


def test_a_script_of_mlflow_3_leaves_the_same_as_on_an_mlflow_server(
    sides: tuple[str, str, str], tmp_path: Path
) -> None:
    theirs, ours = both(environment(*MLFLOW), "fluent.py", sides, tmp_path)
    assert ours == theirs
    assert ours["registry"]["by alias"] == [2.0, 4.0]


def test_a_script_of_mlflow_1_30_works_unchanged(new_workspace: tuple[str, str], tmp_path: Path) -> None:
    python = environment(*MLFLOW_1, python=interpreter("3.9"))
    found = result(
        start(python, "fluent.py", new_workspace[0], tmp_path / "out", new_workspace[1]), tmp_path / "out"
    )
    assert found["metrics"] == {"m": 0.75, "n": 1.0}
    assert found["params"] == {"a": "1", "b": "2", "c": "x"}
    assert found["files"][:3] == ["d.json", "many/hello wörld.txt", "model/MLmodel"]
    assert found["downloaded"] == {"dir/hello wörld.txt": "hello"}
    assert found["predicted"] == found["registry"]["loaded"] == [2.0, 4.0]
    assert found["registry"]["stages"] == {"1": "Archived", "2": "Production"}
    assert found["registry"]["deleted"] == "RESOURCE_DOES_NOT_EXIST"


@pytest.fixture(scope="module")
def autologged(
    sides: tuple[str, str, str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Library -> what arrived, at an MLflow server and in the yard."""
    torch = cpu_torch()
    if torch is None:
        pytest.skip("no wheel of torch for the CPU is to be had: name a directory with one in PIP_FIND_LINKS")
    python = environment(*AUTOLOGGING, torch.requirement, options=("--find-links", torch.directory))
    return both(python, "autologging.py", sides, tmp_path_factory.mktemp("autologged"))


@pytest.mark.parametrize("library", ["sklearn", "search", "xgboost", "lightgbm", "pytorch"])
def test_autologging_lands_whole(autologged: tuple[dict[str, Any], dict[str, Any]], library: str) -> None:
    theirs, ours = (side[library] for side in autologged)
    different = {key: (theirs[key], ours[key]) for key in theirs if ours[key] != theirs[key]}
    assert not different
    assert ours["status"] == "FINISHED"
    assert ours["params"]
    assert any("MLmodel" in model["files"] for model in ours["models"])
