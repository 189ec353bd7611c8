"""Models that MLflow wrote, with stand-ins for mlflow, numpy and pandas: the real ones are in tests/compat/mlflow."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from modelyard.scoring import mlflow_model
from modelyard.scoring.config import ServedModel, ServiceConfig
from modelyard.scoring.faults import EntryError
from modelyard.scoring.http1 import Refused
from modelyard.scoring.no_code import entry_for


class Model:
    """Stands for what mlflow.pyfunc.load_model returns."""

    metadata = SimpleNamespace(get_input_schema=lambda: None)

    def predict(self, data: Any, params: Any = None) -> Any:
        if data == "bad":
            raise ValueError("Expected 2D array")
        return {"data": data, "params": params}


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "MLmodel").write_text("flavors: {}")
    (tmp_path / "serving_input_example.json").write_text('{"inputs": [1]}')
    pyfunc = SimpleNamespace(load_model=lambda path: Model())
    monkeypatch.setitem(sys.modules, "mlflow", SimpleNamespace(pyfunc=pyfunc))
    monkeypatch.setitem(sys.modules, "mlflow.pyfunc", pyfunc)
    monkeypatch.setitem(sys.modules, "numpy", SimpleNamespace(array=lambda value, dtype=None: value))
    frames = SimpleNamespace(DataFrame=lambda data, **given: {"frame": data, **given})
    monkeypatch.setitem(sys.modules, "pandas", frames)
    return tmp_path


def _entry(path: Path, framework: str = "Custom") -> Any:
    model = ServedModel("m", 1, str(path), framework)
    return entry_for(ServiceConfig(endpoint="e", python="", models=[model]))


@pytest.mark.parametrize("framework", ["Custom", "ScikitLearn"])
def test_what_mlflow_wrote_is_served_whatever_its_framework(written: Path, framework: str) -> None:
    entry = _entry(written, framework)
    entry.init()
    assert entry.run('{"inputs": [[1]]}') == {"predictions": {"data": [[1]], "params": None}}
    assert entry.run('{"instances": [1], "params": {"t": 2}}')["predictions"]["params"] == {"t": 2}
    split = entry.run('{"dataframe_split": {"columns": ["a"], "data": [[1]]}}')["predictions"]["data"]
    assert split == {"frame": [[1]], "columns": ["a"]} or split["columns"] == ["a"]
    assert entry.run('{"dataframe_records": [{"a": 1}]}')["predictions"]["data"] == {"frame": [{"a": 1}]}


def test_the_example_it_was_logged_with_is_in_the_description(written: Path) -> None:
    entry = _entry(written)
    entry.init()
    assert entry.inputs["example"] == {"inputs": [1]}
    assert set(entry.inputs["properties"]) == set(mlflow_model.FORMATS)


def test_columns_of_the_signature_are_in_the_description() -> None:
    def column(name: str, kind: str, required: bool = True) -> Any:
        return SimpleNamespace(name=name, type=SimpleNamespace(name=kind), required=required)

    schema = SimpleNamespace(
        inputs=[column("a", "double"), column("b", "string", required=False)],
        is_tensor_spec=lambda: False,
        has_input_names=lambda: True,
    )
    row = mlflow_model.described(schema, None)["properties"]["dataframe_records"]["items"]
    assert row["properties"] == {"a": {"type": "number"}, "b": {"type": "string"}}
    assert row["required"] == ["a"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("[1]", "JSON object"),
        ("{}", "exactly one of"),
        ('{"inputs": 1, "instances": [1]}', "exactly one of"),
        ('{"inputs": 1, "data": 1}', "exactly one of"),
        ('{"dataframe_split": [1]}', "'columns' and 'data'"),
        ('{"dataframe_split": {"data": [], "dtype": "O"}}', "'columns' and 'data'"),
        ('{"dataframe_records": [1]}', "a list of objects"),
        ('{"instances": 1}', "a list"),
        ('{"inputs": "bad"}', "Expected 2D array"),
    ],
)
def test_wrong_input_is_the_clients_fault(written: Path, body: str, words: str) -> None:
    entry = _entry(written)
    entry.init()
    with pytest.raises(Refused, match=words) as refused:
        entry.run(body)
    assert refused.value.status == 400


def test_a_flavor_whose_library_is_missing_says_what_to_do(
    written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacking(path: str) -> Any:
        raise ImportError("No module named 'xgboost'", name="xgboost")

    monkeypatch.setattr(sys.modules["mlflow.pyfunc"], "load_model", lacking)
    with pytest.raises(EntryError, match=r"lacks xgboost.*requirements\.txt"):
        _entry(written).init()
