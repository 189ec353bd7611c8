"""delete_for_good: 10,000 runs, each with 5 metrics of 20 points and a file of its own, out of a yard of 20,000.

Ours: from asking to empty the trash to the finished receipt: rows, bytes, receipt with every hash. MLflow: `mlflow gc` of 200
such runs in its own SQLite and folder, without the time that it takes to find nothing. Value: runs a second, ours over theirs.
Meanwhile somebody writes one row after the other in our yard; what that takes is told too: a purge must not hold others up.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import populate
import sqlalchemy as sa

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))
from python_environments import MLFLOW, environment

from modelyard.server.app import Yard, build
from modelyard.server.artifacts.receive import Frames
from modelyard.server.kernel.clock import SystemClock
from modelyard.server.kernel.reconcile import Round
from modelyard.server.kernel.settings import Settings
from modelyard.server.lifetime.reconcile import Receipts
from modelyard.server.lifetime.service import LifetimeService
from modelyard.server.runs import tables

RUNS, POINTS_EACH, FILE_BYTES = 20_000, 20, 4_000
PEER_RUNS = 200
BAR = 20.0

_PEER = """
import sys, time
from mlflow import MlflowClient
from mlflow.entities import Metric
client = MlflowClient()
experiment = client.create_experiment("e", artifact_location=sys.argv[1])
open("f.bin", "wb").write(b"x" * 4000)
for _ in range(int(sys.argv[2])):
    run = client.create_run(experiment).info.run_id
    client.log_batch(run, [Metric(f"m{m}", s * 1.0, s, s) for m in range(5) for s in range(20)])
    client.log_artifact(run, "f.bin")
    client.delete_run(run)
"""


def fill(yard: Yard, workspace_id: str) -> list[str]:
    """20,000 runs with a file each; answers the ids of the experiment that has half of them."""
    populate.fill(yard.db, workspace_id, populate.Plan(RUNS, RUNS * len(populate.METRICS) * POINTS_EACH))
    with yard.db.read() as tx:
        ids = list(tx.execute(sa.select(tables.runs.c.id)).scalars())
        biggest = tx.execute(
            sa.select(tables.experiments.c.id).order_by(tables.experiments.c.run_count.desc()).limit(1)
        ).scalar_one()
    rows = []
    for start in range(0, len(ids), 1000):
        some = ids[start : start + 1000]
        contents = {run_id: run_id.encode().ljust(FILE_BYTES) for run_id in some}

        def put(contents: dict[str, bytes] = contents) -> dict[str, int]:
            with yard.artifacts._blobs.staging() as staging:
                frames = Frames(staging)
                for content in contents.values():
                    frames.feed([f"{hashlib.sha256(content).hexdigest()} {FILE_BYTES}\n".encode() + content])
                frames.finish(yard.artifacts._blobs)
            return frames.sizes

        yard.artifacts.garbage.bring(workspace_id, put)
        rows += [
            {"run_id": run_id, "path": "outputs/f.bin", "hash": hashlib.sha256(content).hexdigest(), "size": FILE_BYTES,
             "executable": False, "created_at": 1.0}
            for run_id, content in contents.items()
        ]  # fmt: skip
    yard.db.write(lambda tx: tx.execute(sa.insert(tables.files), rows))
    return [biggest]


class Bystander(threading.Thread):
    """Writes one row after the other and notes how long each takes."""

    def __init__(self, yard: Yard) -> None:
        super().__init__(daemon=True)
        self._yard = yard
        self._done = threading.Event()
        self.took_ms: list[float] = []

    def run(self) -> None:
        change = sa.update(tables.experiments).values(description="looked at")
        while not self._done.wait(0.005):
            begin = time.perf_counter()
            self._yard.db.write(lambda tx: tx.execute(change.where(tables.experiments.c.id == "none")))
            self.took_ms.append((time.perf_counter() - begin) * 1000)

    def end(self) -> list[float]:
        self._done.set()
        self.join()
        return sorted(self.took_ms)


def ours(home: Path) -> dict[str, Any]:
    yard = build(Settings(home=home), "owner", "node")
    try:
        workspace_id = yard.workspaces.id_of("default")
        (experiment,) = fill(yard, workspace_id)
        service: LifetimeService = yard.lifetime
        begin = time.perf_counter()
        yard.runs.experiments.trash(workspace_id, experiment, force=True)
        trashed = time.perf_counter() - begin
        bystander = Bystander(yard)
        bystander.start()
        begin = time.perf_counter()
        preview = service.preview(workspace_id, [experiment])
        previewed = time.perf_counter() - begin
        begin = time.perf_counter()
        receipt = service.empty(workspace_id, [experiment], "bench")
        assert receipt is not None
        Round(yard.db, SystemClock(), Receipts(yard.db, yard.artifacts.garbage))()
        took = time.perf_counter() - begin
        waits = bystander.end()
        done = service.receipt(workspace_id, receipt.id)
        assert (
            (done.runs, done.freed_bytes)
            == (RUNS // 2, preview.freed_bytes)
            == (RUNS // 2, RUNS // 2 * FILE_BYTES)
        )
    finally:
        yard.close()
    return {
        "runs_s": done.runs / took, "into the trash, ms": round(trashed * 1000), "preview, ms": round(previewed * 1000),
        "empty the trash, s": round(took, 2), "a bystander's write meanwhile, p50 ms": round(statistics.median(waits), 2),
        "p99 ms": round(waits[int(len(waits) * 0.99)], 1),
    }  # fmt: skip


def peer(home: Path) -> float:
    """Runs a second of `mlflow gc`."""
    python = environment(*MLFLOW)
    environ = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{home}/mlflow.db"}
    gc = [str(python), "-m", "mlflow", "gc", "--backend-store-uri", environ["MLFLOW_TRACKING_URI"]]

    def run(*command: str) -> float:
        begin = time.perf_counter()
        subprocess.run(command, env=environ, cwd=home, check=True, capture_output=True)
        return time.perf_counter() - begin

    run(str(python), "-c", _PEER, str(home / "artifacts"), str(PEER_RUNS))
    took = run(*gc)
    return PEER_RUNS / (took - run(*gc))


def main() -> int:
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "peer").mkdir()
        theirs = peer(Path(directory) / "peer")
        mine = ours(Path(directory) / "ours")
    rate = mine.pop("runs_s")
    value = rate / theirs
    holds = value >= BAR
    print(
        json.dumps(
            {
                "claim": "delete_for_good",
                "value": round(value, 1),
                "unit": "runs a second, ours over mlflow gc",
                "bar": f">= {BAR:g}",
                "holds": holds,
                "against": {"mlflow gc, runs/s": round(theirs, 1), "ours, runs/s": round(rate, 1), **mine},
                "versions": {
                    "modelyard": version("modelyard"),
                    "mlflow": MLFLOW[0].partition("==")[2],
                    "python": platform.python_version(),
                },
            }
        )
    )
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
