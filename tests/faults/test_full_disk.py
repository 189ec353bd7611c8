"""A full disk, as a small tmpfs: clear words, nothing broken, and work goes on by itself when space is back."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import load
import pytest
from services import wait_until

# Goes on until the file `go` is there; one point and one line a round.
SCRIPT = """
import os, sys, time
from modelyard import Run
run = Run.get_context()
folder = sys.argv[1]
ledger = os.open(os.path.join(folder, run.id), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
i = 0
while not os.path.exists(os.path.join(folder, "go")):
    run.log("step", i)
    print("line", i, flush=True)
    os.write(ledger, b"%d\\n" % i)
    i += 1
    time.sleep(0.02)
os.makedirs("outputs", exist_ok=True)
with open("outputs/done.txt", "w") as f:
    f.write("done by " + run.id)
"""


class SmallDisk:
    def __init__(self, path: Path) -> None:
        self.path = path

    def fill(self) -> None:
        """Take all that is left, to the last page."""
        with open(self.path / "ballast", "ab", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                if file.write(b"\0" * 4096) < 4096:
                    return

    def free(self) -> None:
        (self.path / "ballast").unlink()


@pytest.fixture
def small_disk() -> Iterator[Callable[[Path, str], SmallDisk]]:
    """`small_disk(path, "24m")`: a file system of this size at `path`."""
    mounted: list[Path] = []

    def mount(path: Path, size: str) -> SmallDisk:
        path.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", str(path)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            pytest.skip(f"a small file system can't be mounted here: {done.stderr.strip()}")
        mounted.append(path)
        return SmallDisk(path)

    if not os.path.exists("/bin/mount"):
        pytest.skip("there is no mount on this machine")
    yield mount
    for path in reversed(mounted):
        subprocess.run(["umount", "--lazy", str(path)], check=False, capture_output=True)


def raw(own_yard: Any, path: str, body: Any) -> tuple[int, dict[str, Any]]:
    token = (own_yard.home / "owner.token").read_text().strip()
    request = urllib.request.Request(
        own_yard.url + path,
        json.dumps(body).encode(),
        {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def integrity(home: Path) -> str:
    with contextlib.closing(sqlite3.connect(f"file:{home / 'yard.db'}?mode=ro", uri=True)) as connection:
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0])


def workspace_on(own_yard: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("MODELYARD_HOME", str(own_yard.home))
    from modelyard import Workspace

    return Workspace.get("default")


def last_step(folder: Path, run_id: str) -> int:
    words = load.ledger(folder, run_id)
    return int(words[-1]) if words else -1


@pytest.mark.timeout(240)
def test_a_yard_whose_disk_is_full_says_so_and_goes_on_when_there_is_space(
    own_yard: Any, small_disk: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from modelyard import Model
    from modelyard.errors import AzureMLException

    disk = small_disk(own_yard.home, "24m")
    small_disk(own_yard.home / "node", "300m")
    (folder := tmp_path / "ledger").mkdir()
    own_yard.up()
    workspace = workspace_on(own_yard, monkeypatch)
    run = load.submit(workspace, tmp_path / "source", SCRIPT, [str(folder)])
    wait_until(lambda: last_step(folder, run.id) > 5, "the script to go on", 60)
    server = load.server_pid(own_yard.home)

    disk.fill()
    (tmp_path / "weights.bin").write_bytes(os.urandom(3_000_000))
    with pytest.raises(AzureMLException) as refused:
        Model.register(workspace, str(tmp_path / "weights.bin"), "big")
    assert (refused.value.status, refused.value.code) == (507, "disk_full")
    assert "pace" in str(refused.value)
    said = own_yard.cli(
        "model", "register", "--name", "big", "--path", str(tmp_path / "weights.bin"), check=False
    )
    assert said.returncode != 0
    assert "Traceback" not in said.stderr
    assert sum("pace" in line for line in said.stderr.splitlines()) == 1, said.stderr
    # Small things may still fit into pages that the database has already: until they do not.
    status, answer = 200, {}
    for number in range(3000):
        disk.fill()
        tags = {f"tag{i}": "x" * 200 for i in range(40)}
        body = {"run_id": f"filler-{number}", "experiment": "filler", "started": True, "tags": tags}
        status, answer = raw(own_yard, "/api/v1/workspaces/default/runs", body)
        if status != 201 and status != 200:
            break
    assert (status, answer["code"]) == (507, "disk_full"), answer
    at = last_step(folder, run.id)
    wait_until(lambda: last_step(folder, run.id) > at + 20, "the script to go on with a full disk", 30)
    assert run.get_status() == "Running"
    assert integrity(own_yard.home) == "ok"

    disk.free()
    model = Model.register(workspace, str(tmp_path / "weights.bin"), "big")
    assert model.version == 1  # nothing of the refused ones is there
    (folder / "go").touch()
    assert load.wait_status(run, *load.FINAL, timeout_s=60) == "Completed"
    steps = list(range(last_step(folder, run.id) + 1))
    assert run.get_metrics()["step"] == steps
    assert load.std_log(run) == [f"line {i}" for i in steps]
    assert "outputs/done.txt" in run.get_file_names()
    assert integrity(own_yard.home) == "ok"
    assert load.server_pid(own_yard.home) == server
    own_yard.down()


@pytest.mark.timeout(240)
def test_a_node_whose_disk_is_full_fails_runs_with_the_reason_and_goes_on_when_there_is_space(
    own_yard: Any, small_disk: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder := tmp_path / "ledger").mkdir()
    disk = small_disk(own_yard.home / "node" / "runs", "6m")
    own_yard.up()
    workspace = workspace_on(own_yard, monkeypatch)
    agent = 0

    going_on = load.submit(workspace, tmp_path / "source", SCRIPT, [str(folder)])
    wait_until(lambda: last_step(folder, going_on.id) > 5, "the script to go on", 60)
    agent = load.agent_pid(own_yard.home)
    disk.fill()
    # Its own print() says it to the script, as any Python's would.
    assert load.wait_status(going_on, *load.FINAL) == "Failed"
    assert going_on.get_details()["error"]
    seen = last_step(folder, going_on.id)
    assert len(going_on.get_metrics()["step"]) >= seen + 1

    refused = load.submit(workspace, tmp_path / "source", SCRIPT, [str(folder)])
    assert load.wait_status(refused, *load.FINAL) == "Failed"
    assert "No space left" in str(refused.get_details()["error"])

    disk.free()
    (folder / "go").touch()
    last = load.submit(workspace, tmp_path / "source", SCRIPT, [str(folder)])
    assert load.wait_status(last, *load.FINAL) == "Completed"
    assert load.agent_pid(own_yard.home) == agent
    own_yard.down()
