"""A workspace leaves one yard and is the same in another."""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from workspace_files import Rows, bring, opened, tables_of

from modelyard import errors
from modelyard.experiment import Experiment
from modelyard.models import Model
from modelyard.workspace import Workspace

Start = Callable[..., Any]


def test_the_imported_workspace_is_exported_to_the_same_tables(
    exported: Path, start_server: Start, tmp_path: Path
) -> None:
    other = start_server()
    report = bring(other, exported, "copy")
    assert {c.kind: c.added for c in report.counts} == {
        "datastore file": 1, "model name": 1, "model": 1, "alias": 1, "experiment": 1, "run": 3,
    }  # fmt: skip
    assert report.ended == 1
    for table in ("run_datasets", "run_models", "logged_models", "logged_model_metrics"):
        assert tables_of(exported, tmp_path)[table], table
    opened(other, "copy").export(str(tmp_path / "again.zip"))
    _same_but_for_what_ended(exported, tmp_path / "again.zip", tmp_path)


def test_a_workspace_moves_from_sqlite_to_postgresql(
    exported: Path, start_server: Start, service: Callable[[str], str], tmp_path: Path
) -> None:
    other = start_server(database=service("postgresql"))
    bring(other, exported, "copy")
    copy = opened(other, "copy")
    copy.export(str(tmp_path / "again.zip"))
    _same_but_for_what_ended(exported, tmp_path / "again.zip", tmp_path)
    copy.delete()


def test_the_imported_workspace_works(
    source: Workspace, exported: Path, start_server: Start, tmp_path: Path
) -> None:
    other = start_server()
    bring(other, exported, "copy")
    copy = opened(other, "copy")
    there = {run.id: run for run in source.runs.values()}
    here = {run.id: run for run in copy.runs.values()}
    assert set(here) == set(there)
    for run_id, run in here.items():
        assert repr(run.get_metrics()) == repr(there[run_id].get_metrics())
        assert run.tags == there[run_id].tags
        assert run.get_file_names() == there[run_id].get_file_names()
    (root,) = [run for run in here.values() if "team" in run.tags]
    assert [c.id for c in root.get_children()] == [c.id for c in there[root.id].get_children()]
    assert [run.status for run in here.values() if run.status != "Completed"] == ["Canceled"]
    model = Model(copy, "net@champion")
    assert Path(model.download(str(tmp_path / "model"))).read_bytes() == b"w" * 5000
    assert math.copysign(1, root.get_metrics()["odd"][-1]) == -1
    new = Experiment(copy, "training").start_logging(snapshot_directory=None)
    assert new.number > max(run.number for run in here.values())
    new.complete()


def test_keys_and_tokens_have_no_place_in_the_file(exported: Path) -> None:
    with zipfile.ZipFile(exported) as archive:
        manifest = json.loads(archive.read("manifest.json"))
    columns = {column for table in manifest["tables"].values() for column in table}
    assert not {c for c in columns if "token" in c or c.endswith("_key") or "lease" in c}
    assert "tokens" not in manifest["tables"]


def test_importing_again_adds_nothing(exported: Path, start_server: Start) -> None:
    other = start_server()
    bring(other, exported, "copy")
    report = bring(other, exported, "copy", into=True)
    assert all(c.same and not c.added for c in report.counts)


def test_a_part_leaves_with_the_runs_below_and_their_models_alone(
    source: Workspace, start_server: Start, tmp_path: Path
) -> None:
    Experiment(source, "other").start_logging(snapshot_directory=None).complete()
    (root,) = [run for run in source.runs.values() if "team" in run.tags]
    file = tmp_path / "part.zip"
    source.export(str(file), runs=[root.id])
    other = start_server()
    assert {c.kind: c.added for c in bring(other, file, "part").counts} == {
        "model name": 1, "model": 1, "alias": 1, "experiment": 1, "run": 2,
    }  # fmt: skip
    assert list(opened(other, "part").datastores) == ["workspaceblobstore"]
    source.export(str(file), experiments=["other"], files=False)
    assert {c.kind: c.added for c in bring(other, file, "second").counts} == {"experiment": 1, "run": 1}
    with pytest.raises(errors.AzureMLException, match="no run 'nobody'"):
        source.export(str(file), runs=["nobody"])


def _same_but_for_what_ended(before: Path, after: Path, scratch: Path) -> None:
    first, second = tables_of(before, scratch), tables_of(after, scratch)
    _without_import(second)
    assert first.keys() == second.keys()
    for table, rows in first.items():
        if table != "runs":
            assert second[table] == rows, table
            continue
        assert [row[0] for row in second[table]] == [row[0] for row in rows]
        (ended,) = [row for row, was in zip(second[table], rows, strict=True) if row != was]
        assert "'Canceled'" in ended


def _without_import(tables: Rows) -> None:
    tables["events"] = [row for row in tables["events"] if "'workspace.imported'" not in row]
