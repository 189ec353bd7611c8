"""Runs through the SDK against a server in this process."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modelyard import Experiment, Run, ScriptRunConfig, Workspace, errors
from modelyard.runconfig import MpiConfiguration, PyTorchConfiguration, TensorflowConfiguration
from modelyard.runs.sending import sender


@pytest.fixture
def workspace(server: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Workspace]:
    monkeypatch.setenv("MODELYARD_URL", server.url)
    monkeypatch.setenv("MODELYARD_TOKEN", server.owner_token)
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    made = Workspace.get("default")
    yield made
    for run_id in list(sender()._owned):
        sender().disown(run_id)  # the yard of this test goes away before the program ends
    sender()._streams.clear()
    made._client.close()


@pytest.fixture
def experiment(workspace: Workspace) -> Experiment:
    return Experiment(workspace, "explore")


@pytest.fixture
def run(experiment: Experiment) -> Run:
    return experiment.start_logging(snapshot_directory=None)


def test_metrics_read_back_in_v1s_shapes(run: Run) -> None:
    run.log("once", 3)
    for value in (1.0, math.nan, -math.inf):
        run.log("many", value)
    run.log("text", 'a\n"ü')
    run.log("big", 2**62 + 1)
    run.log_list("list", [1, 2])
    run.log_row("row", x=1, y=2)
    run.log_row("row", x=3, y=4)
    run.log_table("table", {"x": [1, 2], "y": [3, 4]})
    found = run.get_metrics()
    assert (found["once"], found["text"], found["big"]) == (3, 'a\n"ü', 2**62 + 1)
    assert found["many"][0] == 1.0
    assert math.isnan(found["many"][1])
    assert found["many"][2] == -math.inf
    assert (found["list"], found["row"]) == ([1, 2], {"x": [1, 3], "y": [2, 4]})
    assert found["table"] == {"x": [1, 2], "y": [3, 4]}
    assert set(run.get_metrics("once")) == {"once"}


def test_a_with_block_completes_or_fails_the_run(experiment: Experiment) -> None:
    with experiment.start_logging(snapshot_directory=None) as good:
        assert good.get_status() == "Running"
    assert good.get_status() == "Completed"
    with pytest.raises(ZeroDivisionError), experiment.start_logging(snapshot_directory=None) as bad:
        1 / 0  # noqa: B018
    assert bad.get_status() == "Failed"
    assert "ZeroDivisionError: division by zero" in bad.get_details()["error"]["error"]["line"]


def test_properties_are_written_once_and_tags_again_and_again(run: Run) -> None:
    run.add_properties({"author": "a"})
    with pytest.raises(errors.Conflict, match="author"):
        run.add_properties({"author": "b"})
    run.tag("quality", "great")
    run.tag("quality", "fantastic")
    run.tag("look")
    assert run.get_tags() == {"quality": "fantastic", "look": ""}
    assert run.remove_tags("look") == {"quality": "fantastic"}
    assert run.properties == {"author": "a"}


def test_runs_are_found_newest_first_by_tags_properties_type_and_status(experiment: Experiment) -> None:
    first, second = (experiment.start_logging(snapshot_directory=None) for _ in range(2))
    first.set_tags({"q": "1", "look": None})
    first.add_properties({"author": "a"})
    first.complete()
    assert [r.id for r in experiment.get_runs()] == [second.id, first.id]
    assert [r.id for r in experiment.get_runs(tags="look")] == [first.id]
    assert [r.id for r in experiment.get_runs(properties={"author": "a"}, tags={"q": "1"})] == [first.id]
    assert [r.id for r in experiment.get_runs(status="Running")] == [second.id]
    assert list(experiment.get_runs(type="azureml.scriptrun")) == []


def test_child_runs(run: Run, experiment: Experiment) -> None:
    with run.child_run(name="one") as child:
        child.log("x", 1)
    waiting, tagged = run.create_children(tag_key="n", tag_values=["a", "b"])
    assert (waiting.status, tagged.tags) == ("NotStarted", {"n": "b"})
    with waiting:
        assert waiting.get_status() == "Running"
    tagged.complete()
    assert {c.status for c in run.get_children()} == {"Completed"}
    assert [c.id for c in run.get_children(tags={"n": "b"})] == [tagged.id]
    assert child.parent == run
    assert child.name == "one"
    assert run.get_metrics(recursive=True)[child.id] == {"x": 1}
    assert [r.id for r in experiment.get_runs()] == [run.id]
    assert len(list(experiment.get_runs(include_children=True))) == 4
    with pytest.raises(errors.UserErrorException, match="count"):
        run.create_children()
    with pytest.raises(errors.UserErrorException, match="tag_values"):
        run.create_children(count=1, tag_key="n", tag_values=["a", "b"])


def test_files_go_up_and_come_down(run: Run, tmp_path: Path) -> None:
    local = tmp_path / "f.txt"
    local.write_text("one")
    run.upload_file("outputs/f.txt", str(local))
    run.upload_folder("data", str(tmp_path / "project")) if any((tmp_path / "project").iterdir()) else None
    local.write_text("two")
    with pytest.raises(errors.Conflict, match=r"outputs/f\.txt"):
        run.upload_file("outputs/f.txt", str(local))
    with open(local, "rb") as stream:
        run.upload_file("stream.bin", stream)
    assert run.get_file_names() == ["outputs/f.txt", "stream.bin"]
    run.download_file("outputs/f.txt", str(tmp_path / "down") + "/")
    assert (tmp_path / "down" / "f.txt").read_text() == "one"
    run.download_files(prefix="outputs", output_directory=str(tmp_path / "all"), append_prefix=True)
    assert (tmp_path / "all" / "outputs" / "f.txt").read_text() == "one"
    with pytest.raises(errors.UserErrorException, match="get_file_names"):
        run.download_file("nope.txt")
    with pytest.raises(errors.UserErrorException, match="no file"):
        run.upload_file("x", str(tmp_path / "missing"))
    for name in ("../x", "/etc/x", "a/../b"):
        with pytest.raises(errors.UserErrorException, match="can't name"):
            run.upload_file(name, str(local))


def test_an_image_is_a_file_of_the_run(run: Run, tmp_path: Path) -> None:
    class Plot:
        def savefig(self, file: Any, format: str) -> None:
            file.write(b"drawn")

    run.log_image("roc", plot=Plot())
    kept = run.get_metrics("roc")["roc"]
    run.download_file(kept, str(tmp_path / "roc.png"))
    assert (tmp_path / "roc.png").read_bytes() == b"drawn"
    with pytest.raises(errors.UserErrorException, match="savefig"):
        run.log_image("roc", plot=object())
    with pytest.raises(errors.UserErrorException, match="either"):
        run.log_image("roc")


def test_new_files_in_outputs_are_kept_when_an_interactive_run_completes(experiment: Experiment) -> None:
    os.makedirs("outputs")
    Path("outputs/old.txt").write_text("old")
    os.utime("outputs/old.txt", (1, 1))
    with experiment.start_logging(snapshot_directory=None) as run:
        Path("outputs/new.txt").write_text("new")
    assert run.get_file_names() == ["outputs/new.txt"]


def test_an_interactive_run_makes_its_outputs_folder_and_keeps_it_after_a_chdir(
    experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = experiment.start_logging(snapshot_directory=None)
    Path("outputs/new.txt").write_text("new")
    monkeypatch.chdir(tmp_path.parent)
    run.complete()
    assert run.get_file_names() == ["outputs/new.txt"]
    monkeypatch.chdir(tmp_path)
    without = experiment.start_logging(outputs=False, snapshot_directory=None)
    without.complete()
    assert without.get_file_names() == []


def test_the_working_directory_is_the_snapshot_of_an_interactive_run(
    experiment: Experiment, tmp_path: Path
) -> None:
    Path("notebook.py").write_text("1")
    run = experiment.start_logging()
    archive = run.restore_snapshot(path=str(tmp_path / "snapshots"))
    assert zipfile.ZipFile(archive).namelist() == ["notebook.py"]
    assert run.get_snapshot_id() in archive


def test_a_submitted_run_records_what_was_asked_for(experiment: Experiment) -> None:
    Path("train.py").write_text("print(1)")
    config = ScriptRunConfig(
        ".", script="train.py", arguments=["--alpha", 0.5, True], max_run_duration_seconds=60
    )
    said: list[str] = []
    run = experiment.submit(config, tags={"a": 1}, show_output=said.append)
    assert said == [f"Snapshot of {os.getcwd()}: 1 file, 8 bytes; uploaded 1 file, 8 bytes."]
    assert (run.get_status(), run.type, run.tags) == ("Queued", "azureml.scriptrun", {"a": "1"})
    shown = run.get_details()
    definition = shown["runDefinition"]
    assert (shown["runId"], shown["target"]) == (run.id, "local")
    assert (definition["script"], definition["arguments"]) == ("train.py", ["--alpha", "0.5", "True"])
    assert definition["maxRunDurationSeconds"] == 60
    assert definition["environment"]["python"]["interpreterPath"] == sys.executable
    run.cancel()
    assert run.wait_for_completion()["status"] == "Canceled"
    assert Run.get(experiment.workspace, run.id) == run


def test_a_run_that_fails_raises_with_the_line(experiment: Experiment) -> None:
    Path("train.py").write_text("print(1)")
    run = experiment.submit(ScriptRunConfig(".", script="train.py"), run_id="chosen-id")
    assert run.id == "chosen-id"
    run.fail(error_details="train.py:1: it broke", error_code="UserError")
    with pytest.raises(errors.ActivityFailedException, match=r"Run chosen-id failed: train\.py:1: it broke"):
        run.wait_for_completion()
    assert (
        run.wait_for_completion(raise_on_error=False)["error"]["error"]["message"] == "train.py:1: it broke"
    )


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"script": "nope.py"}, "no script 'nope.py'.*it has hidden.py, train.py"),
        ({"script": "../train.py"}, "outside the source directory"),
        ({}, "Nothing to run"),
        ({"script": "train.py", "arguments": [1, None]}, "Argument 2 is None"),
        ({"command": "python 'x"}, "can't be split"),
        ({"command": ["python", None]}, "Argument 2 is None"),
        ({"script": "train.py", "max_run_duration_seconds": -1}, "above 0"),
        ({"script": "train.py", "max_run_duration_seconds": "soon"}, "above 0"),
        ({"script": "train.py", "max_run_duration_seconds": math.inf}, "above 0"),
        ({"script": "hidden.py"}, "'hidden.py' is left out of the snapshot by an ignore file"),
    ],
)
def test_what_can_not_run_is_refused_before_anything_is_queued(
    experiment: Experiment, wrong: dict[str, Any], says: str
) -> None:
    Path("train.py").write_text("print(1)")
    Path("hidden.py").write_text("print(1)")
    Path(".amlignore").write_text("hidden.py\n")
    with pytest.raises(errors.RunConfigurationException, match=says):
        experiment.submit(ScriptRunConfig(".", **wrong))
    assert list(experiment.get_runs()) == []


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["python", "a.py", "--n", 1], ["python", "a.py", "--n", "1"]),
        (["python a.py --n", 1], ["python", "a.py", "--n", "1"]),
        ("python a.py 'x y'", ["python", "a.py", "x y"]),
        ("python a.py && ls $HOME", ["bash", "-c", "python a.py && ls $HOME"]),
        (["A=1", "python", "a.py"], ["bash", "-c", "A=1 python a.py"]),
    ],
)
def test_a_command_is_one_line_for_a_shell(experiment: Experiment, command: Any, words: list[str]) -> None:
    Path("a.py").write_text("print(1)")
    run = experiment.submit(ScriptRunConfig(".", command=command))
    spec = run._info().spec
    assert spec is not None
    assert spec.command == words


def test_more_processes_than_one_are_refused_with_what_works(experiment: Experiment) -> None:
    Path("train.py").write_text("print(1)")
    for wanted in (
        MpiConfiguration(2),
        MpiConfiguration(node_count=2),
        PyTorchConfiguration(process_count=4),
        TensorflowConfiguration(worker_count=2),
    ):
        with pytest.raises(NotImplementedError, match=r"torch\.distributed\.run"):
            experiment.submit(ScriptRunConfig(".", script="train.py", distributed_job_config=wanted))
    experiment.submit(ScriptRunConfig(".", script="train.py", distributed_job_config=MpiConfiguration()))


def test_other_wrong_submissions_say_what_is_wrong(experiment: Experiment) -> None:
    Path("train.py").write_text("print(1)")
    config = ScriptRunConfig(".", script="train.py")
    with pytest.raises(errors.RunConfigurationException, match="does not exist"):
        experiment.submit(ScriptRunConfig("nowhere", script="train.py"))
    with pytest.raises(errors.UserErrorException, match="run id"):
        experiment.submit(config, run_id="a/b")
    with pytest.raises(errors.UserErrorException, match="does not take colour"):
        experiment.submit(config, colour="red")
    with pytest.raises(errors.UserErrorException, match="ScriptRunConfig"):
        experiment.submit("train.py")


def test_experiments_are_archived_tagged_and_deleted(workspace: Workspace) -> None:
    experiment = Experiment(workspace, "one")
    experiment.tag("k", "v")
    experiment.archive()
    assert experiment.archived_time is not None
    assert "one" not in workspace.experiments
    assert [e.name for e in Experiment.list(workspace, view_type="ArchivedOnly")] == ["one"]
    experiment.reactivate()
    assert (experiment.archived_time, experiment.tags) == (None, {"k": "v"})
    Experiment.delete(workspace, experiment.id)
    assert "one" not in workspace.experiments


@pytest.mark.parametrize(("ending", "status"), [("", "Completed"), ("raise SystemError('x')", "Failed")])
def test_a_run_that_nobody_ended_ends_with_the_program(
    experiment: Experiment, server: Any, ending: str, status: str
) -> None:
    program = (
        "from modelyard import Experiment, Workspace\n"
        "run = Experiment(Workspace.get('default'), 'explore').start_logging(snapshot_directory=None)\n"
        f"run.log('left', 1)\n{ending}\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    (run,) = experiment.get_runs()
    assert run.get_status() == status, done.stderr
    assert run.get_metrics() == {"left": 1}


def test_metrics_of_forked_processes_arrive(run: Run) -> None:
    program = (
        "import os\n"
        "from modelyard import Experiment, Workspace\n"
        "run = Experiment(Workspace.get('default'), 'explore').start_logging(snapshot_directory=None)\n"
        "run.log('x', 1)\n"
        "children = []\n"
        "for n in (2, 3):\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        run.log('x', n); run.flush(); os._exit(0)\n"
        "    children.append(child)\n"
        "for child in children: assert os.waitpid(child, 0)[1] == 0\n"
        "run.complete()\nprint(run.id)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=True
    )
    other = Run.get(run.experiment.workspace, done.stdout.strip())
    assert sorted(other.get_metrics()["x"]) == [1, 2, 3]


def test_what_is_not_there_yet_names_what_works(run: Run, workspace: Workspace) -> None:
    for call in (
        lambda: run.get_secret("x"),
        workspace.get_default_datastore().as_mount,
    ):
        with pytest.raises(NotImplementedError) as caught:
            call()
        assert "not there yet" in str(caught.value)


def test_runs_show_themselves(run: Run, experiment: Experiment) -> None:
    assert repr(run) == f"Run(Experiment: explore,\nId: {run.id},\nType: None,\nStatus: Running)"
    assert run.id in run._repr_html_()
    assert "explore" in experiment._repr_html_()


def test_a_workspaces_runs_are_a_mapping_that_is_read_as_it_is_used(
    workspace: Workspace, experiment: Experiment, run: Run
) -> None:
    child = run.child_run()
    other = Experiment(workspace, "other").start_logging(snapshot_directory=None)
    assert list(workspace.runs) == [other.id, child.id, run.id]
    assert workspace.runs[run.id] == run
    assert run.id in workspace.runs
    assert "nothing" not in workspace.runs
    assert "no such id!" not in workspace.runs
    assert len(workspace.runs) == 3
    assert [made.experiment.name for made in workspace.runs.values()] == ["other", "explore", "explore"]
    assert dict(workspace.runs.items())[child.id].parent == run
