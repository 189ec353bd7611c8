"""Runs as MLflow's client has them, and what v1 did with them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from modelyard import Experiment, Workspace, errors, mlflow_runs
from modelyard.runs.sending import sender


@pytest.fixture
def workspace(server: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Workspace]:
    monkeypatch.setenv("MODELYARD_URL", server.url)
    monkeypatch.setenv("MODELYARD_TOKEN", server.owner_token)
    monkeypatch.chdir(tmp_path)
    made = Workspace.create("shared", exist_ok=True)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url + "/mlflow/shared")
    yield made
    sender()._owned.clear()
    sender()._streams.clear()
    made._client.close()


def test_what_mlflow_logged_is_registered_from_its_run(workspace: Workspace, tmp_path: Path) -> None:
    run = Experiment(workspace, "e").start_logging(snapshot_directory=None)
    (tmp_path / "MLmodel").write_text("flavors: {}\n")
    run.upload_file("model/MLmodel", str(tmp_path / "MLmodel"))
    theirs = SimpleNamespace(info=SimpleNamespace(run_id=run.id))
    model = mlflow_runs.register_model(theirs, "diabetes", "model", tags={"a": "b"})
    assert (model.name, model.version, model.run_id, model.tags) == ("diabetes", 1, run.id, {"a": "b"})
    assert mlflow_runs.get_portal_url(theirs) == run.get_portal_url() == mlflow_runs.get_portal_url(run)


def test_what_is_no_run_is_refused(workspace: Workspace) -> None:
    with pytest.raises(errors.UserErrorException, match=r"mlflow\.start_run\(\).*not a str"):
        mlflow_runs.get_portal_url("run_1")
