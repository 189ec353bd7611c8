"""What a model that MLflow wrote says of its environment."""

from __future__ import annotations

from typing import Any

import pytest

from modelyard.server.endpoints.mlflow_model import environment_of, root_of
from modelyard.server.kernel.errors import Invalid
from modelyard.wire.artifacts import FileEntry

MLMODEL = "flavors:\n  python_function: {loader_module: mlflow.sklearn, python_version: 3.10.4}\nmlflow_version: 2.9.2\n"
CONDA = "dependencies:\n- python=3.10.4\n- pip<=23\n- pip:\n  - mlflow==2.9.2\n  - scikit-learn==1.3.0\n"


def python_of(**files: str) -> Any:
    contents = {name.replace("_txt", ".txt").replace("_yaml", ".yaml"): text for name, text in files.items()}
    entries = [FileEntry(f"model/{name}", name, len(text)) for name, text in contents.items()]
    root = root_of(entries)
    assert root == "model/"
    return environment_of("m:1", entries, root, lambda entry: contents[entry.hash].encode()).python


@pytest.mark.parametrize(
    ("paths", "root"),
    [
        (["MLmodel", "model.pkl"], ""),
        (["m/MLmodel", "m/model.pkl"], "m/"),
        (["m/MLmodel", "other"], None),
        (["m/deep/MLmodel"], None),
        (["model.pkl"], None),
        ([], None),
    ],
)
def test_a_model_of_mlflow_s_has_an_mlmodel_at_its_top(paths: list[str], root: str | None) -> None:
    assert root_of([FileEntry(path, "h", 1) for path in paths]) == root


def test_the_requirements_and_the_python_are_the_model_s() -> None:
    python = python_of(
        MLmodel=MLMODEL, requirements_txt="mlflow==2.9.2\n# why\n-c constraints.txt\nnumpy==1.26.0  # x\n"
    )
    assert python.requirements == ["mlflow==2.9.2", "numpy==1.26.0"]
    assert python.python_version == "3.10.4"


def test_without_requirements_those_of_the_conda_file_count() -> None:
    assert python_of(MLmodel=MLMODEL, conda_yaml=CONDA).requirements == [
        "mlflow==2.9.2",
        "scikit-learn==1.3.0",
    ]


def test_conda_packages_make_a_conda_environment() -> None:
    conda = CONDA.replace("- pip<=23", "- cudatoolkit=11\n- pip<=23")
    python = python_of(MLmodel=MLMODEL, conda_yaml=conda, requirements_txt="mlflow\n")
    assert python.requirements is None
    assert "cudatoolkit=11" in python.conda["dependencies"]


def test_mlflow_itself_is_added_where_it_is_not_named() -> None:
    assert python_of(MLmodel=MLMODEL, requirements_txt="numpy").requirements == ["numpy", "mlflow==2.9.2"]
    assert python_of(MLmodel=MLMODEL, requirements_txt="mlflow-skinny").requirements == ["mlflow-skinny"]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"MLmodel": "flavors: {spark: {}}"}, "it has spark"),
        ({"MLmodel": "flavors: ["}, "MLmodel is not valid YAML"),
        ({"MLmodel": "- 1"}, "MLmodel is no mapping"),
        ({"MLmodel": "!!python/object/apply:os.system ['id']"}, "MLmodel is not valid YAML"),
        ({"MLmodel": MLMODEL, "requirements_txt": "--index-url http://x\n"}, "requirements.txt does not fit"),
        ({"MLmodel": MLMODEL, "requirements_txt": "x" * (2 << 20)}, "requirements.txt has"),
    ],
)
def test_what_does_not_fit_is_named(files: dict[str, str], words: str) -> None:
    with pytest.raises(Invalid, match=words):
        python_of(**files)
