"""transfer_export, transfer_import: a workspace to one file and back, over HTTP, on SQLite and local files.

The raw limit is measured beside: a copy of the database by SQLite's own backup, and a stored zip of as many random bytes,
both on disk (fsync). The import's file has 2,000 runs with 5 metrics of 200 points each (2 M points) and 200 MB of
files; points a second of the bulk load alone come from a second file without files. Medians of three turns, each in a new yard.
"""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

RUNS, METRICS, POINTS, FILE_BYTES = 2_000, 5, 200, 100_000
TURNS = 3
BAR, POINTS_BAR = 10.0, 100_000.0


def make(target: Path, with_files: bool) -> None:
    from modelyard.importing.file import WorkspaceFileMade, row_of, run_row
    from modelyard.importing.mlflow_import import series_of
    from modelyard.importing.mlflow_records import History
    from modelyard.server.runs.loading import RunRecord
    from modelyard.server.runs.transfer import EXPERIMENTS

    made = WorkspaceFileMade()
    experiment = row_of(
        EXPERIMENTS, id="e", name="many", tags={}, description="", created_at=1.0, last_number=RUNS
    )
    steps = list(range(POINTS))
    for number in range(1, RUNS + 1):
        series = [
            series_of(History(f"m{i}", steps, steps, [number / (s + 1) for s in steps]))
            for i in range(METRICS)
        ]
        files = [(made.keep("out.bin", [os.urandom(FILE_BYTES)]), 1.0)] if with_files else []
        row = run_row(
            id=f"r{number}", experiment_id="e", number=number, type="t", status="Completed", display_name=f"r{number}",
            root_id=f"r{number}", created_at=float(number), started_at=1.0, ended_at=2.0, params={"lr": str(number)},
        )  # fmt: skip
        made.add_run(RunRecord(row, series, files), experiment)
    made.write(target, "benchmark")
    made.close()


def yard(home: Path, verb: str, *more: str) -> None:
    environment = {**os.environ, "MODELYARD_HOME": str(home)}
    subprocess.run(
        [sys.executable, "-m", "modelyard", verb, *more],
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
    )


def raw(home: Path, scratch: Path) -> float:
    begin = time.perf_counter()
    with (
        closing(sqlite3.connect(home / "yard.db")) as here,
        closing(sqlite3.connect(scratch / "raw.db")) as there,
    ):
        here.backup(there)
    piece = os.urandom(FILE_BYTES)
    with open(scratch / "raw.zip", "wb") as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for number in range(RUNS):
                archive.writestr(str(number), piece)
        file.flush()
        os.fsync(file.fileno())
    return time.perf_counter() - begin


def turn(scratch: Path, files: Path, points: Path) -> dict[str, float]:
    from modelyard._client import connect
    from modelyard.transfer import send
    from modelyard.workspace import Workspace

    home = scratch / "home"
    yard(home, "up", "--detach", "--free-port")
    os.environ["MODELYARD_HOME"] = str(home)
    try:
        client = connect()
        begin = time.perf_counter()
        send(client, str(files), "whole", False, "fail", False)
        imported = time.perf_counter() - begin
        begin = time.perf_counter()
        Workspace._named("whole", client).export(str(scratch / "again.zip"))
        exported = time.perf_counter() - begin
        limit = raw(home, scratch)
        begin = time.perf_counter()
        send(client, str(points), "points", False, "rename", False)
        loaded = time.perf_counter() - begin
    finally:
        yard(home, "down", "--all")
    return {"import": imported, "export": exported, "raw": limit, "load": loaded}


def main() -> int:
    turns = []
    with tempfile.TemporaryDirectory() as directory:
        files, points = Path(directory, "files.zip"), Path(directory, "points.zip")
        make(files, with_files=True)
        make(points, with_files=False)
        size_mb = files.stat().st_size / 1e6
        for _ in range(TURNS):
            with tempfile.TemporaryDirectory(dir=directory) as scratch:
                turns.append(turn(Path(scratch), files, points))
    took = {name: statistics.median(t[name] for t in turns) for name in turns[0]}
    ratio = {name: statistics.median(t[name] / t["raw"] for t in turns) for name in ("import", "export")}
    rate = RUNS * METRICS * POINTS / took["load"]
    versions = {"modelyard": version("modelyard"), "python": platform.python_version()}
    claims: list[tuple[str, float, str, str, bool, dict[str, float]]] = [
        (f"transfer_{name}", ratio[name], "ratio to a stored zip and a copy of the database", f"<= {BAR:g}", ratio[name] <= BAR, {
            "raw, s": round(took["raw"], 2), f"{name}, s": round(took[name], 2), "MB/s": round(size_mb / took[name], 1),
            "runs/s": round(RUNS / took[name]),
        })
        for name in ("export", "import")
    ]  # fmt: skip
    claims.append(
        (
            "transfer_points",
            rate,
            "points/s",
            f">= {POINTS_BAR:,.0f}",
            rate >= POINTS_BAR,
            {"load, s": round(took["load"], 2)},
        )
    )
    for claim, value, unit, bar, holds, against in claims:
        line = {
            "claim": claim,
            "value": round(value, 2),
            "unit": unit,
            "bar": bar,
            "holds": holds,
            "against": against,
        }
        print(json.dumps({**line, "versions": versions}))
    return 0 if all(holds for *_, holds, _ in claims) else 1


if __name__ == "__main__":
    sys.exit(main())
