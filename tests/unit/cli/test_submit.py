"""run submit: what is wrong with a script is said before anything is sent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from modelyard.cli import run_submit


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["missing.py"], "there is no script 'missing.py' here"),
        (["folder"], "'folder' is a directory"),
        ([], "name a SCRIPT"),
        (["train.py", "--source-directory", "nowhere"], "--source-directory 'nowhere' is not a directory"),
        (["train.py", "--source-directory", "folder"], "is outside of"),
        (["train.py", "--requirements", "missing.txt"], "'missing.txt' does not exist"),
        (["train.py", "--tag", "=x"], "write KEY=VALUE"),
        (["train.py", "--config", "missing.runconfig"], "does not exist"),
    ],
)
def test_a_wrong_submit_is_wrong_usage(
    modelyard: Callable, tmp_path: Path, arguments: list[str], words: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "train.py").write_text("print(1)\n")
    done = modelyard("run", "submit", *arguments)
    assert done.code == 2, done.err
    assert words in done.err


def test_the_scripts_directory_travels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "train.py").write_text("")
    monkeypatch.chdir(tmp_path)
    assert run_submit._source("src/train.py", None, None) == (str(tmp_path / "src"), "train.py")
    assert run_submit._source("src/train.py", ".", None) == (str(tmp_path), "src/train.py")
    assert run_submit._source("train.py", "src", None) == (str(tmp_path / "src"), "train.py")


@pytest.mark.parametrize(
    ("directory", "name"), [("/x/my project!", "my-project"), ("/", "default"), ("/x/" + "a" * 99, "a" * 36)]
)
def test_the_experiment_is_named_after_the_directory(directory: str, name: str) -> None:
    assert run_submit._experiment_name(directory) == name
