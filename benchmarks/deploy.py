"""Deploy → Healthy over starting the same code by hand in the same environment, which is built before.

Both load a scikit-learn model and answer one row. Ours is timed from the call of Model.deploy to the return of
wait_for_deployment; the other from the start of the process until its run() has answered. In turns; medians.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

RUNS = 7
BAR_MS = 500.0
SCORE = """
import json
import os

import joblib


def init():
    global model
    model = joblib.load(os.path.join(os.environ["AZUREML_MODEL_DIR"], "model.joblib"))


def run(data):
    return model.predict(json.loads(data)["data"]).tolist()
"""
ROW = '{"data": [[5.1, 3.5, 1.4, 0.2]]}'
BY_HAND = f"import score; score.init(); score.run({ROW!r}); print('answered', flush=True)"
TRAIN = """
import sys

import joblib
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

joblib.dump(LogisticRegression(max_iter=500).fit(*load_iris(return_X_y=True)), sys.argv[1])
"""


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="my-bench-") as home:
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # both sides start from byte code, as a user's would
        os.environ["MODELYARD_HOME"] = home
        subprocess.run(
            [sys.executable, "-m", "modelyard", "up", "--detach", "--port", "0"],
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            deployed, by_hand = measure(Path(home))
        finally:
            subprocess.run(
                [sys.executable, "-m", "modelyard", "down", "--all"], check=False, stdout=subprocess.DEVNULL
            )
    value = statistics.median(deployed) - statistics.median(by_hand)
    print(
        json.dumps(
            {
                "claim": "deploy_to_healthy_over_by_hand",
                "value": round(value, 1),
                "unit": "ms more than by hand",
                "bar": f"< {BAR_MS:g}",
                "holds": value < BAR_MS,
                "against": {
                    "deploy to healthy": round(statistics.median(deployed), 1),
                    "by hand": round(statistics.median(by_hand), 1),
                },
                "versions": {
                    "modelyard": version("modelyard"),
                    "scikit-learn": version("scikit-learn"),
                    "python": platform.python_version(),
                },
            }
        )
    )
    return 0 if value < BAR_MS else 1


def measure(home: Path) -> tuple[list[float], list[float]]:
    """Milliseconds of each deployment and of each start by hand."""
    from modelyard import InferenceConfig, LocalWebservice, Model, Workspace

    work = home / "bench"
    source = work / "source"
    source.mkdir(parents=True)
    (source / "score.py").write_text(SCORE)
    file = work / "model.joblib"
    subprocess.run([sys.executable, "-c", TRAIN, str(file)], check=True)
    workspace = Workspace.from_config()
    with contextlib.redirect_stdout(sys.stderr):  # stdout is the claim's alone
        model = Model.register(workspace, str(file), "bench-iris")
    config = InferenceConfig("score.py", source_directory=str(source), environment=environment())
    environ = {**os.environ, "AZUREML_MODEL_DIR": str(work)}
    deployed: list[float] = []
    by_hand: list[float] = []
    for number in range(RUNS + 1):
        begin = time.perf_counter()
        service = Model.deploy(
            workspace, f"bench-{number}", [model], config, LocalWebservice.deploy_configuration()
        )
        service.wait_for_deployment()
        deployed.append((time.perf_counter() - begin) * 1000)
        assert service.run(ROW) == [0]
        service.delete()
        by_hand.append(start_by_hand(source, environ))
    return deployed[1:], by_hand[1:]  # the first of each fills caches


def start_by_hand(source: Path, environ: dict[str, str]) -> float:
    """Milliseconds until the code has answered; how long its process takes to end does not count."""
    begin = time.perf_counter()
    command = [sys.executable, "-c", BY_HAND]
    with subprocess.Popen(command, cwd=source, env=environ, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "answered\n"
        return (time.perf_counter() - begin) * 1000


def environment() -> Any:
    """This Python: the environment both sides start in, with nothing to build."""
    from modelyard import Environment

    mine = Environment("bench")
    mine.python.user_managed_dependencies = True
    mine.python.interpreter_path = sys.executable
    return mine


if __name__ == "__main__":
    sys.exit(main())
