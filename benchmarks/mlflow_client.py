"""What a script that uses MLflow's client waits for: the yard beside `mlflow server`, by the real client, one after the other.

Each figure is calls a second of ours ÷ theirs, medians of rounds in which both take turns; CPU is that of the server's
processes for a call. The client itself takes its part of each call (1.7 ms of a log_metric), which no server can give back.
"""

from __future__ import annotations

import json
import platform
import statistics
import sys
import tempfile
from pathlib import Path

from mlflow_peer import Server, in_client, mlflow_server, yard

ROUNDS = 3
BARS = {"log_metric": 2.5, "log_batch": 3.0, "create_run": 2.5, "whole_run": 2.5}
CPU_MS_BAR = 0.4  # of our server, for a log_metric
COUNTS = {"log_metric": 300, "log_batch": 15, "create_run": 60, "whole_run": 20}

# `what` and how often; prints calls a second.
PROGRAM = """
import sys, time, mlflow
from mlflow.entities import Metric
what, count = sys.argv[1], int(sys.argv[2])
client = mlflow.MlflowClient()
mlflow.set_experiment("bench")
experiment = mlflow.get_experiment_by_name("bench").experiment_id
run = client.create_run(experiment).info.run_id
batches = [[Metric("m%d" % (i % 4), 1.0 / (1 + i), 1700000000000 + i, b * 1000 + i) for i in range(1000)] for b in range(count)]
def log_metric(i): client.log_metric(run, "loss", 1.0 / (1 + i), step=i)
def log_batch(i): client.log_batch(run, metrics=batches[i])
def create_run(i): client.create_run(experiment)
def whole_run(i):
    with mlflow.start_run():
        for p in range(10): mlflow.log_param("p%d" % p, p)
import os; sys.stdout = open(os.devnull, "w")
call = globals()[what]
call(0)
begin = time.perf_counter()
for i in range(count): call(i)
took = time.perf_counter() - begin
sys.stdout = sys.__stdout__
print(count / took)
"""


def measure(server: Server, what: str) -> tuple[float, float]:
    """Calls a second, and milliseconds of the server's CPU a call."""
    before = server.cpu_s()
    rate = in_client(server, PROGRAM, what, str(COUNTS[what]))
    return rate, (server.cpu_s() - before) * 1000 / COUNTS[what]


def main() -> int:
    with (
        tempfile.TemporaryDirectory() as directory,
        mlflow_server(Path(directory) / "mlflow") as theirs,
        yard(Path(directory) / "yard") as ours,
    ):
        figures = {what: _both(ours, theirs, what) for what in BARS}
    holds = all(figures[what]["ratio"] >= bar for what, bar in BARS.items())
    holds = holds and figures["log_metric"]["our_cpu_ms"] < CPU_MS_BAR
    line = {
        "claim": "mlflow_client",
        "figures": figures,
        "bars": {**BARS, "log_metric_cpu_ms": CPU_MS_BAR},
        "rounds": ROUNDS,
        "holds": holds,
        "machine": f"{platform.machine()} Python {platform.python_version()}",
    }
    print(json.dumps(line))
    return 0 if holds else 1


def _both(ours: Server, theirs: Server, what: str) -> dict[str, float]:
    taken = [(measure(ours, what), measure(theirs, what)) for _ in range(ROUNDS)]
    rates = [statistics.median(one[side][0] for one in taken) for side in (0, 1)]
    cpus = [statistics.median(one[side][1] for one in taken) for side in (0, 1)]
    return {
        "ratio": round(rates[0] / rates[1], 2),
        "ours_per_s": round(rates[0], 1),
        "theirs_per_s": round(rates[1], 1),
        "our_cpu_ms": round(cpus[0], 2),
        "their_cpu_ms": round(cpus[1], 2),
    }


if __name__ == "__main__":
    sys.exit(main())
