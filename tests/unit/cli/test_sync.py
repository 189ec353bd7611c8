"""`modelyard sync` and `modelyard tensorboard export` against a server in this process."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelyard import Experiment, Workspace


@pytest.fixture
def served(server: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("MODELYARD_URL", server.url)
    monkeypatch.setenv("MODELYARD_TOKEN", server.owner_token)
    return server


@pytest.fixture
def kept(home: Path) -> Path:
    """A directory with two runs that are over, and no program that holds it."""
    workspace = Workspace.offline(str(home / "offline"))
    for run_id in ("first", "second"):
        with Experiment(workspace, "far").start_logging(run_id=run_id, snapshot_directory=None) as run:
            run.log("loss", 0.5, step=3)
    os.close(workspace._client._lock_file)  # type: ignore[attr-defined]  # as at the end of the program
    return home / "offline"


def test_runs_that_wait_are_listed_sent_once_and_taken_away_when_asked(
    kept: Path, served: Any, modelyard: Callable
) -> None:
    listed = modelyard("sync", "--list", "-o", "json").json
    assert [(one["run"]["id"], one["sent"]) for one in listed] == [("first", ""), ("second", "")]
    done = modelyard("sync", "-o", "json")
    assert (done.code, done.json["failed"]) == (0, {})
    assert [one["run_id"] for one in done.json["sent"]] == ["first", "second"]
    assert modelyard("run", "show", "first", "-o", "json").json["status"] == "Completed"
    again = modelyard("sync", str(kept / "first"))
    assert (again.code, again.err) == (0, "0 runs sent, 1 run had nothing new.\n")
    assert served.url in modelyard("sync", "--list").out
    assert modelyard("sync", "--delete").code == 0
    assert not (kept / "first").exists()
    assert not any((kept / "blobs").glob("*"))


def test_one_run_that_is_refused_keeps_no_other_from_being_sent(
    kept: Path, served: Any, modelyard: Callable
) -> None:
    yard = Workspace.get("default")
    Experiment(yard, "near").start_logging(run_id="first", snapshot_directory=None).complete()
    done = modelyard("sync")
    assert done.code == 1
    assert "error: first: Run id 'first' is taken by another run of this yard" in done.err
    assert modelyard("run", "show", "second", "-o", "json").json["experiment"] == "far"
    yard._client.close()


def test_without_a_yard_nothing_is_lost_and_it_says_so(kept: Path, modelyard: Callable) -> None:
    done = modelyard("sync")
    assert done.code == 5
    assert "modelyard up" in done.err
    assert len(modelyard("sync", "--list", "-o", "json").json) == 2


def test_where_nothing_waits_it_says_so(home: Path, served: Any, modelyard: Callable) -> None:
    done = modelyard("sync")
    assert (done.code, done.err.splitlines()[0]) == (0, "No runs wait here.")


def test_metrics_are_exported_to_tensorboard(
    kept: Path, served: Any, modelyard: Callable, tmp_path: Path
) -> None:
    modelyard("sync")
    assert modelyard("tensorboard", "export", "first", str(tmp_path / "out")).code == 0
    assert modelyard("tensorboard", "export", "-e", "far", str(tmp_path / "all")).code == 0
    assert {folder.name for folder in (tmp_path / "all").iterdir()} == {"first", "second"}
    (file,) = (tmp_path / "out" / "first").iterdir()
    assert b"loss" in file.read_bytes()
    assert modelyard("tensorboard", "export", str(tmp_path / "out")).code == 2
