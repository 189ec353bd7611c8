"""MLflow's own client in a submitted run, as its users have it: nothing is told to it but by the run's variables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from python_environments import MLFLOW, environment

SCRIPT = """
import mlflow

with mlflow.start_run() as run:
    mlflow.log_param("alpha", 0.5)
    mlflow.log_metric("rmse", 1.0, step=1)
    mlflow.log_text("hello", "notes/a.txt")
    with mlflow.start_run(nested=True, run_name="kid"):
        mlflow.log_metric("rmse", 0.5)
with mlflow.start_run(run_name="second"):
    mlflow.log_metric("z", 1)
print("joined", run.info.run_id)
"""


def test_start_run_goes_on_with_the_submitted_run(
    yard: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from modelyard import Environment, Experiment, ScriptRunConfig, Workspace

    monkeypatch.setenv("MODELYARD_HOME", str(yard.home))
    (tmp_path / "train.py").write_text(SCRIPT)
    mine = Environment("mlflow")
    mine.python.user_managed_dependencies = True
    mine.python.interpreter_path = str(environment(*MLFLOW))
    config = ScriptRunConfig(source_directory=str(tmp_path), script="train.py", environment=mine)
    run = Experiment(Workspace.from_config(), "mlflow-in-a-run").submit(config)
    run.wait_for_completion()
    assert run.get_status() == "Completed"
    assert run.get_metrics() == {"rmse": 1.0}
    assert run.params == {"alpha": "0.5"}
    assert "notes/a.txt" in run.get_file_names()
    children = {child.display_name: child for child in run.get_children()}
    assert set(children) == {"kid", "second"}
    assert {child.get_status() for child in children.values()} == {"Completed"}
    assert children["kid"].get_metrics() == {"rmse": 0.5}
