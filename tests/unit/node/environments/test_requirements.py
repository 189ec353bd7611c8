from __future__ import annotations

from typing import Any

import pytest

from modelyard.node.environments.requirements import CannotMap, plan
from modelyard.wire.environment_hash import spec_problem
from modelyard.wire.environments import EnvironmentSpec, PythonSpec


def _plan(*dependencies: Any, **fields: Any) -> Any:
    spec = EnvironmentSpec(python=PythonSpec(conda={"dependencies": list(dependencies)}), **fields)
    assert spec_problem(spec) == ""
    return plan(spec)


@pytest.mark.parametrize(
    ("conda", "pip"),
    [
        ("numpy", "numpy"), ("numpy=1.18", "numpy==1.18.*"), ("numpy==1.18.1", "numpy==1.18.1"), ("numpy =1.18", "numpy==1.18.*"),
        ("numpy>=1.18,<2", "numpy>=1.18,<2"), ("numpy 1.18.*", "numpy==1.18.*"), ("numpy=1.18.*", "numpy==1.18.*"),
        ("numpy 1.18", "numpy==1.18"), ("numpy=1.18.1=py36_0", "numpy==1.18.1"), ("numpy 1.18.1 py36_0", "numpy==1.18.1"),
        ("numpy[version='>=1.18']", "numpy>=1.18"), ("numpy=*", "numpy"), ("numpy!=1.5", "numpy!=1.5"), ("numpy~=1.5", "numpy~=1.5"),
        ("numpy >= 1.18", "numpy>=1.18"), ("numpy>=1.18.*", "numpy>=1.18"),
        ("pytorch=1.6", "torch==1.6.*"), ("py-xgboost<=0.90", "xgboost<=0.90"), ("matplotlib-base", "matplotlib"),
        ("opencv", "opencv-python-headless"), ("pytables", "tables"), ("tables", "tables"), ("pyyaml", "pyyaml"), ("pillow", "pillow"),
        ("conda-forge::lightgbm=3", "lightgbm==3.*"), ("-c conda-forge::fastparquet", "fastparquet"), ("scikit-learn", "scikit-learn"),
        ("tensorflow-gpu=2.2", "tensorflow==2.2.*"), ("msgpack-python", "msgpack"), ("Sklearn", "scikit-learn"),
    ],
)  # fmt: skip
def test_a_conda_dependency_becomes_the_requirement_it_means(conda: str, pip: str) -> None:
    assert _plan(conda).requirements == [pip]


@pytest.mark.parametrize(
    "name", ["mkl", "blas", "cudatoolkit=10.1", "nomkl", "openssl", "r-base", "r-dplyr", "cpuonly"]
)
def test_what_pypi_has_no_package_for_is_left_out_and_said(name: str) -> None:
    made = _plan(name)
    assert made.requirements == []
    assert any(name in note and "left out" in note for note in made.notes)


def test_pip_itself_is_left_out_without_a_word() -> None:
    made = _plan("pip", "pip=20.1.1")
    assert (made.requirements, made.notes) == ([], [])


def test_each_change_is_said_on_a_line_of_its_own() -> None:
    notes = _plan("pytorch=1.6=py3.7_cuda", {"pip": ["sklearn==0.0"]}).notes
    assert any("torch==1.6" in note for note in notes)
    assert any("build string" in note for note in notes)
    assert any("scikit-learn" in note for note in notes)


@pytest.mark.parametrize("line", ["numpy=1.18|1.19", "numpy[build='x', channel='y']"])
def test_what_pip_cannot_say_is_an_error_that_names_the_line(line: str) -> None:
    with pytest.raises(CannotMap, match="numpy"):
        _plan(line)


@pytest.mark.parametrize(
    "line",
    ["azureml-sdk", "azureml-core==1.13.0", "azureml-telemetry", "azureml-dataprep[fuse]", "azureml-sdk[automl]==1.27.*", "modelyard"],
)  # fmt: skip
def test_azureml_packages_are_met_by_our_own_tree(line: str) -> None:
    made = _plan({"pip": [line]})
    assert made.requirements == []
    assert made.needs_sdk
    assert any(line in note for note in made.notes)


def test_what_came_along_with_an_azureml_package_is_installed() -> None:
    assert _plan({"pip": ["azureml-defaults>=1.0.45"]}).requirements == ["inference-schema"]
    assert _plan({"pip": ["azureml-dataset-runtime[pandas,fuse]~=1.12"]}).requirements == ["pandas"]
    assert any("mlflow-skinny" in note for note in _plan({"pip": ["azureml-mlflow"]}).notes)


def test_conda_packages_stay_as_they_are_written_where_channels_are_used() -> None:
    conda = {"dependencies": ["pytorch=1.6", "mkl", "azureml-core", {"pip": ["azureml-defaults", "six"]}]}
    made = plan(EnvironmentSpec(python=PythonSpec(conda=conda)), from_channels=True)
    assert (made.conda, made.requirements) == (["pytorch=1.6", "mkl"], ["inference-schema", "six"])
    assert made.needs_sdk


def test_options_stay_options_and_python_is_taken_out() -> None:
    made = _plan("python=3.7.9", {"pip": ["--extra-index-url https://me:pw@x/simple", "six"]})
    assert (made.python, made.options, made.requirements) == (
        "=3.7.9",
        ["--extra-index-url https://me:pw@x/simple"],
        ["six"],
    )
    assert not any("pw" in note for note in made.notes)


def test_docker_is_said_once_not_to_be_used() -> None:
    made = _plan("six", docker={"enabled": True, "baseImage": "mcr/x:1", "baseDockerfile": "FROM x"})
    assert [n for n in made.notes if "docker" in n.lower()] == [made.notes[-1]]
    assert "mcr/x:1" in made.notes[-1]
