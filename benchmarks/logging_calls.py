"""`run.log()` calls a second at the caller (bar 100,000) and to durable in the yard (bar 60,000).

The second goes through a real run on a real yard of its own: from the first call to the return of `run.flush()`,
which waits until the yard holds every record durably. Peers are measured only where they are installed.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import modelyard

_CALLS = 300_000
_SCRIPT = """
    import json, time
    from modelyard import Run
    run = Run.get_context(allow_offline=False)
    run.log("warm", 0.5)
    run.flush()
    start = time.perf_counter()
    for step in range({calls}):
        run.log("loss", step * 0.001)
    called = time.perf_counter() - start
    run.flush()
    durable = time.perf_counter() - start
    print("RESULT", json.dumps({{"called_s": called, "durable_s": durable}}))
"""
_TRACKIO = """
    import json, time, trackio
    trackio.init(project="bench")
    start = time.perf_counter()
    for step in range(20000):
        trackio.log({"loss": step * 0.001})
    print("RESULT", json.dumps({"called_s": time.perf_counter() - start}))
"""
_WANDB = """
    import json, time, wandb
    run = wandb.init(project="bench", mode="offline")
    start = time.perf_counter()
    for step in range(20000):
        run.log({"loss": step * 0.001})
    print("RESULT", json.dumps({"called_s": time.perf_counter() - start}))
"""


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="modelyard-bench-") as scratch:
        environment = {**os.environ, "MODELYARD_HOME": str(Path(scratch, "home"))}
        subprocess.run(
            [sys.executable, "-m", "modelyard", "up", "--port", "0", "--detach"],
            env=environment,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        try:
            taken = _through_a_yard(Path(scratch), environment)
        finally:
            subprocess.run(  # noqa: PLW1510  # the figures are taken; a failing end is no matter
                [sys.executable, "-m", "modelyard", "down", "--all"],
                env=environment,
                stdout=subprocess.DEVNULL,
            )
        peers = _peers(Path(scratch))
    _tell("log_calls_at_caller", _CALLS / taken["called_s"], 100_000, peers)
    _tell("log_to_durable", _CALLS / taken["durable_s"], 60_000, peers)


def _through_a_yard(scratch: Path, environment: dict[str, str]) -> dict[str, float]:
    source = scratch / "source"
    source.mkdir()
    (source / "train.py").write_text(textwrap.dedent(_SCRIPT).format(calls=_CALLS))
    os.environ["MODELYARD_HOME"] = environment["MODELYARD_HOME"]
    workspace = modelyard.Workspace.from_config()
    run = modelyard.Experiment(workspace, "bench").submit(
        modelyard.ScriptRunConfig(str(source), script="train.py")
    )
    run.wait_for_completion()
    stored = run.get_metrics()["loss"]
    assert len(stored) == _CALLS, f"{len(stored)} of {_CALLS} points arrived"
    return _result(run.get_details_with_logs()["logFiles"]["user_logs/std_log.txt"])


def _peers(scratch: Path) -> dict[str, float]:
    found = {}
    for name, script in (("trackio", _TRACKIO), ("wandb", _WANDB)):
        if importlib.util.find_spec(name) is None:
            continue
        done = subprocess.run(  # noqa: PLW1510  # a peer that fails is left out
            [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, cwd=scratch
        )
        if done.returncode == 0:
            found[name + "_calls_per_s"] = round(20_000 / _result(done.stdout)["called_s"])
    return found


def _result(text: str) -> dict[str, float]:
    line = next(line for line in text.splitlines() if line.startswith("RESULT "))
    taken: dict[str, float] = json.loads(line[len("RESULT ") :])
    return taken


def _tell(claim: str, value: float, bar: float, peers: dict[str, float]) -> None:
    print(
        json.dumps(
            {
                "claim": claim,
                "value": round(value),
                "unit": "calls/s",
                "bar": bar,
                "holds": value >= bar,
                "against": peers,
                "versions": {"python": platform.python_version(), "modelyard": modelyard.__version__},
            }
        ),
        flush=True,
    )


if __name__ == "__main__":
    main()
