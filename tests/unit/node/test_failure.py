"""The words and the line a failed script is reported with."""

from __future__ import annotations

import subprocess
import sys

import pytest

from modelyard.node import failure


@pytest.fixture
def told(tmp_path):
    def tell(log: str, code: int = 1):
        path = tmp_path / "std_log.txt"
        path.write_text(log)
        return failure.of_exit(code, path, tmp_path / "code")

    return tell


def test_the_last_frame_in_the_runs_own_code_is_named(told, tmp_path):
    log = (
        "Traceback (most recent call last):\n"
        f'  File "{tmp_path}/code/train.py", line 42, in <module>\n    fit()\n'
        f'  File "{tmp_path}/code/lib/fit.py", line 7, in fit\n    np.dot(a)\n'
        '  File "/usr/lib/python3/numpy/core.py", line 900, in dot\n    raise TypeError\n'
        "TypeError: dot() missing 1 required positional argument: 'b'\n"
    )
    error = told(log)
    assert error.line == "lib/fit.py:7: TypeError: dot() missing 1 required positional argument: 'b'"
    assert error.traceback.startswith("Traceback")
    assert error.traceback.endswith("'b'")


def test_of_chained_errors_the_one_that_was_raised_last_counts(told, tmp_path):
    one = f'Traceback (most recent call last):\n  File "{tmp_path}/code/a.py", line 1, in f\n    x\n'
    log = (
        one
        + "KeyError: 'a'\n\nDuring handling of the above exception, another exception occurred:\n\n"
        + one.replace("line 1", "line 9")
        + "app.errors.Broken: twice\nwith a second line\n"
    )
    assert told(log).line == "a.py:9: app.errors.Broken: twice"
    assert "with a second line" in told(log).traceback


GROUP = """
import asyncio
async def one(): raise ValueError("first")
async def two(): raise KeyError("second")
async def both():
    async with asyncio.TaskGroup() as group:
        group.create_task(one())
        group.create_task(two())
asyncio.run(both())
"""


def test_of_an_exception_group_the_first_error_in_it_is_named_with_its_line(tmp_path):
    (tmp_path / "train.py").write_text(GROUP)
    with open(tmp_path / "log", "w") as log:
        code = subprocess.run([sys.executable, "train.py"], cwd=tmp_path, stderr=log, check=False).returncode
    error = failure.of_exit(code, tmp_path / "log", tmp_path)
    assert error.line.startswith("train.py:3: ValueError: first (in ExceptionGroup: unhandled errors")
    assert "KeyError: 'second'" in error.traceback


def test_an_error_without_a_message_is_named(told, tmp_path):
    log = f'Traceback (most recent call last):\n  File "{tmp_path}/code/a.py", line 3, in f\n    assert x\nAssertionError\n'
    assert told(log).line == "a.py:3: AssertionError"


def test_a_script_that_does_not_compile_is_named(told, tmp_path):
    log = f"  File \"{tmp_path}/code/train.py\", line 2\n    if x\n        ^\nSyntaxError: expected ':'\n"
    assert told(log).line == "train.py:2: SyntaxError: expected ':'"


def test_words_given_to_sys_exit_are_told(told):
    assert told("loading\nno data in ./input\n").message == (
        "The script ended with exit code 1. Its last line: no data in ./input"
    )


def test_a_handled_error_long_before_the_end_is_not_blamed(told):
    log = 'Traceback (most recent call last):\n  File "x.py", line 1, in f\nKeyError: 1\n' + "going on\n" * 50
    assert told(log).line == ""
    assert told(log.replace("going on\n", "", 49), code=3).line == ""


def test_a_missing_or_unreadable_log_is_no_obstacle(tmp_path):
    error = failure.of_exit(7, tmp_path / "nothing", tmp_path)
    assert error is not None
    assert error.message == "The script ended with exit code 7. It printed nothing."


def test_no_error_for_a_good_end(tmp_path):
    assert failure.of_exit(0, tmp_path / "nothing", tmp_path) is None


@pytest.mark.parametrize(
    ("code", "words"), [(-9, "SIGKILL"), (-11, "SIGSEGV"), (-15, "SIGTERM"), (-77, "signal 77")]
)
def test_signals_have_their_names(tmp_path, code, words):
    error = failure.of_exit(code, tmp_path / "nothing", tmp_path)
    assert error is not None
    assert words in error.message
