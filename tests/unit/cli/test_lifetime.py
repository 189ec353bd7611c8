"""modelyard trash, receipt, gc, retention, and deleting and archiving by the concepts' own commands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def run_id(server: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A run that is over, with a file."""
    monkeypatch.setenv("MODELYARD_URL", server.url)
    monkeypatch.setenv("MODELYARD_TOKEN", server.owner_token)
    monkeypatch.chdir(tmp_path)
    from modelyard import Experiment, Workspace

    run = Experiment(Workspace.get("default"), "forecast").start_logging(snapshot_directory=None)
    (tmp_path / "a.bin").write_bytes(b"a" * 3000)
    run.upload_file("outputs/a.bin", "a.bin")
    run.complete()
    return str(run.id)


def test_a_run_is_deleted_brought_back_and_deleted_for_good(run_id: str, modelyard: Callable) -> None:
    preview = modelyard("run", "delete", run_id, "--preview")
    assert "2.9 KiB" in preview.out
    deleted = modelyard("run", "delete", run_id, "--yes")
    assert f"modelyard trash restore {run_id}" in deleted.err
    assert modelyard("run", "show", run_id).code == 3
    assert [i["id"] for i in modelyard("trash", "list", "-o", "json").json] == [run_id]
    assert modelyard("trash", "restore", run_id).code == 0
    receipt = modelyard("run", "delete", run_id, "--purge", "--yes", "-o", "json").json
    assert (receipt["runs"], receipt["freed_bytes"]) == (1, 3000)
    shown = modelyard("receipt", "show", receipt["id"], "--items").json
    assert [i["kind"] for i in shown["items"]] == ["run", "blob"]
    assert modelyard("receipt", "list", "-o", "json").json[0]["id"] == receipt["id"]
    assert modelyard("receipt", "show", "nothing").code == 3
    assert modelyard("trash", "empty", "--yes").code == 4
    assert modelyard("trash", "restore", run_id).code == 3


def test_an_experiment_and_a_model_say_how_they_come_back(
    run_id: str, modelyard: Callable, tmp_path: Path
) -> None:
    assert modelyard("experiment", "delete", "forecast", "--yes").code == 4
    assert "1 (0 child runs)" in modelyard("experiment", "delete", "forecast", "--preview").out
    said = modelyard("experiment", "delete", "forecast", "--force", "--yes").err
    experiment = said.rpartition("restore ")[2].partition("'")[0]
    assert modelyard("trash", "restore", experiment, "--name", "weather").code == 0
    assert modelyard("run", "list", "-e", "weather", "-o", "json").json[0]["id"] == run_id
    assert modelyard("model", "register", "--name", "m", "--path", "a.bin").code == 0
    assert "trash restore m:1" in modelyard("model", "delete", "m:1", "--yes").err
    assert modelyard("trash", "empty", "m:1", "--yes", "-o", "json").json["models"] == 1


def test_runs_are_archived_and_come_back(run_id: str, modelyard: Callable) -> None:
    assert modelyard("run", "archive", run_id).code == 0
    assert modelyard("run", "list", "-o", "json").json == []
    assert modelyard("run", "list", "--archived", "-o", "json").json[0]["id"] == run_id
    assert modelyard("run", "reactivate", run_id).code == 0
    assert modelyard("run", "list", "-o", "json").json[0]["id"] == run_id


def test_rules_are_made_tried_applied_and_removed(run_id: str, modelyard: Callable) -> None:
    assert modelyard("retention", "set").code == 2
    assert modelyard("retention", "set", "-e", "forecast", "--keep-last", "1").code == 0
    outputs = ("retention", "set", "outputs", "--what", "outputs", "--keep-days", "0.000000001")
    assert modelyard(*outputs, "--filter", "status = 'Completed'").code == 0
    assert [r["name"] for r in modelyard("retention", "list", "-o", "json").json] == [
        "forecast-runs",
        "outputs",
    ]
    tried = {r["rule"]: r["runs"] for r in modelyard("retention", "apply", "--dry-run", "-o", "json").json}
    assert tried == {"forecast-runs": [], "outputs": [run_id]}
    assert modelyard("retention", "apply", "--yes", "-o", "json").json[0]["files"] == 1
    assert modelyard("retention", "remove", "outputs").code == 0
    assert modelyard("retention", "remove", "outputs").code == 3


def test_garbage_is_looked_at_and_collected(run_id: str, modelyard: Callable) -> None:
    assert modelyard("gc", "--dry-run", "-o", "json").json["blobs"] == 0
    assert modelyard("gc", "-o", "json").json["finished_at"] is not None
