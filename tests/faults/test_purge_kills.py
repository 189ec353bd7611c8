"""kill -9 of the yard while it deletes for good: it goes on at its next start, counts once, and takes nothing else."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import load
import pytest
from services import wait_until

RUNS = 60


@pytest.mark.timeout(300)
def test_a_yard_killed_while_it_deletes_for_good_goes_on(
    own_yard: Any, workspace: Any, tmp_path: Path
) -> None:
    from modelyard import Experiment

    shared = tmp_path / "shared.bin"
    shared.write_bytes(b"shared" * 1000)
    going, staying = Experiment(workspace, "going"), Experiment(workspace, "staying")
    sizes = 0
    for n in range(RUNS):
        own = tmp_path / f"{n}.bin"
        own.write_bytes(os.urandom(1_100_000) if n % 3 == 0 else os.urandom(2000))
        sizes += own.stat().st_size
        run = going.start_logging(snapshot_directory=None)
        run.upload_files(["outputs/own.bin", "outputs/shared.bin"], [str(own), str(shared)])
        run.complete()
    kept = staying.start_logging(snapshot_directory=None)
    kept.upload_file("outputs/shared.bin", str(shared))
    kept.complete()

    own_yard.cli("experiment", "delete", "going", "--force", "--yes")
    begun = workspace.trash.empty(wait=False)
    for _ in range(4):
        load.kill(load.server_pid(own_yard.home))
        own_yard.up()
    receipt = workspace.receipts.wait(begun.id)
    assert (receipt.runs, receipt.experiments, receipt.files) == (RUNS, 1, 2 * RUNS)
    assert (receipt.freed_blobs, receipt.freed_bytes) == (RUNS, sizes)
    assert sum(item["kind"] == "run" for item in workspace.receipts.items(begun.id)) == RUNS
    assert workspace.trash.list() == []
    kept.download_file("outputs/shared.bin", str(tmp_path / "fetched"))
    assert (tmp_path / "fetched").read_bytes() == shared.read_bytes()
    wait_until(lambda: _garbage(own_yard)["blobs"] == 0, "all bytes to be removed")


def _garbage(own_yard: Any) -> Any:
    return json.loads(own_yard.cli("gc", "--dry-run", "--grace", "0", "--output", "json").stdout)
