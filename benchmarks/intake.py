"""Durable points a second that the yard takes in over HTTP, beside SQLite's own rate for the same rows and commits.

Ours: `modelyard up`, one connection, journal chunks of 1 MiB as a run host sends them; each answer means "on disk".
SQLite: the same rows into a plain table by executemany, one commit a chunk, WAL and synchronous=FULL, rows made before.
Both write to the same disk, in turns; medians.
"""

from __future__ import annotations

import http.client
import json
import os
import platform
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

ROUNDS = 5
POINTS = 200_000
CHUNK_BYTES = 1 << 20
SERIES = 4  # metrics that a training loop logs in turn
BAR = 0.3
FLOOR = 60_000

Point = tuple[int, int, int, float]  # metric, step, time, value


def points() -> list[Point]:
    now = int(time.time() * 1000)
    return [(i % SERIES, i // SERIES, now + i, 1.0 / (1 + i % 977)) for i in range(POINTS)]


def chunks(made: list[Point]) -> list[tuple[bytes, list[Point]]]:
    """The journal in pieces of whole lines, each with the points in it."""
    found: list[tuple[bytes, list[Point]]] = []
    lines: list[bytes] = []
    held: list[Point] = []
    size = 0
    for point in made:
        metric, step, at, value = point
        line = f'{{"k":"m","n":"metric_{metric}","v":{value!r},"t":{at},"s":{step}}}\n'.encode()
        if size + len(line) > CHUNK_BYTES:
            found.append((b"".join(lines), held))
            lines, held, size = [], [], 0
        lines.append(line)
        held.append(point)
        size += len(line)
    found.append((b"".join(lines), held))
    return found


class Yard:
    def __init__(self, home: Path) -> None:
        self.url = urlsplit(json.loads((home / "yard.json").read_text())["url"])
        self.token = (home / "owner.token").read_text().strip()
        self.connection = http.client.HTTPConnection(self.url.hostname or "", self.url.port or 0)

    def call(self, method: str, path: str, body: bytes, kind: str) -> bytes:
        headers = {"authorization": f"Bearer {self.token}", "content-type": kind}
        self.connection.request(method, f"/api/v1/workspaces/default{path}", body, headers)
        answer = self.connection.getresponse()
        content = answer.read()
        assert answer.status < 300, content
        return content

    def take_in(self, run_id: str, pieces: list[tuple[bytes, list[Point]]]) -> float:
        body = json.dumps({"run_id": run_id, "experiment": "bench", "started": True}).encode()
        self.call("POST", "/runs", body, "application/json")
        offset = 0
        begin = time.perf_counter()
        for piece, _ in pieces:
            path = f"/runs/{run_id}/journal?source={run_id}&offset={offset}"
            self.call("POST", path, piece, "application/x-ndjson")
            offset += len(piece)
        took = time.perf_counter() - begin
        answer = json.loads(self.call("GET", f"/runs/{run_id}/metrics/metric_0/points?limit=1", b"", ""))
        assert answer["total"] == POINTS // SERIES, answer["total"]
        self.call("POST", f"/runs/{run_id}/status", b'{"status":"Completed"}', "application/json")
        return POINTS / took


def sqlite_alone(home: Path, name: str, pieces: list[tuple[bytes, list[Point]]]) -> float:
    connection = sqlite3.connect(home / f"{name}.db", isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "cache_size=-16000", "wal_autocheckpoint=4000"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("CREATE TABLE points (series INTEGER, step INTEGER, time_ms INTEGER, value REAL)")
    begin = time.perf_counter()
    for _, rows in pieces:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO points VALUES (?, ?, ?, ?)", rows)
        connection.execute("COMMIT")
    took = time.perf_counter() - begin
    connection.close()
    return POINTS / took


def main() -> int:
    pieces = chunks(points())
    with tempfile.TemporaryDirectory(prefix="my-bench-") as directory:
        home = Path(directory)
        environ = {**os.environ, "MODELYARD_HOME": directory}
        environ.pop("PYTHONDONTWRITEBYTECODE", None)
        command = [sys.executable, "-m", "modelyard"]
        subprocess.run(
            [*command, "up", "--detach", "--port", "0"], env=environ, check=True, stdout=subprocess.DEVNULL
        )
        try:
            yard = Yard(home)
            yard.take_in("warm-up", pieces)
            rates = [
                (yard.take_in(f"run-{n}", pieces), sqlite_alone(home, f"plain-{n}", pieces))
                for n in range(ROUNDS)
            ]
        finally:
            subprocess.run([*command, "down", "--all"], env=environ, check=False, stdout=subprocess.DEVNULL)
    ours, plain = statistics.median(o for o, _ in rates), statistics.median(p for _, p in rates)
    value = ours / plain
    holds = value >= BAR and ours >= FLOOR
    print(
        json.dumps(
            {
                "claim": "intake_points",
                "value": round(value, 3),
                "unit": "of SQLite's own rate",
                "bar": f">= {BAR:g}",
                "holds": holds,
                "against": {
                    "SQLite alone, points/s": round(plain),
                    "yard over HTTP, points/s": round(ours),
                    "points": POINTS,
                    "commits": len(pieces),
                },
                "versions": {
                    "modelyard": version("modelyard"),
                    "sqlite": sqlite3.sqlite_version,
                    "msgspec": version("msgspec"),
                    "python": platform.python_version(),
                },
            }
        )
    )
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
