"""Bytes on disk a point (step, millisecond time, value): the whole database file over the points, after folding.

Full-precision noise, and noise that was born as 32-bit floats; times 20 ms apart with jitter; batches of 1,000 over 10
metrics. The yard's file is taken after its loops have folded and given free space back; MLflow's own file beside it.
"""

from __future__ import annotations

import json
import random
import struct
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import raw_logging
from mlflow_peer import MLFLOW, Server, mlflow_server, yard

OURS, THEIRS = 2_000_000, 50_000
NOISE, NARROW = 10.0, 6.0


def log(server: Server, count: int, narrow: bool) -> None:
    chance = random.Random(7)
    run_id = raw_logging.new_run(server, "bytes")
    at = 1_600_000_000_000
    for first in range(0, count, 1000):
        points = []
        for i in range(first, first + 1000):
            at += chance.randint(1, 40) if i % 10 == 0 else 0
            value = chance.gauss(0, 1)
            if narrow:
                (value,) = struct.unpack("f", struct.pack("f", value))
            points.append({"key": f"m{i % 10}", "value": value, "timestamp": at, "step": i // 10})
        server.call("POST", "/runs/log-batch", {"run_id": run_id, "metrics": points})
    server.call("POST", "/runs/update", {"run_id": run_id, "status": "FINISHED"})


def of_yard(directory: Path, narrow: bool) -> float:
    """The file's size when it has stopped shrinking, with the log written back as at every stop."""
    with yard(directory) as server:
        log(server, OURS, narrow)
        time.sleep(70)  # the loop that gives space back looks once a minute
    return (directory / "yard.db").stat().st_size / OURS


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="my-bench-") as directory:
        noise = of_yard(Path(directory, "noise"), False)
        narrow = of_yard(Path(directory, "narrow"), True)
        with mlflow_server(Path(directory, "mlflow")) as server:
            log(server, THEIRS, False)
        theirs = Path(directory, "mlflow", "mlflow.db").stat().st_size / THEIRS
    holds = noise <= NOISE and narrow <= NARROW
    against: dict[str, Any] = {
        "raw triple": 24,
        "mlflow server": round(theirs, 1),
        "32-bit values": round(narrow, 2),
    }
    print(
        json.dumps(
            {
                "claim": "metric_bytes",
                "value": round(noise, 2),
                "unit": "bytes a point of full-precision noise",
                "bar": f"<= {NOISE:g}; of 32-bit values <= {NARROW:g}",
                "holds": holds,
                "against": against,
                "versions": {"modelyard": version("modelyard"), "mlflow": MLFLOW[0].partition("==")[2]},
            }
        )
    )
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
