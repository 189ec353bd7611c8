"""Published SDK v1 notebooks, executed as they are; judged by what the yard then holds, not by cell text.

They come from a checkout of Azure/MachineLearningNotebooks (MIT) as of 2020-08-31, commit 71861278, named by
MODELYARD_V1_NOTEBOOKS; without one these tests are skipped.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from python_environments import MLFLOW_1, TENSORBOARD, environment

from modelyard.mlflow_runs import register_model

NOTEBOOKS = Path(
    os.environ.get(
        "MODELYARD_V1_NOTEBOOKS", Path.home() / ".cache" / "modelyard-test-tools" / "MachineLearningNotebooks"
    )
)
ROOT = Path(__file__).parents[3]
_CELL_S = 120  # environments included; a cell that takes longer hangs


@pytest.fixture
def execute(yard: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run one notebook in a copy of its folder, in a kernel of this environment, against the session's yard."""

    def run(path: str, kernel: str = "python3") -> nbformat.NotebookNode:
        source = NOTEBOOKS / path
        if not source.exists():
            pytest.skip(
                f"{path} is not here: set MODELYARD_V1_NOTEBOOKS to a checkout of Azure/MachineLearningNotebooks"
            )
        folder = tmp_path / "notebook"
        shutil.copytree(source.parent, folder)
        monkeypatch.setenv("MODELYARD_HOME", str(yard.home))
        monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'azureml'}{os.pathsep}{ROOT / 'src'}")
        monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
        monkeypatch.setenv("MPLBACKEND", "agg")
        monkeypatch.setenv("MORE", "-e")  # newer `more` waits for a key at the end of a file
        _without_docker(tmp_path, monkeypatch)
        book = nbformat.read(folder / source.name, as_version=4)
        client = NotebookClient(
            book, timeout=_CELL_S, kernel_name=kernel, resources={"metadata": {"path": str(folder)}}
        )
        client.execute()
        return book

    return run


def _without_docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The notebooks ask `docker -v` first; a client without an engine would answer it and then fail them."""
    shim = tmp_path / "bin" / "docker"
    shim.parent.mkdir()
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", f"{shim.parent}:{os.environ['PATH']}")


@pytest.fixture
def workspace(yard: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("MODELYARD_HOME", str(yard.home))
    from modelyard import Workspace

    return Workspace.get("default")


def test_train_on_local(execute: Any, workspace: Any) -> None:
    execute("how-to-use-azureml/training/train-on-local/train-on-local.ipynb")
    runs = list(workspace.experiments["train-on-local"].get_runs())
    assert len(runs) >= 2
    assert {run.status for run in runs} == {"Completed"}
    metrics = runs[0].get_metrics()
    assert len(metrics["alpha"]) == len(metrics["mse"]) > 1
    assert "outputs/ridge_0.40.pkl" in runs[0].get_file_names()
    assert workspace.models["best_ridge_model"].run_id in {run.id for run in runs}


def test_manage_runs(execute: Any, workspace: Any) -> None:
    execute("how-to-use-azureml/track-and-monitor-experiments/manage-runs/manage-runs.ipynb")
    runs = list(workspace.experiments["explore-runs"].get_runs())
    for run in runs:  # the notebook asks for a cancel and does not wait for it
        run.wait_for_completion(raise_on_error=False)
    statuses = [run.get_status() for run in runs]
    assert {"Completed", "Canceled", "Failed"} <= set(statuses)
    assert any(len(list(run.get_children())) == 5 for run in runs)
    tagged = [run for run in runs if run.get_tags().get("quality") == "fantastic run"]
    assert len(tagged) == 1
    assert tagged[0].get_properties()["author"] == "azureml-user"


def test_logging_api(execute: Any, workspace: Any) -> None:
    pytest.importorskip("tqdm")
    execute("how-to-use-azureml/track-and-monitor-experiments/logging-api/logging-api.ipynb")
    (run,) = workspace.experiments["logging-api-test"].get_runs()
    metrics = run.get_metrics()
    assert metrics["Magic Number"] == 84
    assert metrics["Fibonacci"][-1] == 178
    assert len(metrics["Sigmoid"]) == 20
    assert len(metrics["Cosine Wave"]["cos"]) == len(metrics["Sine Wave"]["sine"]) == 20
    assert "outputs/myfile.txt" in run.get_file_names()


def test_export_run_history_to_tensorboard(
    execute: Any, workspace: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tqdm")
    monkeypatch.setenv("PATH", f"{environment(*TENSORBOARD).parent}:{os.environ['PATH']}")
    execute(
        "how-to-use-azureml/track-and-monitor-experiments/tensorboard/export-run-history-to-tensorboard/"
        "export-run-history-to-tensorboard.ipynb"
    )
    (run,) = workspace.experiments["export-to-tensorboard"].get_runs()
    assert run.get_status() == "Completed"
    assert len(run.get_metrics()["mse"]) == len(list(run.get_children())) == 7
    exported = tmp_path / "notebook" / "exportedTBlogs"
    assert {folder.name for folder in exported.iterdir()} == {run.id, *(c.id for c in run.get_children())}


@pytest.fixture
def mlflow_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A kernel whose Python has MLflow as it was in 2022."""
    python = environment(*MLFLOW_1, "ipykernel<7", "ipython<9", "matplotlib<3.9")
    spec = tmp_path / "jupyter" / "kernels" / "mlflow-1"
    spec.mkdir(parents=True)
    started = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (spec / "kernel.json").write_text(
        json.dumps({"argv": started, "display_name": "mlflow-1", "language": "python"})
    )
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    return spec.name


def test_mlflow_train_local(execute: Any, workspace: Any, mlflow_kernel: str) -> None:
    execute(
        "how-to-use-azureml/track-and-monitor-experiments/using-mlflow/train-local/train-local.ipynb",
        mlflow_kernel,
    )
    (run,) = workspace.experiments["experiment-with-mlflow"].get_runs()
    assert run.get_status() == "Completed"
    assert run.get_metrics()["alpha"] == 0.03
    assert run.get_metrics()["mse"] > 1000
    assert {"actuals_vs_predictions.png", "model/MLmodel"} <= set(run.get_file_names())
    theirs = SimpleNamespace(info=SimpleNamespace(run_id=run.id))
    model = register_model(theirs, "diabetes-of-mlflow", "model")
    assert (model.version, model.run_id) == (1, run.id)


def test_register_model_deploy_local(execute: Any, workspace: Any) -> None:
    execute("how-to-use-azureml/deployment/deploy-to-local/register-model-deploy-local.ipynb")
    assert workspace.models["sklearn_regression_model"].tags == {"area": "diabetes", "type": "regression"}
    assert "test" not in workspace.webservices


def test_register_model_deploy_local_advanced(execute: Any, workspace: Any) -> None:
    execute("how-to-use-azureml/deployment/deploy-to-local/register-model-deploy-local-advanced.ipynb")
    assert "test" not in workspace.webservices


def test_multi_model_register_and_deploy(execute: Any, workspace: Any) -> None:
    execute("how-to-use-azureml/deployment/deploy-multi-model/multi-model-register-and-deploy.ipynb")
    assert {"my_first_model", "my_second_model"} <= set(workspace.models)


def test_onnx_model_register_and_deploy(execute: Any, workspace: Any) -> None:
    execute("how-to-use-azureml/deployment/onnx/onnx-model-register-and-deploy.ipynb")
    assert workspace.models["mnist-sample"].model_framework == "Onnx"
    assert "onnx-mnist-service" not in workspace.webservices
