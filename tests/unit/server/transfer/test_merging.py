"""What becomes of things that the workspace has already, by each rule."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from workspace_files import bring, opened

from modelyard import errors
from modelyard.models import Model
from modelyard.workspace import Workspace


@pytest.fixture
def other(exported: Path, source: Workspace, start_server: Callable[..., Any], tmp_path: Path) -> Any:
    """A yard whose workspace `copy` came from the file, and has changed since: a run, a model and a file of the datastore."""
    server = start_server()
    bring(server, exported, "copy")
    copy = opened(server, "copy")
    _tagged(copy).tag("team", "theirs")
    Model(copy, "net").add_tags({"best": "no"})
    (tmp_path / "changed").mkdir()
    changed = tmp_path / "changed" / "weights.bin"
    changed.write_bytes(b"other")
    copy.get_default_datastore().upload_files([str(changed)], overwrite=True)
    return server


def _tagged(workspace: Workspace) -> Any:
    return next(run for run in workspace.runs.values() if "team" in run.tags)


def _fates(report: Any) -> dict[str, dict[str, int]]:
    kinds = ("added", "skipped", "replaced", "renamed")
    found = {c.kind: {k: getattr(c, k) for k in kinds if getattr(c, k)} for c in report.counts}
    return {kind: fates for kind, fates in found.items() if fates}


def test_fail_names_them_and_changes_nothing(other: Any, exported: Path) -> None:
    with pytest.raises(errors.AzureMLException, match="Nothing was imported") as told:
        bring(other, exported, "copy", into=True)
    assert {name.split(" '")[0] for name in told.value.extra["others"]} == {"run", "model", "datastore file"}
    assert _tagged(opened(other, "copy")).tags["team"] == "theirs"


def test_skip_leaves_them(other: Any, exported: Path) -> None:
    report = bring(other, exported, "copy", into=True, merge="skip")
    assert _fates(report) == {k: {"skipped": 1} for k in ("run", "model", "datastore file")}
    assert _tagged(opened(other, "copy")).tags["team"] == "theirs"


def test_replace_takes_the_files(other: Any, exported: Path) -> None:
    report = bring(other, exported, "copy", into=True, merge="replace")
    assert _fates(report) == {k: {"replaced": 1} for k in ("run", "model", "datastore file")}
    copy = opened(other, "copy")
    assert _tagged(copy).tags["team"] == "ä"
    assert Model(copy, "net", version=1).tags == {"best": "yes"}
    assert len(copy.runs) == 3
    assert len(list(_tagged(copy).get_children())) == 1


def test_rename_keeps_both_and_does_so_once(other: Any, exported: Path) -> None:
    report = bring(other, exported, "copy", into=True, merge="rename")
    assert _fates(report) == {
        **{k: {"renamed": 1} for k in ("run", "model", "datastore file")},
        "alias": {"skipped": 1},
    }
    copy = opened(other, "copy")
    assert len(copy.runs) == 4
    assert Model(copy, "net", version=2).tags == {"best": "yes"}
    (new_id,) = report.renamed_runs.values()
    assert copy.get_run(new_id).tags["team"] == "ä"
    assert _fates(bring(other, exported, "copy", into=True, merge="rename")) == {"alias": {"skipped": 1}}


def test_a_preview_tells_the_same_and_writes_nothing(other: Any, exported: Path) -> None:
    report = bring(other, exported, "copy", into=True, merge="replace", preview=True)
    assert _fates(report) == {k: {"replaced": 1} for k in ("run", "model", "datastore file")}
    assert report.preview
    assert _tagged(opened(other, "copy")).tags["team"] == "theirs"
    bring(other, exported, "elsewhere", merge="rename", preview=True)
    assert "elsewhere" not in {w.name for w in _workspaces(other)}


def test_a_run_of_another_workspace_comes_in_only_under_a_new_id(other: Any, exported: Path) -> None:
    with pytest.raises(errors.AzureMLException, match="--merge rename"):
        bring(other, exported, "second")
    assert "second" not in {w.name for w in _workspaces(other)}
    report = bring(other, exported, "second", merge="rename")
    second = opened(other, "second")
    assert set(report.renamed_runs.values()) == set(second.runs)
    (child,) = _tagged(second).get_children()
    assert child.parent.id == _tagged(second).id
    assert Model(second, "net").run_id == _tagged(second).id
    told = bring(other, exported, "third", merge="rename", preview=True).renamed_runs
    assert bring(other, exported, "third", merge="rename").renamed_runs == told
    assert not set(told.values()) & set(second.runs)


def test_a_workspace_that_is_there_is_not_made_again(other: Any, exported: Path) -> None:
    with pytest.raises(errors.AzureMLException, match="--into copy"):
        bring(other, exported, "copy")
    with pytest.raises(errors.AzureMLException, match="no workspace 'nobody'"):
        bring(other, exported, "nobody", into=True)


def _workspaces(server: Any) -> Any:
    from modelyard.wire.workspaces import WorkspaceList

    return opened(server)._client.request("GET", "/api/v1/workspaces", kind=WorkspaceList).items
