"""Reading a series of 100,000 points: whole, over MLflow's get-history in one GET; and as a sample of 1,000 points.

The points are noise over noisy times, logged in batches of 1,000; the yard has folded them. Medians.
`--database postgresql://…` puts the yard on PostgreSQL.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import raw_logging
from mlflow_peer import MLFLOW, Server, mlflow_server, yard

POINTS = 100_000
TURNS = 9
RATIO, SAMPLE_MS = 20.0, 20.0


def filled(server: Server) -> str:
    run_id = raw_logging.new_run(server, "reads")
    for first in range(0, POINTS, 1000):
        points = [
            {
                "key": "loss",
                "value": 1 / (1 + i % 977) + i * 1e-7,
                "timestamp": 1_600_000_000_000 + 97 * i + i * i % 61,
                "step": i,
            }
            for i in range(first, first + 1000)
        ]  # fmt: skip
        server.call("POST", "/runs/log-batch", {"run_id": run_id, "metrics": points})
    server.call("POST", "/runs/update", {"run_id": run_id, "status": "FINISHED"})
    return run_id


def timed(work: Callable[[], int], turns: int) -> float:
    """Milliseconds."""
    took = []
    for _ in range(turns):
        begin = time.perf_counter()
        found = work()
        took.append((time.perf_counter() - begin) * 1000)
        assert found > 0
    return statistics.median(took)


def series(server: Server, run_id: str, form: str = "", **query: Any) -> int:
    """How many bytes came."""
    address = server.url.replace("/mlflow/", "/api/v1/workspaces/") + "/metric-series" + form
    content = json.dumps({"runs": [run_id], "names": ["loss"], **query}).encode()
    headers = {"content-type": "application/json", "authorization": f"Bearer {server.token}"}
    with urllib.request.urlopen(urllib.request.Request(address, content, headers), timeout=60) as answer:
        return len(answer.read())


def history(server: Server, run_id: str) -> int:
    found: Any = server.call("GET", f"/metrics/get-history?run_id={run_id}&metric_key=loss")
    assert len(found["metrics"]) == POINTS
    return POINTS


def main() -> int:
    url = raw_logging.database()
    with tempfile.TemporaryDirectory(prefix="my-bench-") as directory:
        with yard(Path(directory, "yard"), url) as server:
            run_id = filled(server)
            series(server, run_id)
            time.sleep(3)  # for the folding, which is not what is measured
            ours = {
                "whole as JSON": timed(lambda: series(server, run_id), TURNS),
                "whole as Arrow": timed(lambda: series(server, run_id, "/arrow"), TURNS),
                "1,000 by minmax": timed(lambda: series(server, run_id, points=1000), TURNS),
                "1,000 by lttb": timed(lambda: series(server, run_id, points=1000, method="lttb"), TURNS),
                "MLflow's get-history": timed(lambda: history(server, run_id), 3),
            }
        with mlflow_server(Path(directory, "mlflow")) as server:
            run_id = filled(server)
            theirs = timed(lambda: history(server, run_id), 3)
    ratio = theirs / ours["whole as JSON"]
    sample = max(ours["1,000 by minmax"], ours["1,000 by lttb"])
    holds = ratio >= RATIO and sample < SAMPLE_MS
    print(
        json.dumps(
            {
                "claim": "series_reads",
                "value": round(ratio, 1),
                "unit": "time of 100,000 points in one GET, mlflow server over ours",
                "bar": f">= {RATIO:g}; a sample of 1,000 points < {SAMPLE_MS:g} ms",
                "holds": holds,
                "against": {
                    "database": url.partition(":")[0] or "sqlite",
                    "mlflow server, ms": round(theirs),
                    **{f"ours, {what}, ms": round(ms, 1) for what, ms in ours.items()},
                },
                "versions": {"modelyard": version("modelyard"), "mlflow": MLFLOW[0].partition("==")[2]},
            }
        )
    )
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
