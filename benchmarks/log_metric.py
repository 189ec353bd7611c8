"""`log_metric` over MLflow's protocol: calls a second of a yard over those of a real `mlflow server`, and CPU a call.

Raw connections with ready bodies, 1 client and 8; both servers on the same disk, one after the other.
`--database postgresql://…` puts the yard on PostgreSQL.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from mlflow_peer import MLFLOW, mlflow_server, yard
from raw_logging import database, measure, one_metric

SECONDS = 5.0
BODIES = 2000
RATIO, P99_MS, CPU_MS = 20.0, 10.0, 0.4


def main() -> int:
    url = database()
    with tempfile.TemporaryDirectory(prefix="my-bench-") as directory:
        with yard(Path(directory, "yard"), url) as server:
            measure(server, one_metric, 1, 1.0, BODIES)
            ours = {n: measure(server, one_metric, n, SECONDS, BODIES) for n in (1, 8)}
        with mlflow_server(Path(directory, "mlflow")) as server:
            measure(server, one_metric, 1, 1.0, BODIES)
            theirs = {n: measure(server, one_metric, n, SECONDS, BODIES) for n in (1, 8)}
    ratio = ours[8].calls_per_s / theirs[8].calls_per_s
    holds = ratio >= RATIO and ours[8].p99_ms < P99_MS and ours[1].cpu_ms < CPU_MS
    against = {
        f"{name}, {n} clients": asdict(load)
        for name, by in (("ours", ours), ("mlflow server", theirs))
        for n, load in by.items()
    }
    print(
        json.dumps(
            {
                "claim": "log_metric",
                "value": round(ratio, 1),
                "unit": "calls/s of 8 clients, ours over mlflow server",
                "bar": f">= {RATIO:g}; p99 < {P99_MS:g} ms; CPU a call < {CPU_MS:g} ms",
                "holds": holds,
                "against": {"database": url.partition(":")[0] or "sqlite", **against},
                "versions": {"modelyard": version("modelyard"), "mlflow": MLFLOW[0].partition("==")[2]},
            }
        )
    )
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
