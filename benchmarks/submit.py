"""submit_to_first_line: how much longer a script takes to its first line as a run than as `python script.py`.

A yard of its own is started; the snapshot is unchanged between submits and the Python is the same in both. From the
call of `Experiment.submit` (SDK imported, workspace at hand) to the clock read by the script's first line.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 15
BAR_MS = 150.0
SCRIPT = "import time; t = time.time()\nimport os, sys\nopen(sys.argv[1], 'w').write(repr(t))\n"


def wait_for(path: Path, timeout_s: float = 60.0) -> float:
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if path.exists() and (text := path.read_text()):
            return float(text)
        time.sleep(0.002)
    raise SystemExit(f"{path} did not come within {timeout_s} s")


def bare(script: Path, out: Path) -> float:
    environ = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    began = time.time()
    subprocess.run([sys.executable, script.name, str(out)], cwd=script.parent, check=True, env=environ)
    return (wait_for(out) - began) * 1000


def measure(home: Path) -> list[float]:
    """Milliseconds from submit to first line, bare runs between the submits, so that both see the same machine."""
    os.environ["MODELYARD_HOME"] = str(home)
    from modelyard import Experiment, ScriptRunConfig, Workspace

    source = home / "source"
    source.mkdir()
    (source / "train.py").write_text(SCRIPT)
    experiment = Experiment(Workspace.from_config(), "submit")
    more: list[float] = []
    for number in range(ROUNDS + 2):
        out = home / f"submitted-{number}"
        config = ScriptRunConfig(source_directory=str(source), script="train.py", arguments=[str(out)])
        began = time.time()
        run = experiment.submit(config)
        submitted = (wait_for(out) - began) * 1000
        run.wait_for_completion()
        plain = bare(source / "train.py", home / f"bare-{number}")
        if number >= 2:  # the first ones build the bundle and warm the caches of both
            more.append(submitted - plain)
    return more


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="bench-submit-") as folder:
        environ = {**os.environ, "MODELYARD_HOME": folder}
        modelyard = [sys.executable, "-m", "modelyard"]
        subprocess.run(
            [*modelyard, "up", "--port", "0", "--detach"], env=environ, check=True, stdout=sys.stderr
        )
        try:
            more = measure(Path(folder))
        finally:
            subprocess.run([*modelyard, "down", "--all"], env=environ, check=False, stdout=sys.stderr)
    value = round(statistics.median(more), 1)
    print(
        json.dumps(
            {
                "claim": "submit_to_first_line",
                "value": value,
                "unit": "ms more than `python script.py`",
                "bar": BAR_MS,
                "holds": value < BAR_MS,
                "against": "python script.py in the same environment",
                "spread": [round(min(more), 1), round(max(more), 1)],
                "versions": {"python": platform.python_version()},
            }
        )
    )


if __name__ == "__main__":
    main()
