"""RunDetails in a real Jupyter kernel, and in a script."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from modelyard import Experiment, RunDetails, Workspace, errors
from modelyard.runs.sending import sender


@pytest.fixture
def workspace(server: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setenv("MODELYARD_URL", server.url)
    monkeypatch.setenv("MODELYARD_TOKEN", server.owner_token)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.chdir(tmp_path)
    made = Workspace.get("default")
    yield made
    for run_id in list(sender()._owned):
        sender().disown(run_id)
    sender()._streams.clear()
    made._client.close()


def executed(tmp_path: Path, *cells: str) -> list[str]:
    """The HTML that each cell shows at the end."""
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    client = NotebookClient(
        book, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    return [
        "".join(output["data"].get("text/html", "") for output in cell["outputs"] if "data" in output)
        for cell in book.cells
    ]


BEGIN = (
    "from modelyard import Experiment, RunDetails, Workspace\n"
    "run = Experiment(Workspace.get('default'), 'e').start_logging(snapshot_directory=None)\n"
    "for step in range(3): run.log('loss', 1 / (step + 1), step=step)\n"
    "run.log('said', '<script>alert(1)</script>')\n"
    "details = RunDetails(run)\n"
    "details.show()"
)
FOLLOWED = (
    "import threading\n"
    "[one.join(60) for one in threading.enumerate() if one.name == 'run-details']\n"
    "assert not any(one.name == 'run-details' for one in threading.enumerate())"
)


def test_the_cell_that_shows_a_run_is_of_now_while_others_run(workspace: Any, tmp_path: Path) -> None:
    more = (
        "with run.child_run('fold 1') as child: child.tag('n', '1')\n"
        "run.log('accuracy', 0.5); run.log('accuracy', 0.75); run.complete()"
    )
    first, *_ = executed(tmp_path, BEGIN, more, FOLLOWED)
    assert "● Completed" in first
    assert 'aria-label="accuracy"' in first
    assert "fold 1" in first
    assert "<script>" not in first
    assert "&lt;script&gt;" in first
    assert "Link to the run" in first


def test_the_view_outlives_a_yard_that_goes_away(workspace: Any, tmp_path: Path) -> None:
    away = (
        "details._view.stop(); details.show()  # a second view takes the place of the first\n"
        "import modelyard._client as c\n"
        "view, whole, seen = details._view, c.Client.raw, []\n"
        "render = view._render\n"
        "view._render = lambda look, note='': (seen.append(note), render(look, note))\n"
        "def gone(self, *a, **k): raise c.errors.YardUnavailable('The yard does not answer. Is it running?')\n"
        "c.Client.raw = gone\n"
        "import time\n"
        "while not any(seen): time.sleep(0.05)\n"
        "c.Client.raw = whole\n"
        "run.complete()\n"
        "print(seen[-1])"
    )
    _, second, _ = executed(tmp_path, BEGIN, away, FOLLOWED)
    assert "● Completed" in second
    assert "Not of now" not in second


def test_in_a_script_it_is_printed(workspace: Any, tmp_path: Path) -> None:
    code = BEGIN + "\nprint(sorted(details.get_widget_data()))\nrun.complete()"
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ.copy(), capture_output=True, text=True, check=True
    )
    assert "Run e_" in done.stdout
    assert "loss = 0.3333333333333333" in done.stdout
    assert "run_metrics" in done.stdout


def test_its_data_are_plain_values(workspace: Any) -> None:
    run = Experiment(workspace, "e").start_logging(snapshot_directory=None)
    run.log("loss", 1.0, step=5)
    run.log("loss", float("nan"), step=6)
    run.log("name", "value")
    run.flush()
    data = RunDetails(run).get_widget_data()
    assert (data["status"], data["run_id"]) == ("Running", run.id)
    loss = next(m for m in data["run_metrics"] if m["name"] == "loss")
    assert loss["categories"] == [5, 6]
    assert loss["series"][0]["data"][0] == 1.0


def test_what_is_no_run_is_refused() -> None:
    with pytest.raises(errors.UserErrorException, match="takes a run, not a str"):
        RunDetails("run_1")
