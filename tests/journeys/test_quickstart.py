"""The main job, as a newcomer runs it: from nothing to a scored web service."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
TIMINGS = {"install", "up", "environment", "submit_to_first_line", "train", "deploy_to_healthy", "score"}


def check(result: dict[str, Any]) -> None:
    assert set(result) == {
        "run_id", "status", "metrics", "model", "endpoint", "predictions", "truth", "timings_s",
    }  # fmt: skip
    assert result["status"] == "Completed"
    assert set(result["timings_s"]) == TIMINGS
    assert all(seconds >= 0 for seconds in result["timings_s"].values())
    assert result["model"]["name"] == "quickstart-diabetes"
    assert len(result["metrics"]["mse"]) == 7
    assert len(result["predictions"]) == len(result["truth"]) == 8
    errors = [abs(p - t) for p, t in zip(result["predictions"], result["truth"], strict=True)]
    assert sum(errors) / len(errors) < 100  # the target goes from 25 to 346


def test_the_quickstart_may_be_run_again(yard: Any) -> None:
    first = yard.cli("quickstart", "--json", timeout_s=600)
    one = json.loads(first.stdout)
    check(one)
    assert f"run show {one['run_id']}" in first.stderr
    two = json.loads(yard.cli("quickstart", "--json", timeout_s=600).stdout)
    check(two)
    assert two["timings_s"]["environment"] == 0
    assert two["run_id"] != one["run_id"]
    assert two["model"]["version"] == one["model"]["version"] + 1
    assert two["endpoint"] == one["endpoint"]
    with urllib.request.urlopen(one["endpoint"]["scoring_uri"].replace("/score", "/"), timeout=10) as answer:
        assert answer.status == 200


def test_without_json_the_story_is_told_on_stdout(yard: Any) -> None:
    done = yard.cli("quickstart", timeout_s=600)
    for words in ("1. A yard", "Completed; its metrics", "predicted    truth", "endpoint show"):
        assert words in done.stdout


@pytest.mark.timeout(900)
def test_pip_install_in_an_empty_environment_gives_it_all(tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    uv = str(Path(sys.executable).parent / "uv")
    environ = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE")}
    environ["MODELYARD_HOME"] = str(tmp_path / "home")

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done

    run(uv, "venv", "--quiet", "--python", sys.executable, str(venv))
    run(
        uv,
        "pip",
        "install",
        "--quiet",
        "--compile-bytecode",
        "--python",
        str(venv / "bin" / "python"),
        str(ROOT),
    )
    modelyard = str(venv / "bin" / "modelyard")
    try:
        run(modelyard, "up", "--detach", "--port", "0")
        check(json.loads(run(modelyard, "quickstart", "--json").stdout))
    finally:
        run(modelyard, "down", "--all")


def test_a_failing_step_is_told_and_the_exit_code_says_so(own_yard: Any) -> None:
    (own_yard.home / "config.toml").write_text('database = "postgresql://nobody@127.0.0.1:1/none"\n')
    done = own_yard.cli("quickstart", "--json", check=False)
    assert done.returncode != 0
    assert done.stdout == ""
    assert done.stderr.splitlines()[-1].startswith("error: ")
