"""The real TensorBoard reads what we export, and shows the logs of runs while they are written."""

from __future__ import annotations

import json
import math
import os
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from python_environments import TENSORBOARD, environment
from services import free_port, wait_until

from modelyard import Experiment, Tensorboard, Workspace, errors, export_to_tensorboard
from modelyard.runs.scope import Scope
from modelyard.runs.sending import sender
from modelyard.tensorboard import viewer
from modelyard.tensorboard.events import EventFile
from modelyard.wire.runs import RunUpdate

# A picture of one transparent point.
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360000002000001e221bc330000000049454e44ae426082"
)
READ = """
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2
found = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0, "images": 0, "tensors": 0}).Reload()
shown = {"scalars": {}, "texts": {}, "images": {}, "hparams": {}}
for tag in found.Tags()["scalars"]:
    shown["scalars"][tag] = [[e.step, e.wall_time, e.value] for e in found.Scalars(tag)]
for tag in found.Tags()["images"]:
    shown["images"][tag] = [[e.width, e.height] for e in found.Images(tag)]
for tag in found.Tags()["tensors"]:
    content = found.summary_metadata[tag].plugin_data.content
    if tag == "_hparams_/session_start_info":
        start = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info
        shown["hparams"] = {k: v.number_value or v.string_value for k, v in start.hparams.items()}
    elif tag == "_hparams_/session_end_info":
        shown["status"] = plugin_data_pb2.HParamsPluginData.FromString(content).session_end_info.status
    else:
        shown["texts"][tag] = [e.tensor_proto.string_val[0].decode() for e in found.Tensors(tag)]
print(json.dumps(shown))
"""


@pytest.fixture(scope="module")
def python() -> Path:
    return environment(*TENSORBOARD)


@pytest.fixture
def workspace(server: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Workspace]:
    monkeypatch.setenv("MODELYARD_URL", server.url)
    monkeypatch.setenv("MODELYARD_TOKEN", server.owner_token)
    monkeypatch.chdir(tmp_path)
    made = Workspace.get("default")
    yield made
    for run_id in list(sender()._owned):
        sender().disown(run_id)
    sender()._streams.clear()
    made._client.close()


@pytest.fixture
def run(workspace: Workspace) -> Any:
    return Experiment(workspace, "boards").start_logging(snapshot_directory=None)


def read(python: Path, folder: Path) -> Any:
    done = subprocess.run([python, "-c", READ, folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def asked(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


def test_tensorboard_reads_what_we_export(python: Path, run: Any, tmp_path: Path) -> None:
    for step in (0, 10, 20):
        run.log("loss", 1.0 / (step + 1), step=step)
    for value in (3, math.nan, math.inf):
        run.log("plain", value)
    run.log("said", "hello")
    run.log_row("row", x=1, y=2.5)
    run.log_row("row", x=3, y=4.5)
    run.log_list("list", [1, 2, 3])
    (tmp_path / "p.png").write_bytes(PNG)
    run.log_image("plot", path=str(tmp_path / "p.png"))
    with run.child_run("fold") as child:
        child.log("f1", 0.5)
    run._update(RunUpdate(add_params={"lr": "0.1", "model": "ridge"}))
    run.complete()
    export_to_tensorboard(run, str(tmp_path / "out"))
    export_to_tensorboard(run, str(tmp_path / "out"))  # again: in the place of the first
    assert len(list((tmp_path / "out" / run.id).iterdir())) == 1
    shown = read(python, tmp_path / "out" / run.id)
    scalars = {tag: [(s, v) for s, _, v in points] for tag, points in shown["scalars"].items()}
    assert [s for s, _ in scalars["loss"]] == [0, 10, 20]
    assert scalars["loss"][1][1] == pytest.approx(1 / 11)
    assert scalars["plain"][0] == (0, 3.0)
    assert math.isnan(scalars["plain"][1][1])
    assert scalars["plain"][2][1] == math.inf
    assert (scalars["row/x"], scalars["row/y"]) == ([(0, 1.0), (1, 3.0)], [(0, 2.5), (1, 4.5)])
    assert [v for _, v in scalars["list"]] == [1.0, 2.0, 3.0]
    assert shown["texts"] == {"said": ["hello"]}
    assert shown["images"] == {"plot": [[1, 1]]}
    assert (shown["hparams"], shown["status"]) == ({"lr": 0.1, "model": "ridge"}, 1)
    wall = shown["scalars"]["loss"][0][1]
    assert run._info().started_at <= wall <= run._info().ended_at
    assert set(read(python, tmp_path / "out" / child.id)["scalars"]) == {"f1"}


def test_the_logs_of_a_run_are_shown_while_it_goes_on(
    python: Path, workspace: Workspace, run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{python.parent}{os.pathsep}{os.environ['PATH']}")
    copies = tmp_path / "copies"
    copies.mkdir()
    monkeypatch.setattr(viewer.tempfile, "tempdir", str(copies))
    monkeypatch.setattr(viewer, "_PULL_EVERY_S", 0.2)
    monkeypatch.setattr(viewer, "_RELOAD_S", "1")
    child = run.child_run("worker")
    _write_log(workspace, run.id, tmp_path / "a", 0)
    _write_log(workspace, child.id, tmp_path / "b", 0)
    board = Tensorboard([run], port=0)
    url = board.start()
    try:
        wait_until(lambda: len(asked(url + "data/plugin/scalars/tags")) == 2, "both runs to be shown")
        name = next(n for n in asked(url + "data/plugin/scalars/tags") if n.startswith(run.id))
        points = f"{url}data/plugin/scalars/scalars?run={urllib.request.quote(name, safe='')}&tag=loss"
        assert [p[1] for p in asked(points)] == [0]
        _write_log(workspace, run.id, tmp_path / "a", 1)
        wait_until(lambda: [p[1] for p in asked(points)] == [0, 1], "the new point to be shown")
    finally:
        board.stop()
    with pytest.raises(OSError):
        asked(url)
    board.stop()  # twice is fine
    assert list(copies.iterdir()) == []


def _write_log(workspace: Workspace, run_id: str, local: Path, step: int) -> None:
    """As the run host sends what a script's SummaryWriter writes: the new bytes, by offset."""
    with open(local, "ab") as file:
        offset = file.tell()
        EventFile(file, 1.0).scalar("loss", 0.5, step, 1.0 + step)
    path = Scope(workspace._client, workspace.name).run_path(
        run_id, "logs", "logs/tb/events.out.tfevents.1.host"
    )
    content = local.read_bytes()[offset:]
    workspace._client.request("POST", path, query={"offset": offset}, content=content)


def test_a_port_that_is_taken_is_named(run: Any, python: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{python.parent}{os.pathsep}{os.environ['PATH']}")
    import socket

    with socket.socket() as listening:
        port = free_port()
        listening.bind(("127.0.0.1", port))
        listening.listen()
        with pytest.raises(errors.UserErrorException, match=f"Port {port} is taken"):
            Tensorboard([run], port=port).start()


def test_without_tensorboard_and_uv_the_line_that_installs_it_is_said(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(viewer.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(errors.UserErrorException, match="pip install 'tensorboard'"):
        Tensorboard([run]).start()


def test_what_is_no_run_is_refused() -> None:
    with pytest.raises(errors.UserErrorException, match="takes runs, not a str"):
        Tensorboard(["run_1"])
    with pytest.raises(errors.UserErrorException, match="not a str"):
        export_to_tensorboard("run_1", "never-made")
