"""`modelyard sync` killed at any request, again and again: in the end the run is the one that the script makes online."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from modelyard import Run, Workspace

SCRIPT = """
import math, sys
from modelyard import Experiment, Workspace

run = Experiment(Workspace.from_config(), "far").start_logging(
    snapshot_directory="src", run_id=sys.argv[1], display_name="one", tags={"k": "v"}
)
for step in range(3000):
    run.log("loss", math.nan if step == 7 else 1 / (step + 1), step=step)
run.log_row("row", x=1); run.log_row("row", x=2); run.log("text", "hello")
run.tag("quality", "good"); run.tag("quality", "better"); run.add_properties({"author": "a"})
run.upload_file("x/f.txt", "src/train.py")
for fold in range(4):
    with run.child_run(f"fold {fold}", run_id=f"{run.id}-{fold}") as child:
        child.log("f1", fold / 10)
        child.upload_file("notes.txt", "src/train.py")
open("outputs/model.bin", "wb").write(b"m" * 100_000)
try:
    1 / 0
except ZeroDivisionError as error:
    run.fail(error)
"""

# Dies by SIGKILL at the given request: before it is sent, or when its answer has come and nobody has seen it yet.
SYNC = """
import os, signal, sys
from modelyard import _client
whole, left = _client.Client.raw, [int(sys.argv[1])]
def raw(self, *args, **given):
    left[0] -= 1
    if left[0] == 0 and sys.argv[2] == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    answer = whole(self, *args, **given)
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return answer
_client.Client.raw = raw
from modelyard.cli.main import cli
cli(["sync", sys.argv[3]])
"""


@pytest.fixture
def place(server: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("MODELYARD_URL", server.url)
    monkeypatch.setenv("MODELYARD_TOKEN", server.owner_token)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "train.py").write_text("print('hello')\n")
    return tmp_path


def run_script(run_id: str, **variables: str) -> None:
    subprocess.run([sys.executable, "-c", SCRIPT, run_id], env={**os.environ, **variables}, check=True)


def shown(yard: Workspace, run_id: str) -> Any:
    run = Run.get(yard, run_id)
    info = run._info()

    def files(one: Any) -> dict[str, bytes]:
        path = one._scope.run_path
        return {f: yard._client.raw("GET", path(one.id, "files", f)).body for f in one.get_file_names()}

    points = yard._client.request("GET", run._scope.run_path(run_id, "metrics", "loss", "points"))
    return {
        "info": [
            info.status,
            info.display_name,
            info.tags,
            info.properties,
            info.snapshot_id,
            info.error and info.error.line,
        ],
        "metrics": json.dumps(run.get_metrics(), sort_keys=True),
        "points": [points["steps"], points["values"], points["total"]],
        "files": files(run),
        "children": sorted(
            (c.display_name, c.get_status(), json.dumps(c.get_metrics()), sorted(files(c).items()))
            for c in run.get_children()
        ),
    }


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_sync_that_is_killed_at_any_request_ends_as_the_run_online(place: Path, seed: int) -> None:
    run_script("online")
    run_script("kept", MODELYARD_OFFLINE="1", MODELYARD_OFFLINE_DIR=str(place / "kept"))
    chance = random.Random(seed)
    kills = 0
    while True:
        at, when = str(chance.randint(1, 5)), chance.choice(["before", "after"])
        done = subprocess.run(
            [sys.executable, "-c", SYNC, at, when, str(place / "kept")],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != -signal.SIGKILL:
            break
        kills += 1
    assert done.returncode == 0, done.stderr
    assert kills > 2
    yard = Workspace.get("default")
    assert shown(yard, "kept") == shown(yard, "online")
    yard._client.close()
