from __future__ import annotations

from pathlib import Path

import pytest

from modelyard.node.environments import era
from modelyard.node.environments.builder import Builder, BuildFailed
from modelyard.node.environments.interpreters import Interpreter, installed, own
from modelyard.wire.environments import EnvironmentSpec, PythonSpec

OWN = Interpreter("/own", (3, 11, 7))
INSTALLED = [
    Interpreter("/newer", (3, 12, 1)),
    OWN,
    Interpreter("/nine", (3, 9, 18)),
    Interpreter("/eight", (3, 8, 18)),
    Interpreter("/six", (3, 6, 15)),
]


def test_pins_and_upper_bounds_hold_a_package_back() -> None:
    lines = ["a==1.0", "b", "c>=2", "d<3", "E_e ~= 1.2", "f ; python_version < '3.9'", "g @ file:///g==1.whl"]
    assert era.held_back(lines) == ["a", "d", "e-e"]


def test_the_yards_own_python_is_kept_while_it_has_the_wheels() -> None:
    assert era.fitting(lambda python: 0, OWN, lambda: INSTALLED) is OWN


def test_the_oldest_python_with_the_wheels_is_taken() -> None:
    fits = {"/own": 1, "/eight": 1, "/nine": 0, "/newer": 0}
    assert era.fitting(fits.__getitem__, OWN, lambda: INSTALLED).path == "/nine"


def test_without_the_wheels_for_any_python_the_yards_own_is_kept() -> None:
    assert era.fitting(lambda python: 1, OWN, lambda: INSTALLED) is OWN


def test_a_failure_that_is_not_about_versions_changes_nothing() -> None:
    tried = []
    assert era.fitting(lambda python: tried.append(python) or 2, OWN, lambda: INSTALLED) is OWN
    assert tried == ["/own"]


@pytest.mark.parametrize("conda", [[], ["python=3.8.13"]], ids=["none named", "v1's default"])
def test_a_pin_of_another_age_brings_the_python_of_that_age(tmp_path: Path, packages, conda) -> None:
    others = [i.version[:2] for i in installed() if i.version >= (3, 7)]
    others = [minor for minor in others if minor not in (own().version[:2], (3, 8))]
    if not others:
        pytest.skip("there is no other Python on this machine")
    packages.wheel("alpha", tag="cp{}{}-none-any".format(*others[0]))
    python = PythonSpec(conda={"dependencies": [*conda, {"pip": ["alpha==1.0", *packages.options]}]})
    built = Builder(tmp_path / "environments").ensure(EnvironmentSpec(python=python), lambda line: None)
    assert tuple(map(int, built.python_version.split(".")))[:2] == others[0]
    assert any("Nobody chose" in note for note in built.notes)


def test_a_python_that_was_named_is_never_changed(tmp_path: Path, packages) -> None:
    packages.wheel("alpha", tag="cp37-none-any")
    mine = "python={}.{}".format(*own().version)
    python = PythonSpec(
        conda={"dependencies": [mine, {"pip": ["alpha==1.0", *packages.options]}]},
    )
    with pytest.raises(BuildFailed, match="alpha"):
        Builder(tmp_path / "environments").ensure(EnvironmentSpec(python=python), lambda line: None)
