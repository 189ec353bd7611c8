from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from modelyard.wire.environment_hash import content_hash, names_only, pinned, spec_problem
from modelyard.wire.environments import EnvironmentSpec, PythonSpec


def _of(**python: Any) -> EnvironmentSpec:
    return EnvironmentSpec(python=PythonSpec(**python))


def _conda(*dependencies: Any, **more: Any) -> EnvironmentSpec:
    return _of(conda={"dependencies": list(dependencies), **more})


def test_what_installs_the_same_has_the_same_hash() -> None:
    one = content_hash(_of(requirements=["numpy>=1.2,<2", "Scikit_Learn"]))
    assert one == content_hash(_of(requirements=["scikit-learn", "numpy <2, >=1.2"]))
    assert one == content_hash(_conda({"pip": ["scikit.learn", "numpy>=1.2,<2"]}, channels=["conda-forge"]))
    assert content_hash(_conda("python=3.8", "x")) == content_hash(_conda("x", "python =3.8"))


@pytest.mark.parametrize(
    "other",
    [_of(requirements=["numpy>=1.3,<2"]), _of(requirements=[]), _of(requirements=["numpy>=1.2"], python_version="3.8"),
     _of(requirements=["numpy>=1.2"], pip_options=["--pre"]), _conda("numpy>=1.2"), _of(user_managed=True)],
)  # fmt: skip
def test_what_installs_otherwise_has_another_hash(other: EnvironmentSpec) -> None:
    assert content_hash(other) != content_hash(_of(requirements=["numpy>=1.2"]))


def test_name_version_variables_and_docker_do_not_count() -> None:
    spec = _of(requirements=["six"])
    changed = dataclasses.replace(
        spec, name="a", version="2", variables={"A": "b"}, docker={"baseImage": "x"}
    )
    assert content_hash(changed) == content_hash(spec)


def test_the_hash_is_the_same_in_every_release() -> None:
    known = "039cea344bba4d6b925535c0787bd30d2f1e4598c3f149d2ad4b1b0b5cc026d1"
    assert content_hash(_of(requirements=["six==1.16.0"])) == known


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        (_of(requirements=["six\n--index-url x"]), "control"),
        (_of(requirements=["six --index-url https://evil.example"]), "option"),
        (_of(requirements=["--index-url https://evil.example"]), "set_pip_option"),
        (_of(requirements=["six"], pip_options=["--target /etc"]), "not a pip option"),
        (_of(requirements=["six"], python_version="3.8; id"), "version of Python"),
        (_conda("numpy --channel x"), "option"),
        (_conda({"pip": ["-r other.txt"]}), "-r"),
        (_conda({"npm": ["x"]}), "'pip'"),
        (_conda("numpy", dependencys=[]), "dependencys"),
        (_conda("numpy", channels="conda-forge"), "list"),
        (_conda("numpy", channels=["a b"]), "channel"),
        (_conda("numpy", "https://x.org/c/noarch/six-1-0.conda"), "all of them"),
        (_conda("https://x.org/c/noarch/six-1-0.conda; id"), "not a conda dependency"),
        (_conda(3.8), "not text"),
        (_of(conda={"dependencies": "numpy"}), "list"),
        (_of(conda={}, requirements=[]), "not both"),
        (_of(user_managed=True, requirements=["six"]), "as it is"),
        (_of(user_managed=True, interpreter_path="/bin/x\n"), "interpreter"),
    ],
)
def test_what_nobody_should_build_is_named(spec: EnvironmentSpec, word: str) -> None:
    assert word in spec_problem(spec)


def test_a_pip_option_in_a_pip_section_is_in_its_own_place() -> None:
    assert spec_problem(_conda("python=3.8", {"pip": ["--extra-index-url https://x/simple", "six"]})) == ""


def test_channels_may_be_names_addresses_and_absolute_directories() -> None:
    channels = ["conda-forge", "https://x.org/c", "file:///srv/c", "/srv/c"]
    assert spec_problem(_conda("numpy", channels=channels)) == ""


def test_pinning_to_conda_packages_keeps_their_addresses_and_hashes() -> None:
    conda = [
        f"https://x.org/c/linux-64/Python-3.8.20-h1_0_cpython.conda#sha256:{'ab' * 32}",
        "file:///srv/my-chan/noarch/r-a.b-1.0_2-r41_0.tar.bz2",
    ]
    again = pinned(
        _conda("python=3.8", "r-a.b", {"pip": ["--pre", "six"]}, channels=["x"]),
        [*conda, "six==1.16.0"],
        "3.8.20",
    )
    assert again.python.conda == {"channels": ["x"], "dependencies": [*conda, {"pip": ["six==1.16.0"]}]}
    assert again.python.pip_options == ["--pre"]
    assert spec_problem(again) == ""
    other = _conda(conda[0].replace("Python", "python"), conda[1], {"pip": ["six==1.16.0"]})
    assert content_hash(other) != content_hash(again)


def test_pinning_keeps_python_and_options_and_replaces_the_packages() -> None:
    spec = _conda("python=3.7", "numpy", {"pip": ["--pre", "six"]})
    again = pinned(spec, ["numpy==1.21.6", "six==1.16.0"], "3.7.16")
    assert again.python == PythonSpec(
        requirements=["numpy==1.21.6", "six==1.16.0"], python_version="3.7.16", pip_options=["--pre"]
    )
    assert pinned(_of(user_managed=True), ["a==1"]) == _of(user_managed=True)


def test_only_a_name_is_told_from_content() -> None:
    assert names_only(EnvironmentSpec(name="a", version="1"))
    assert not names_only(EnvironmentSpec(name="a", python=PythonSpec(requirements=[])))
    assert not names_only(EnvironmentSpec())
