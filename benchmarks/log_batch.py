"""`log_batch` of 1,000 points over MLflow's protocol: points a second of a yard over those of a real `mlflow server`.

Raw connections with ready bodies, 1 client and 8. `--database postgresql://…` puts the yard on PostgreSQL.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from mlflow_peer import MLFLOW, mlflow_server, yard
from raw_logging import batch, database, measure

SECONDS = 5.0
BODIES = 20
RATIO, RATIO_8, P99_MS = 25.0, 20.0, 80.0


def main() -> int:
    url = database()
    with tempfile.TemporaryDirectory(prefix="my-bench-") as directory:
        with yard(Path(directory, "yard"), url) as server:
            measure(server, batch, 1, 1.0, BODIES)
            ours = {n: measure(server, batch, n, SECONDS, BODIES) for n in (1, 8)}
        with mlflow_server(Path(directory, "mlflow")) as server:
            theirs = {n: measure(server, batch, n, SECONDS, BODIES) for n in (1, 8)}
    ratios = {n: ours[n].calls_per_s / theirs[n].calls_per_s for n in ours}
    holds = ratios[1] >= RATIO and ratios[8] >= RATIO_8 and ours[8].p99_ms < P99_MS
    against = {
        f"{name}, {n} clients": {"points_per_s": round(load.calls_per_s * 1000), **asdict(load)}
        for name, by in (("ours", ours), ("mlflow server", theirs))
        for n, load in by.items()
    }
    print(
        json.dumps(
            {
                "claim": "log_batch",
                "value": round(ratios[1], 1),
                "unit": "points/s of 1 client, ours over mlflow server",
                "bar": f">= {RATIO:g}; of 8 clients >= {RATIO_8:g}, p99 < {P99_MS:g} ms",
                "holds": holds,
                "against": {
                    "database": url.partition(":")[0] or "sqlite",
                    "8 clients": round(ratios[8], 1),
                    **against,
                },
                "versions": {"modelyard": version("modelyard"), "mlflow": MLFLOW[0].partition("==")[2]},
            }
        )
    )
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
