"""kill -9 of the server in the middle of an import or an export: nothing half shows, and the same again completes it."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from typing import Any

import load
import pytest
from services import wait_until

from modelyard import errors
from modelyard.importing.file import WorkspaceFileMade, row_of, run_row
from modelyard.importing.mlflow_import import series_of
from modelyard.importing.mlflow_records import History
from modelyard.server.runs.loading import RunRecord
from modelyard.server.runs.transfer import EXPERIMENTS
from modelyard.workspace import Workspace

RUNS = 1500


@pytest.fixture
def many_runs(tmp_path: Path) -> Path:
    made = WorkspaceFileMade()
    experiment = row_of(
        EXPERIMENTS, id="e", name="many", tags={}, description="", created_at=1.0, last_number=RUNS
    )
    for number in range(1, RUNS + 1):
        steps = list(range(20))
        series = [
            series_of(History(f"m{i}", steps, steps, [float(s * number) for s in steps])) for i in range(3)
        ]
        files = [(made.keep("out.txt", [str(number).encode()]), 1.0)] if number % 10 == 0 else []
        row = run_row(
            id=f"r{number}", experiment_id="e", number=number, type="t", status="Completed", display_name=f"r{number}",
            root_id=f"r{number}", created_at=float(number), started_at=1.0, ended_at=2.0,
        )  # fmt: skip
        made.add_run(RunRecord(row, series, files), experiment)
    file = tmp_path / "many.zip"
    made.write(file, "test")
    made.close()
    return file


def _runs_kept(home: Path) -> int:
    with sqlite3.connect(f"file:{home}/yard.db?mode=ro", uri=True) as db:
        count = int(db.execute("SELECT count(*) FROM runs WHERE id LIKE 'r%'").fetchone()[0])
    db.close()
    return count


def _killed_when(own_yard: Any, kept: int, call: Any) -> None:
    """`call` begins, the server is killed as soon as so many runs are kept, and the call fails."""
    failed: list[BaseException] = []

    def work() -> None:
        try:
            call()
        except errors.AzureMLException as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    wait_until(lambda: _runs_kept(own_yard.home) >= kept, "the import to be under way", 60)
    load.kill(load.server_pid(own_yard.home))
    thread.join(60)
    assert failed
    own_yard.up()


@pytest.mark.timeout(240)
def test_an_import_that_was_killed_does_not_show_and_is_gone_on_with(
    own_yard: Any, workspace: Workspace, many_runs: Path
) -> None:
    def bring() -> Any:
        return Workspace.import_(str(many_runs), name="copy")

    for kept in (1, 600):
        _killed_when(own_yard, kept, bring)
        assert "copy" not in Workspace.list()
    assert list((own_yard.home / "staging").glob("transfer-*")) == []
    report = bring()
    assert {c.kind: c.added + c.same for c in report.counts}["run"] == RUNS
    assert {c.kind: c.same for c in report.counts}["run"] >= 600
    copy = Workspace.get("copy")
    assert len(copy.runs) == RUNS
    assert copy.get_run("r7").get_metrics()["m1"] == [7.0 * step for step in range(20)]
    assert copy.get_run(f"r{RUNS}").get_file_names() == ["out.txt"]


@pytest.mark.timeout(240)
def test_an_import_into_a_workspace_adds_the_rest_when_done_again(
    own_yard: Any, workspace: Workspace, many_runs: Path
) -> None:
    _killed_when(own_yard, 200, lambda: Workspace.import_(str(many_runs), into=workspace))
    there = len(Workspace.get("default").runs)
    assert there == _runs_kept(own_yard.home) < RUNS
    report = Workspace.import_(str(many_runs), into=Workspace.get("default"))
    (runs,) = [c for c in report.counts if c.kind == "run"]
    assert (runs.same, runs.added) == (there, RUNS - there)


@pytest.mark.timeout(240)
def test_an_export_that_was_killed_leaves_no_file(
    own_yard: Any, workspace: Workspace, many_runs: Path, tmp_path: Path
) -> None:
    Workspace.import_(str(many_runs), name="copy")
    target = tmp_path / "exported" / "copy.zip"
    copy = Workspace.get("copy")
    copy._client.patience_s = 0
    failed: list[BaseException] = []

    def work() -> None:
        try:
            copy.export(str(target))
        except errors.AzureMLException as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    staging = own_yard.home / "staging"
    wait_until(lambda: any(staging.glob("transfer-*/tables")), "the export to be under way", 60)
    load.kill(load.server_pid(own_yard.home))
    thread.join(60)
    assert failed
    assert not list((tmp_path / "exported").iterdir())
    own_yard.up()
    assert list(staging.glob("transfer-*")) == []
    assert copy.export(str(target)) == target.stat().st_size
