from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from modelyard.conda_dependencies import CondaDependencies
from modelyard.errors import UserErrorException

_names = st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True)
_versions = st.sampled_from(["", "==1.2", ">=1.2,<2", "~=1.0", "!=3"])


def test_a_new_one_is_v1s_default() -> None:
    made = CondaDependencies()
    assert made.as_dict() == {
        "name": "project_environment",
        "dependencies": ["python=3.8.13", {"pip": ["azureml-defaults"]}],
        "channels": ["anaconda", "conda-forge"],
    }
    assert made.get_python_version() == "3.8.13"
    assert made.to_wire()["dependencies"] == [{"pip": ["azureml-defaults"]}]  # nobody chose that Python


def test_create_takes_packages_index_and_version() -> None:
    made = CondaDependencies.create(
        pip_indexurl="https://x/simple", pip_packages=["numpy==1.19", "azureml-sdk[automl]"],
        conda_packages=["scikit-learn", "pip==20.1.1"], python_version="3.7",
    )  # fmt: skip
    assert list(made.conda_packages) == ["python=3.7", "scikit-learn", "pip==20.1.1"]
    assert list(made.pip_packages) == ["numpy==1.19", "azureml-sdk[automl]"]
    assert list(made.pip_options) == ["--index-url https://x/simple"]
    assert list(CondaDependencies.create(pip_packages=["numpy"]).pip_packages) == [
        "azureml-defaults",
        "numpy",
    ]
    with pytest.raises(UserErrorException, match="list"):
        CondaDependencies.create(pip_packages="numpy")


def test_packages_are_replaced_and_removed_by_name() -> None:
    made = CondaDependencies()
    made.add_pip_package("Scikit_Learn==0.20")
    made.add_pip_package("scikit-learn==0.24")
    made.add_conda_package("numpy=1.18")
    made.add_conda_package("numpy=1.19")
    made.add_conda_package("python=3.6.2")
    assert list(made.pip_packages) == ["azureml-defaults", "scikit-learn==0.24"]
    assert list(made.conda_packages) == ["python=3.6.2", "numpy=1.19"]
    made.remove_pip_package("scikit_learn")
    made.remove_conda_package("numpy")
    made.remove_pip_package("not-there")
    assert list(made.pip_packages) == ["azureml-defaults"]
    assert list(made.conda_packages) == ["python=3.6.2"]


def test_channels_and_options_are_kept_once() -> None:
    made = CondaDependencies()
    for _ in range(2):
        made.add_channel("pytorch")
        made.set_pip_option("--pre")
    made.set_pip_option("--extra-index-url https://a/x")
    made.remove_channel("anaconda")
    assert list(made.conda_channels) == ["conda-forge", "pytorch"]
    made.remove_pip_option("--extra-index-url")
    assert list(made.pip_options) == ["--pre"]


@pytest.mark.parametrize(
    ("verb", "text"),
    [("add_pip_package", "six\n--index-url x"), ("add_pip_package", "--index-url https://x"), ("add_pip_package", "six --pre"),
     ("add_conda_package", "six --channel x"), ("add_conda_package", "a;b"), ("set_pip_option", "--target /"),
     ("set_pip_option", "six"), ("set_python_version", "three"), ("add_channel", "a b"), ("add_pip_package", "numpy=1.2")],
)  # fmt: skip
def test_what_is_not_such_a_line_is_refused_and_changes_nothing(verb: str, text: str) -> None:
    made = CondaDependencies()
    with pytest.raises(UserErrorException):
        getattr(made, verb)(text)
    assert made == CondaDependencies()


def test_tensorflow_and_requirements_are_merged() -> None:
    made = CondaDependencies()
    made.add_tensorflow_pip_package(version="2.2.0")
    made.add_tensorflow_conda_package(core_type="gpu", version="1.15")
    assert "tensorflow==2.2.0" in made.pip_packages
    assert "tensorflow-gpu=1.15" in made.conda_packages
    assert CondaDependencies.merge_requirements(["a>=1", "b", "A<2", "a>=1"]) == ["a<2,>=1", "b"]


def test_the_text_is_yaml_that_says_the_same(tmp_path: Path) -> None:
    made = CondaDependencies.create(
        conda_packages=["numpy>=1.18", "conda-forge::x"], pip_packages=["a[b]>=1; python_version < '3.8'"]
    )
    made.set_pip_option("--extra-index-url https://me:pw@host:8080/simple")
    made.variables = {"A": "yes: no # or"}
    assert yaml.safe_load(made.serialize_to_string()) == made.as_dict()
    assert made.save_to_file(str(tmp_path), "env/mine.yml") == "env/mine.yml"
    again = CondaDependencies(conda_dependencies_file_path=str(tmp_path / "env" / "mine.yml"))
    assert again.as_dict() == made.as_dict()
    assert made.save(str(tmp_path)) == str(tmp_path / "conda_dependencies.yml")


@given(st.lists(st.tuples(_names, _versions), max_size=6), st.lists(_names, max_size=4))
def test_any_packages_survive_being_written_and_read(pip: list[tuple[str, str]], conda: list[str]) -> None:
    made = CondaDependencies.create(
        pip_packages=[n + v for n, v in pip], conda_packages=[c for c in conda if c != "python"]
    )
    read = CondaDependencies(_underlying_structure=yaml.safe_load(made.serialize_to_string()))
    assert read.as_dict() == made.as_dict()


@pytest.mark.parametrize(
    ("text", "word"),
    [("dependencys: [numpy]", "dependencys"), ("- numpy", "mapping"), ("dependencies: [{npm: [x]}]", "npm"), ("a: [", "YAML"),
     ("dependencies:\n- pip:\n  - -r other.txt", "-r"), ("dependencies:\n- 3.8", "not text"), ("channels: x", "list"),
     ("dependencies:\n- pip:\n  - numpy --index-url x", "option")],
)  # fmt: skip
def test_a_file_that_does_not_fit_is_named_with_what_does_not(tmp_path: Path, text: str, word: str) -> None:
    file = tmp_path / "conda.yml"
    file.write_text(text)
    with pytest.raises(UserErrorException, match=word) as caught:
        CondaDependencies(conda_dependencies_file_path=str(file))
    assert str(file) in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserErrorException, match=r"none\.yml can't be read"):
        CondaDependencies(conda_dependencies_file_path=str(tmp_path / "none.yml"))
