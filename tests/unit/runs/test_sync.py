"""Runs that were kept offline, sent to a server in this process."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modelyard import Experiment, Run, Workspace, errors
from modelyard.runs import story, sync
from modelyard.runs.scope import Scope
from modelyard.runs.story import Folder
from modelyard.wire.runs import RunUpdate


@pytest.fixture
def yard(server: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Workspace]:
    monkeypatch.setenv("MODELYARD_URL", server.url)
    monkeypatch.setenv("MODELYARD_TOKEN", server.owner_token)
    project = tmp_path / "project"
    project.mkdir()
    (project / "src").mkdir()
    (project / "src" / "train.py").write_text("print('hello')\n")
    monkeypatch.chdir(project)
    made = Workspace.get("default")
    yield made
    made._client.close()


@pytest.fixture
def offline(tmp_path: Path) -> Iterator[Workspace]:
    made = Workspace.offline(str(tmp_path / "kept"))
    yield made
    made._client.sender._owned.clear()


def folder(run: Any) -> Folder:
    return Folder(run._scope.client.directory, run.id)


def scope(yard: Workspace) -> Scope:
    return Scope(yard._client, yard.name)


def script(workspace: Workspace, run_id: str, end: bool = True) -> Any:
    """Everything a run can hold."""
    run = Experiment(workspace, "far").start_logging(
        snapshot_directory="src", run_id=run_id, display_name="one", tags={"k": "v"}
    )
    for step in range(100):
        run.log("loss", 1.0 / (step + 1), step=step)
    run.log_row("row", x=1)
    run.log("text", "hello")
    run.tag("quality", "good")
    run.add_properties({"author": "a"})
    run._update(RunUpdate(add_params={"lr": "0.1"}))
    Path("f.txt").write_text("hi")
    run.upload_file("x/f.txt", "f.txt")
    with run.child_run("fold 1", run_id=run_id + "-1") as child:
        child.log("f1", 0.5)
    made = run.create_children(tag_key="n", tag_values=["1", "2"])
    with made[0]:
        made[0].log("z", 1)
    Path("outputs/model.txt").write_text("model")
    if end:
        run.complete()
    return run


def shown(yard: Workspace, run_id: str) -> dict[str, Any]:
    """All that two runs of one script must have in common, times and ids left out."""
    run = Run.get(yard, run_id)
    info = run._info(refresh=True)
    points = yard._client.request("GET", scope(yard).run_path(run_id, "metrics/loss/points"))
    return {
        "info": [
            info.status,
            info.display_name,
            info.description,
            info.params,
            info.tags,
            info.properties,
            info.snapshot_id,
            info.user,
        ],
        "metrics": {i.replace(run_id, "R"): m for i, m in run.get_metrics().items()},
        "points": [points["steps"], points["values"]],
        "files": {
            f: yard._client.raw("GET", scope(yard).run_path(run_id, "files", f)).body
            for f in run.get_file_names()
        },
        "children": sorted(
            (c.get_status(), json.dumps(c.tags), json.dumps(c.get_metrics()), c.name.replace(run_id, "R"))
            for c in run.get_children()
            if c.display_name != c.id
        ),
        "count": len(list(run.get_children())),
    }


def test_a_synced_run_is_the_run_that_the_same_script_makes_online(
    yard: Workspace, offline: Workspace
) -> None:
    online = script(yard, "online")
    kept = script(offline, "kept")
    sent = sync.send(scope(yard), folder(kept))
    assert (sent.is_over, sent.passed_over) == (True, [])
    assert shown(yard, "kept") == shown(yard, online.id)


def test_times_are_those_of_the_run(yard: Workspace, offline: Workspace) -> None:
    kept = script(offline, "kept")
    before = sync.look(folder(kept)).info
    sync.send(scope(yard), folder(kept))
    after = Run.get(yard, "kept")._info()
    assert (after.created_at, after.started_at, after.ended_at) == (
        before.created_at,
        before.started_at,
        before.ended_at,
    )
    assert after.synced_at is not None
    assert after.synced_at > after.ended_at
    assert after.machine["hostname"]


def test_a_run_is_sent_while_it_goes_on(yard: Workspace, offline: Workspace) -> None:
    run = script(offline, "kept", end=False)
    assert not sync.send(scope(yard), folder(run)).is_over
    assert Run.get(yard, "kept").get_status() == "Running"
    run.log("loss", 0.0, step=100)
    run.complete()
    assert sync.send(scope(yard), folder(run)).is_over
    again = sync.send(scope(yard), folder(run), again=True)
    assert again.sent_bytes == 0
    assert Run.get(yard, "kept").get_status() == "Completed"
    assert len(Run.get(yard, "kept").get_metrics()["loss"]) == 101


def test_two_copies_sent_at_once_are_one_run(yard: Workspace, offline: Workspace, tmp_path: Path) -> None:
    kept = folder(script(offline, "kept"))
    copies = []
    for name in ("a", "b", "c"):
        shutil.copytree(kept.directory, tmp_path / name)
        copies.append(Folder(str(tmp_path / name), "kept"))
    problems: list[Exception] = []

    def send(copy: Folder) -> None:
        try:
            sync.send(scope(yard), copy)
        except Exception as error:  # told by the thread that waits
            problems.append(error)

    threads = [threading.Thread(target=send, args=(copy,)) for copy in copies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    found = shown(yard, "kept")
    assert len(found["points"][0]) == 100
    assert found["count"] == 3


def test_a_run_whose_process_was_killed_is_failed_at_its_last_sign_of_life(
    yard: Workspace, offline: Workspace
) -> None:
    run = script(offline, "kept", end=False)
    kept = folder(run)
    dead = Folder(kept.directory + "-dead", "kept")  # a copy, which no process holds
    shutil.copytree(kept.directory, dead.directory)
    with open(dead.story, "ab") as torn:
        torn.write(b'{"at": 1, "run_id"')
    with open(dead.journal("kept"), "ab") as torn:
        torn.write(b'{"k":"m","n":"lo')
    assert sync.send(scope(yard), dead).is_over
    info = Run.get(yard, "kept")._info()
    assert info.status.value == "Failed"
    assert info.error is not None
    assert info.error.code == "LostRunHost"
    assert "killed" in info.status_reason
    assert info.ended_at == pytest.approx(sync._last_record(dead.journal("kept")), abs=60)
    assert len(Run.get(yard, "kept").get_metrics()["loss"]) == 100
    assert sync.send(scope(yard), dead, again=True).sent_bytes == 0


def test_a_run_of_another_machine_goes_on_until_somebody_says_it_was_killed(
    yard: Workspace, offline: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = folder(script(offline, "kept", end=False))
    moved = Folder(kept.directory + "-moved", "kept")
    shutil.copytree(kept.directory, moved.directory)
    monkeypatch.setattr("socket.gethostname", lambda: "elsewhere")
    assert not sync.send(scope(yard), moved).is_over
    assert sync.send(scope(yard), moved, ended=True).is_over


def test_another_run_with_the_same_id_is_refused(yard: Workspace, offline: Workspace) -> None:
    Experiment(yard, "far").start_logging(run_id="kept", snapshot_directory=None).complete()
    kept = folder(script(offline, "kept"))
    with pytest.raises(errors.Conflict, match="taken by another run"):
        sync.send(scope(yard), kept)


def test_a_run_in_the_trash_is_not_told_on(yard: Workspace, offline: Workspace) -> None:
    run = script(offline, "kept", end=False)
    sync.send(scope(yard), folder(run))
    yard._client.request("POST", scope(yard).run_path("kept", "cancel"))
    yard._client.request("DELETE", scope(yard).run_path("kept"))
    run.log("loss", 0.0)
    with pytest.raises(errors.Conflict, match="trash restore kept"):
        sync.send(scope(yard), folder(run))


def test_a_run_that_is_gone_from_the_yard_comes_back_only_when_asked(
    yard: Workspace, offline: Workspace
) -> None:
    kept = folder(script(offline, "kept"))
    memory = sync._Memory.of(kept, scope(yard))
    memory.write({"": 1}, sync.look(kept).info.status)  # as after a sync, of a run that somebody deleted
    with pytest.raises(errors.UserErrorException, match="somebody has deleted it"):
        sync.send(scope(yard), kept)
    assert sync.send(scope(yard), kept, again=True).is_over


def test_a_file_whose_content_is_gone_costs_only_itself(yard: Workspace, offline: Workspace) -> None:
    kept = folder(script(offline, "kept"))
    lines = [json.loads(text) for text in Path(kept.story).read_text().splitlines()]
    lost = next(line["files"]["entries"][0]["hash"] for line in lines if "files" in line)
    os.unlink(kept.blob(lost))
    sent = sync.send(scope(yard), kept)
    assert len(sent.passed_over) == 1
    assert "x/f.txt" in sent.passed_over[0]
    assert Run.get(yard, "kept").get_file_names() == ["outputs/model.txt"]


def test_a_run_that_is_forgotten_takes_the_contents_that_only_it_had(
    yard: Workspace, offline: Workspace
) -> None:
    first, second = folder(script(offline, "a")), folder(script(offline, "b"))
    os.close(offline._client._lock_file)  # type: ignore[attr-defined]  # as at the end of the program
    Path(first.blob("0" * 64)).write_bytes(b"named by nothing")
    sync.forget(first)
    assert not os.path.exists(first.blob("0" * 64))
    assert [one.run_id for one in story.folders(first.directory)] == ["b"]
    assert sync.send(scope(yard), second).passed_over == []


def test_runs_land_in_the_experiment_that_is_asked_for(yard: Workspace, offline: Workspace) -> None:
    script(offline, "kept")
    (sent,) = yard.sync_offline(offline._client.directory, experiment="near")
    assert sent.is_over
    assert {run.id for run in Experiment(yard, "near").get_runs(include_children=True)} >= {"kept", "kept-1"}
