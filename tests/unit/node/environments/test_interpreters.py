from __future__ import annotations

import sys

import pytest

from modelyard.node.environments.interpreters import Interpreter, NoInterpreter, choose, installed, own

_HERE = [
    Interpreter("/p/3.12", (3, 12, 1)), Interpreter("/p/3.9", (3, 9, 18)), Interpreter("/p/3.8.18", (3, 8, 18)),
    Interpreter("/p/3.8.5", (3, 8, 5)), Interpreter("/p/3.7", (3, 7, 16)), Interpreter("/p/3.6", (3, 6, 15)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "path"),
    [("=3.8", "/p/3.8.18"), ("3.8.5", "/p/3.8.5"), ("==3.8.6", "/p/3.8.5"), ("=3.8.13", "/p/3.8.18"), ("3.7.*", "/p/3.7"),
     (">=3.7,<3.9", "/p/3.8.18"), ("<3.8", "/p/3.7"), ("~=3.9", "/p/3.12"), ("!=3.12,>3.8", "/p/3.9"), ("=3.6.2", "/p/3.6")],
)  # fmt: skip
def test_the_version_chooses_the_interpreter(asked: str, path: str) -> None:
    assert choose(asked, False, _HERE)[0].path == path


@pytest.mark.parametrize("asked", ["", "3", "=3", "*"])
def test_no_version_is_the_yards_own(asked: str) -> None:
    assert choose(asked, False, _HERE)[0] == own()


def test_another_patch_is_said() -> None:
    assert any("3.9.7" in note and "3.9.18" in note for note in choose("=3.9.7", False, _HERE)[1])


def test_a_minor_version_that_is_not_here_is_an_error_that_lists_what_is() -> None:
    with pytest.raises(NoInterpreter, match=r"3\.5.*3\.12\.1, 3\.9\.18"):
        choose("=3.5", False, _HERE)
    with pytest.raises(NoInterpreter, match=r"3\.12\.1"):
        choose(">=3.13", False, _HERE)


@pytest.mark.parametrize("asked", ["=3.6.2", "=3.8.13"])
def test_what_v1_wrote_by_itself_falls_back_to_the_yards_own_and_says_so(asked: str) -> None:
    chosen, notes = choose(asked, False, _HERE[:1])
    assert chosen == own()
    assert any("nobody chose" in note for note in notes)


def test_a_script_that_imports_azureml_gets_3_7_instead_of_3_6() -> None:
    chosen, notes = choose("=3.6.2", True, _HERE)
    assert chosen.version == (3, 7, 16)
    assert any("3.7 or newer" in note for note in notes)


def test_the_python_that_runs_this_is_found() -> None:
    assert tuple(sys.version_info[:3]) in {i.version for i in installed()}
