"""Runs without a yard: everything of them is kept in a directory."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modelyard import Experiment, Run, RunDetails, ScriptRunConfig, Workspace, errors, export_to_tensorboard
from modelyard.runs import story, sync
from modelyard.runs.story import Folder

ROOT = Path(__file__).parents[3]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    made = Workspace.offline(str(tmp_path / "kept"))
    yield made
    made._client.sender._owned.clear()  # the test is not the end of the program


@pytest.fixture
def run(workspace: Workspace) -> Any:
    return Experiment(workspace, "far").start_logging(snapshot_directory=None)


def folder(run: Any) -> Folder:
    return Folder(run._scope.client.directory, run.id)


def by_hand(code: str, directory: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """A script started by hand in a directory of its own, with runs kept below `directory`."""
    project = directory / "project"
    project.mkdir(parents=True, exist_ok=True)
    (project / "train.py").write_text(code)
    env = {
        **os.environ,
        "MODELYARD_OFFLINE": "1",
        "MODELYARD_OFFLINE_DIR": str(directory / "kept"),
        **variables,
    }
    return subprocess.run(
        [sys.executable, "train.py"], cwd=project, env=env, capture_output=True, text=True, check=False
    )


def only(directory: Path) -> sync.Kept:
    (found,) = story.folders(str(directory / "kept"))
    return sync.look(found)


def test_a_run_reads_back_what_it_logged(run: Any) -> None:
    run.log("once", 3)
    for value in (1.0, math.nan):
        run.log("many", value)
    run.log_row("row", x=1)
    run.log_row("row", x=2)
    run.log_table("table", {"x": [1, 2]})
    found = run.get_metrics()
    assert (found["once"], found["row"], found["table"]) == (3, {"x": [1, 2]}, {"x": [1, 2]})
    assert found["many"][0] == 1.0
    assert math.isnan(found["many"][1])


def test_points_have_their_steps_and_can_be_exported(run: Any, tmp_path: Path) -> None:
    run.log("a/b c", 1.0, step=5)
    run.log("a/b c", math.inf, step=6)
    export_to_tensorboard(run, str(tmp_path / "out"))
    (file,) = (tmp_path / "out" / run.id).iterdir()
    assert file.read_bytes().count(b"a/b c") == 2
    assert RunDetails(run).get_widget_data()["run_metrics"][0]["categories"] == [5, 6]


def test_files_images_tags_properties_and_children_are_kept(run: Any, tmp_path: Path) -> None:
    (tmp_path / "f.txt").write_text("hello")
    run.upload_file("x/f.txt", str(tmp_path / "f.txt"))
    run.log_image("plot", path=str(tmp_path / "f.txt"))
    run.tag("quality", "good")
    run.add_properties({"author": "a"})
    with pytest.raises(errors.Conflict, match="author"):
        run.add_properties({"author": "b"})
    with run.child_run("fold 1") as child:
        child.log("f1", 0.5)
    assert [one.get_status() for one in run.get_children()] == ["Completed"]
    assert run.get_metrics(recursive=True)[child.id] == {"f1": 0.5}
    assert "x/f.txt" in run.get_file_names()
    run.download_file("x/f.txt", str(tmp_path / "back.txt"))
    assert (tmp_path / "back.txt").read_text() == "hello"
    assert run.get_tags() == {"quality": "good"}
    run.complete()
    kept = sync.look(folder(run))
    assert (kept.info.status.value, kept.info.child_count, kept.sent) == ("Completed", 1, "")


def test_what_needs_a_yard_says_so(run: Any, workspace: Workspace) -> None:
    with pytest.raises(errors.RunEnvironmentException, match="MLflow's clients need a yard"):
        workspace.get_mlflow_tracking_uri()
    with pytest.raises(errors.RunEnvironmentException, match=r"needs a yard.*modelyard sync"):
        workspace.get_default_datastore().upload("x")
    Path("train.py").write_text("")
    with pytest.raises(errors.RunEnvironmentException, match="can't be submitted"):
        Experiment(workspace, "far").submit(ScriptRunConfig(".", script="train.py"))


def test_a_script_started_by_hand_is_a_kept_run_with_code_machine_and_packages(tmp_path: Path) -> None:
    done = by_hand("from modelyard import Run\nRun.get_context().log('a', 1)\n", tmp_path)
    assert done.returncode == 0, done.stderr
    info = only(tmp_path).info
    assert (info.experiment, info.status.value) == ("train", "Completed")
    assert info.snapshot_id
    assert info.machine["cores"] >= 1
    assert any(line.startswith("pytest==") for line in info.environment_lock)


def test_an_exception_ends_it_as_failed_with_the_line_and_the_traceback(tmp_path: Path) -> None:
    by_hand("from modelyard import Run\nRun.get_context()\n1 / 0\n", tmp_path)
    error = only(tmp_path).info.error
    assert error is not None
    assert error.line == "train.py:3: ZeroDivisionError: division by zero"
    assert "Traceback" in error.traceback


def test_a_killed_program_leaves_a_run_that_nobody_holds(tmp_path: Path) -> None:
    code = "import os\nfrom modelyard import Run\nRun.get_context().log('a', 1)\nos.kill(os.getpid(), 9)\n"
    assert by_hand(code, tmp_path).returncode == -9
    kept = only(tmp_path)
    assert (kept.is_alive, kept.info.status.value) == (False, "Running")


def test_a_run_in_progress_is_held(run: Any) -> None:
    assert sync.look(folder(run)).is_alive


def test_only_when_no_yard_answers_it_is_kept_with_auto(tmp_path: Path) -> None:
    code = "from modelyard import Workspace\nprint(Workspace.from_config()._client.url)\n"
    home = {"MODELYARD_URL": "http://127.0.0.1:9", "MODELYARD_TOKEN": "t"}  # nobody listens there
    done = by_hand(code, tmp_path, MODELYARD_OFFLINE="auto", **home)
    assert done.stdout.startswith("file://")
    assert "modelyard sync" in done.stderr
    wrong = by_hand(code, tmp_path, MODELYARD_OFFLINE="maybe", **home)
    assert "MODELYARD_OFFLINE='maybe' is not understood" in wrong.stderr


def test_without_the_variable_a_script_by_hand_prints_as_ever(tmp_path: Path) -> None:
    done = by_hand(
        "from modelyard import Run\nRun.get_context().log('a', 1)\n", tmp_path, MODELYARD_OFFLINE=""
    )
    assert done.stdout == "Attempted to log scalar metric a:\n1\n"
    assert not (tmp_path / "kept").exists()


def test_a_forked_child_writes_into_the_same_run(tmp_path: Path) -> None:
    code = (
        "import os\nfrom modelyard import Run\nrun = Run.get_context()\nrun.log('a', 1)\n"
        "pid = os.fork()\nrun.log('a', 2 if pid else 3)\n"
        "if pid: os.waitpid(pid, 0)\nelse: os._exit(0)\n"
        "print(sorted(run.get_metrics()['a']))\n"
    )
    assert by_hand(code, tmp_path).stdout == "[1, 2, 3]\n"


def test_the_same_run_id_is_not_begun_twice(run: Any, workspace: Workspace) -> None:
    with pytest.raises(errors.Conflict, match="taken"):
        Experiment(workspace, "far").start_logging(run_id=run.id, snapshot_directory=None)


def test_get_context_answers_one_kept_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workspace: Workspace
) -> None:
    monkeypatch.setenv("MODELYARD_OFFLINE", "1")
    monkeypatch.setenv("MODELYARD_OFFLINE_DIR", str(tmp_path / "other"))
    monkeypatch.setenv("MODELYARD_EXPERIMENT", "named")
    first = Run.get_context()
    assert Run.get_context() is first
    assert first.experiment.name == "named"
    first.complete()


def test_a_story_that_breaks_off_anywhere_reads_as_far_as_it_goes(run: Any, tmp_path: Path) -> None:
    with run.child_run("fold") as child:
        child.tag("k", "v")
    run.complete()
    whole = Path(folder(run).story).read_bytes()
    first = whole.index(b"\n") + 1
    seen = set()
    for end in range(0, len(whole) + 1, 7):
        cut = Folder(str(tmp_path / "cut"), run.id)
        os.makedirs(cut.journals, exist_ok=True)
        Path(cut.story).write_bytes(whole[:end])
        if end < first:
            with pytest.raises(errors.UserErrorException, match="does not begin with one"):
                sync.look(cut)
        else:
            seen.add(sync.look(cut).info.status.value)
    assert "Running" in seen
