"""`modelyard endpoint …` against a real yard: what succeeds, and what a person is told where it does not."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from services import wait_until

ECHO = "def init(): pass\ndef run(data): return data\n"
BROKEN = "def init():\n    raise ValueError('no such luck')\ndef run(data): return data\n"
SCHEMA = """
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema

def init(): pass

@input_schema("data", StandardPythonParameterType([1, 2]))
def run(data):
    return {}[sum(data)]
"""


def deploy(yard: Any, folder: Path, name: str, script: str, *more: str) -> Any:
    (folder / "score.py").write_text(script)
    arguments = ("endpoint", "deploy", name, "--entry-script", "score.py", "--python", sys.executable)
    return yard.cli(*arguments, *more, check=False, cwd=folder)


def test_a_check_scores_the_sample_that_the_decorators_declare(yard: Any, tmp_path: Path) -> None:
    pytest.importorskip("inference_schema")
    done = deploy(yard, tmp_path, "declared", SCHEMA, "--check")
    assert done.returncode == 1
    assert "init() succeeded" in done.stderr
    assert "run() failed: score.py:9: KeyError: 3" in done.stderr
    assert yard.cli("endpoint", "show", "declared", check=False).returncode == 3


def test_an_update_that_fails_ends_with_the_line_and_the_old_revision_answers(
    yard: Any, tmp_path: Path
) -> None:
    assert deploy(yard, tmp_path, "updated", ECHO).returncode == 0
    replaced = deploy(yard, tmp_path, "updated", BROKEN, "--overwrite")
    again = yard.cli("endpoint", "update", "updated", "--reload", check=False, timeout_s=60)
    for done in (replaced, again):
        assert done.returncode == 1
        assert "Revision 1 still answers" in done.stderr
        assert "score.py:2: ValueError: no such luck" in done.stderr
    assert yard.cli("endpoint", "score", "updated", "--data", "7").stdout == "7\n"
    yard.cli("endpoint", "delete", "updated", "--yes")


def test_what_run_printed_is_in_the_log_and_its_requests_are_counted(yard: Any, tmp_path: Path) -> None:
    failing = "def init(): pass\ndef run(data):\n    print('got', data)\n    return 1 / int(data)\n"
    assert deploy(yard, tmp_path, "counted", failing).returncode == 0
    for data in ("1", "0"):
        yard.cli("endpoint", "score", "counted", "--data", data, check=False)
    log = yard.cli("endpoint", "logs", "counted", "--lines", "9").stdout
    assert "got 0" in log
    assert "ZeroDivisionError: division by zero" in log
    wait_until(
        lambda: "requests      2 (1 × 500); latency p50" in yard.cli("endpoint", "show", "counted").stdout,
        "the requests to be counted",
    )
    yard.cli("endpoint", "delete", "counted", "--yes")


def test_an_answer_in_bytes_is_printed_as_it_is(yard: Any, tmp_path: Path) -> None:
    assert (
        deploy(
            yard, tmp_path, "binary", ECHO.replace("return data", "return b'raw' + data.encode()")
        ).returncode
        == 0
    )
    assert yard.cli("endpoint", "score", "binary", "--data", "7").stdout == "raw7"
    yard.cli("endpoint", "delete", "binary", "--yes")


def test_an_update_of_nothing_is_wrong_usage(yard: Any) -> None:
    done = yard.cli("endpoint", "update", "whichever", check=False)
    assert (done.returncode, "say what to change" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("name", "more", "words"),
    [
        ("", (), "a name is empty"),
        ("Upper_Case", (), "3 to 32 lower-case letters"),
        ("many", ("--replicas", "65"), "1<=x<=64"),
        ("sampled", ("--sample", "score.py"), "--sample needs --check"),
    ],
)
def test_what_cannot_be_deployed_is_wrong_usage(
    yard: Any, tmp_path: Path, name: str, more: tuple[str, ...], words: str
) -> None:
    done = deploy(yard, tmp_path, name, ECHO, *more)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
