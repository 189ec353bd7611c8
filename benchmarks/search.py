"""`search_runs` sorted by a metric, 10,000 runs, the top 100: MLflow's own server beside the yard, over HTTP, the same request.

Both have the same runs (5 metrics, 5 parameters, 3 tags each) in one experiment, put in by bulk. MLflow's database is
analysed: without that this request takes it a hundred times as long. Connections are kept alive; requests go in turns.
"""

from __future__ import annotations

import contextlib
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
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests" / "support"), str(ROOT / "benchmarks")]

from python_environments import MLFLOW, environment  # noqa: E402  # found by the line above
from services import free_port  # noqa: E402

RUNS = 10_000
TOP = 100
ROUNDS = 30
BAR = 5.0

_COPY = """
import sqlite3, sys
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
theirs, ours, root = sys.argv[1:]
SqlAlchemyStore("sqlite:///" + theirs, root)
db = sqlite3.connect(theirs)
db.execute("ATTACH ? AS yard", (ours,))
for statement in (
    "INSERT INTO runs (run_uuid, name, source_type, user_id, status, start_time, end_time, lifecycle_stage, "
    "artifact_uri, experiment_id) "
    "SELECT id, display_name, 'LOCAL', user, 'FINISHED', started_at * 1000, ended_at * 1000, 'active', '', 0 FROM yard.runs",
    "INSERT INTO latest_metrics (key, value, timestamp, step, is_nan, run_uuid) "
    "SELECT name, last, last_ms, last_step, 0, run_id FROM yard.metric_series",
    "INSERT INTO metrics (key, value, timestamp, step, is_nan, run_uuid) "
    "SELECT name, last, last_ms, last_step, 0, run_id FROM yard.metric_series",
    "INSERT INTO params (key, value, run_uuid) SELECT key, value, run_id FROM yard.run_labels WHERE kind = 'param'",
    "INSERT INTO tags (key, value, run_uuid) SELECT key, value, run_id FROM yard.run_labels WHERE kind = 'tag'",
    "ANALYZE",
):
    db.execute(statement)
db.commit()
"""


class Server:
    def __init__(self, url: str, prefix: str, token: str = "") -> None:
        address = urlsplit(url)
        self._connection = http.client.HTTPConnection(address.hostname or "", address.port or 0, timeout=600)
        self._prefix = prefix
        self._headers = {"content-type": "application/json"}
        if token:
            self._headers["authorization"] = f"Bearer {token}"

    def post(self, path: str, body: dict[str, object]) -> dict[str, object]:
        self._connection.request("POST", self._prefix + path, json.dumps(body), self._headers)
        answer = self._connection.getresponse()
        content = answer.read()
        assert answer.status == 200, content
        return json.loads(content)  # type: ignore[no-any-return]

    def timed_ms(self, path: str, body: dict[str, object]) -> float:
        begin = time.perf_counter()
        self._connection.request("POST", self._prefix + path, json.dumps(body), self._headers)
        answer = self._connection.getresponse()
        answer.read()
        assert answer.status == 200
        return (time.perf_counter() - begin) * 1000


def populate(home: Path, *options: str) -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "populate.py"), "--home", str(home), *options]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@contextlib.contextmanager
def yard(home: Path, database: str = "") -> Iterator[Server]:
    """A started yard; under `/api/v1/workspaces/default` unless the caller says otherwise."""
    environ = {**os.environ, "MODELYARD_HOME": str(home), "MODELYARD_DATABASE": database}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, "-m", "modelyard"]
    subprocess.run(
        [*command, "up", "--detach", "--port", "0"], env=environ, check=True, stdout=subprocess.DEVNULL
    )
    try:
        url = json.loads((home / "yard.json").read_text())["url"]
        yield Server(url, "", (home / "owner.token").read_text().strip())
    finally:
        subprocess.run([*command, "down", "--all"], env=environ, check=False, stdout=subprocess.DEVNULL)


@contextlib.contextmanager
def mlflow(directory: Path, yard_db: Path) -> Iterator[Server]:
    python = str(environment(*MLFLOW))
    database = directory / "mlflow.db"
    arguments = [str(database), str(yard_db), str(directory / "artifacts")]
    subprocess.run([python, "-c", _COPY, *arguments], check=True, capture_output=True)
    port = free_port()
    command = [
        python,
        "-m",
        "mlflow",
        "server",
        "--backend-store-uri",
        f"sqlite:///{database}",
        "--port",
        str(port),
    ]
    with open(directory / "mlflow.log", "w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=directory, start_new_session=True)
    try:
        _wait_for(port)
        yield Server(f"http://127.0.0.1:{port}", "")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 15)
        process.wait(timeout=60)


def _wait_for(port: int) -> None:
    end = time.monotonic() + 180
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
            connection.request("GET", "/health")
            if connection.getresponse().status == 200:
                return
        time.sleep(0.2)
    raise SystemExit("error: mlflow server did not come up in 180 s")


def experiment_id(yard_db: Path) -> str:
    with contextlib.closing(sqlite3.connect(yard_db)) as db:
        return str(db.execute("SELECT id FROM experiments WHERE name = 'e0'").fetchone()[0])


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="my-bench-") as directory:
        home = Path(directory) / "yard"
        populate(home, "--runs", str(RUNS), "--experiments", "1")
        path = "/api/2.0/mlflow/runs/search"
        asked = {"order_by": ["metrics.acc DESC"], "max_results": TOP}
        with mlflow(Path(directory), home / "yard.db") as theirs, yard(home) as ours:
            sides = {
                "mlflow": (theirs, path, {**asked, "experiment_ids": ["0"]}),
                "yard": (
                    ours,
                    f"/mlflow/default{path}",
                    {**asked, "experiment_ids": [experiment_id(home / "yard.db")]},
                ),
            }
            found = {
                name: [run["info"]["run_id"] for run in server.post(path, body)["runs"]]  # type: ignore[index]
                for name, (server, path, body) in sides.items()
            }
            assert found["mlflow"] == found["yard"]
            took: dict[str, list[float]] = {name: [] for name in sides}
            for _ in range(ROUNDS):
                for name, (server, path, body) in sides.items():
                    took[name].append(server.timed_ms(path, body))
    theirs_ms, ours_ms = statistics.median(took["mlflow"]), statistics.median(took["yard"])
    value = theirs_ms / ours_ms
    print(
        json.dumps(
            {
                "claim": "search_runs",
                "value": round(value, 2),
                "unit": "times as fast as mlflow's server, analysed",
                "bar": f">= {BAR:g}",
                "holds": value >= BAR,
                "against": {
                    "mlflow, ms": round(theirs_ms, 1),
                    "yard, ms": round(ours_ms, 1),
                    "runs": RUNS,
                    "top": TOP,
                },
                "versions": {
                    "modelyard": version("modelyard"),
                    "mlflow": MLFLOW[0].partition("==")[2],
                    "sqlite": sqlite3.sqlite_version,
                    "python": platform.python_version(),
                },
            }
        )
    )
    return 0 if value >= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
