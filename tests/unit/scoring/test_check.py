from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from modelyard.scoring.check import check


def verdict(service: Any, sample: str = "") -> dict[str, Any]:
    service.write()
    path = ""
    if sample:
        path = str(service.dir / "sample.json")
        Path(path).write_text(sample)
    return check(str(service.dir / "service.json"), path)


def test_a_good_entry_script_is_tried_with_the_sample(service: Any) -> None:
    told = verdict(service, '{"a": 1}')
    assert told["ok"]
    assert told["error"] is None
    assert told["output"] == {"got": {"a": 1}}
    assert told["init_s"] >= 0
    assert told["run_s"] >= 0
    assert verdict(service)["run_s"] is None


@pytest.mark.parametrize(
    ("script", "line"),
    [
        ("def init():\n    {}['x']\ndef run(d): return 1", "score.py:2: KeyError: 'x'"),
        ("import nosuchmodule", "score.py:1: ModuleNotFoundError: No module named 'nosuchmodule'"),
        ("def init(:", "score.py:1: SyntaxError: invalid syntax"),
        ("def init():\n    raise SystemExit(3)\ndef run(d): return 1", "score.py:2: SystemExit: 3"),
        ("def init(): pass", "EntryError: The entry script score.py has no function run(data)."),
        ("def run(): pass", "EntryError: run() has to take one parameter"),
    ],
)
def test_a_failing_start_names_the_line(service: Any, script: str, line: str) -> None:
    service.script(script)
    told = verdict(service)
    assert not told["ok"]
    assert told["error"]["code"] == "InitFailed"
    assert line in told["error"]["line"]
    assert "importlib" not in told["error"]["traceback"]


def test_a_failing_run_names_the_line(service: Any) -> None:
    service.script("def run(d):\n    return 1 / 0")
    told = verdict(service, "{}")
    assert told["error"]["code"] == "RunFailed"
    assert told["error"]["line"] == "score.py:2: ZeroDivisionError: division by zero"


def test_a_process_that_dies_and_a_python_that_is_not_there_are_told(service: Any) -> None:
    service.script("import os; os._exit(9)")
    assert "exit code 9" in verdict(service)["error"]["message"]
    service.config["python"] = "/nonexistent/python"
    assert verdict(service)["error"]["code"] == "EnvironmentFailed"


def test_the_command_prints_one_object_last(service: Any) -> None:
    service.script("print('noise')\ndef run(d): return 1")
    service.write()
    done = subprocess.run(
        [sys.executable, "-m", "modelyard.scoring.check", str(service.dir / "service.json")],
        capture_output=True,
        check=False,
        env={"PYTHONPATH": service.config["pythonpath"][0]},
    )
    assert done.returncode == 0
    assert json.loads(done.stdout)["ok"]
    assert b"noise" in done.stderr
