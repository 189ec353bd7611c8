"""Seconds from a query in SQL to its answer: of a small yard, and over all runs and metrics of a large one.

Ours: a POST to the yard's application, each query in a process of its own, read from the yard's SQLite. Beside it DuckDB alone
with two threads, over the same columns as Arrow tables that lie ready in memory: what no system that has to read its database
can reach. Same machine, in turns; medians.

    MODELYARD_BENCH_RUNS=10000 scripts/bench sql     a smaller yard than a million runs
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import arro3.core as arrow
import duckdb
import populate
from starlette.testclient import TestClient

from modelyard.server.app import Yard, build
from modelyard.server.kernel.settings import Settings
from modelyard.server.sql import texts
from modelyard.server.sql.plan import Need
from modelyard.server.sql.process import physical
from modelyard.server.sql.service import Running, SqlService
from modelyard.server.sql.sources import SqliteReader, ViewStream
from modelyard.wire.sql import SqlQuery

RUNS = int(os.environ.get("MODELYARD_BENCH_RUNS", "1000000"))
SMALL = 100
ROUNDS = 3
BAR_S = 0.5
SETTINGS: dict[str, Any] = {"sql_time_s": 600.0, "sql_memory_mib": 4096}
QUERIES = {
    "runs by experiment and status": "SELECT experiment, status, count(*), avg(duration_s) FROM runs GROUP BY ALL",
    "metrics by name": "SELECT name, count(*), avg(last), min(min), max(max) FROM metrics GROUP BY ALL",
    "metrics of the runs with a tag": (
        "SELECT r.experiment, max(m.last) FROM runs r JOIN metrics m USING (run_id) WHERE m.name = 'acc' GROUP BY ALL"
    ),
    "points of one metric of one run": "SELECT max(value) FROM points WHERE run_id = $run AND name = 'loss'",
}
# What DuckDB alone gets ready: the columns that the queries use.
TABLES = {
    "runs": {"run_id", "experiment", "status", "duration_s"},
    "metrics": {"run_id", "name", "last", "min", "max"},
}


@contextmanager
def yard(runs: int) -> Iterator[tuple[Yard, Path]]:
    with tempfile.TemporaryDirectory(prefix="my-bench-") as directory:
        home = Path(directory)
        made = build(Settings(home=home, **SETTINGS), "owner", "node")
        try:
            populate.fill(made.db, made.workspaces.id_of("default"), populate.Plan(runs, 0))
            yield made, home
        finally:
            made.close()


def seconds(work: Any) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def main() -> int:
    with yard(SMALL) as (small, _), TestClient(small.app, base_url="http://127.0.0.1") as http:
        headers = {"authorization": "Bearer owner"}
        body = {"query": "SELECT run_id, status FROM runs ORDER BY created_at DESC LIMIT 10"}

        def ask() -> None:
            answer = http.post("/api/v1/workspaces/default/sql", json=body, headers=headers)
            assert len(answer.json()["rows"]) == 10, answer.text

        ask()
        first_s = statistics.median(seconds(ask) for _ in range(2 * ROUNDS + 1))
    with yard(RUNS) as (large, home):
        against = measured(large, home)
    holds = first_s < BAR_S
    print(
        json.dumps(
            {
                "claim": "sql_first_row",
                "value": round(first_s, 3),
                "unit": "s",
                "bar": f"< {BAR_S:g}",
                "holds": holds,
                "against": against,
                "versions": {
                    "modelyard": version("modelyard"),
                    "duckdb": duckdb.__version__,
                    "python": platform.python_version(),
                },
            }
        )
    )
    return 0 if holds else 1


def measured(large: Yard, home: Path) -> dict[str, Any]:
    """For each query: ours, DuckDB alone, and how many times that is."""
    workspace_id = large.workspaces.id_of("default")
    service = SqlService(large.db, Settings(home=home, **SETTINGS))

    def ask(query: str, **params: Any) -> bytes:
        with service.answer(workspace_id, SqlQuery(query, params), Running()).file as file:
            return file.read()

    run_id = json.loads(ask("SELECT max(run_id) FROM runs"))["rows"][0][0]
    found: dict[str, Any] = {"runs": RUNS, "metrics": RUNS * len(populate.METRICS)}
    with duckdb.connect(config={"threads": 2}) as alone:
        views = texts.of_workspace(workspace_id, True)
        for table, columns in TABLES.items():
            stream = ViewStream(SqliteReader(str(home / "yard.db")), physical(views, table), Need(columns))
            alone.register(table, arrow.Table.from_arrow(stream))
        for name, query in QUERIES.items():
            params = {"run": run_id} if "$run" in query else {}
            took = [seconds(lambda q=query, p=params: ask(q, **p)) for _ in range(ROUNDS)]
            found[name] = {"ours_s": round(statistics.median(took), 3)}
            if not params:
                bare = [seconds(lambda q=query: alone.execute(q).fetchall()) for _ in range(ROUNDS)]
                found[name]["duckdb_alone_s"] = round(statistics.median(bare), 3)
                found[name]["times"] = round(statistics.median(took) / statistics.median(bare), 1)
    return found


if __name__ == "__main__":
    sys.exit(main())
