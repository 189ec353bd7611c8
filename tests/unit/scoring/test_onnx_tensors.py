"""Tensors over JSON, as v1's ONNX deployments without an entry script spoke them."""

from __future__ import annotations

import base64
import struct
import sys
import types
from typing import Any

import numpy as np
import pytest

from modelyard.scoring import no_code, onnx_tensors
from modelyard.scoring.http1 import Refused


@pytest.mark.parametrize(
    "array",
    [
        np.array([[1.5, -2.0]], dtype="float32"),
        np.array([[[1]], [[2]]], dtype="int64"),
        np.array([True, False]),
        np.array(["a", "ü"], dtype=object),
        np.zeros((0, 3), dtype="float64"),
    ],
    ids=["float", "int", "bool", "text", "empty"],
)
def test_a_tensor_comes_back_as_it_was(array: Any) -> None:
    back = onnx_tensors.decode(onnx_tensors.encode(array))
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    assert (back == array).all()


def test_the_bytes_are_little_endian_and_lists_are_taken_too() -> None:
    raw = base64.b64encode(struct.pack("<2f", 1.5, 2.5)).decode()
    assert onnx_tensors.decode({"dims": ["2"], "dataType": 1, "rawData": raw}).tolist() == [1.5, 2.5]
    assert onnx_tensors.decode({"dims": [1, 2], "dataType": "FLOAT", "floatData": [1, 2.5]}).tolist() == [
        [1.0, 2.5]
    ]
    assert onnx_tensors.decode({"dims": [2], "dataType": 7, "int64Data": ["1", "2"]}).tolist() == [1, 2]


class Session:
    """An ONNX session with one input and one output that doubles it."""

    def __init__(self, path: str, providers: list[str]) -> None:
        pass

    def get_inputs(self) -> list[Any]:
        return [types.SimpleNamespace(name="x", type="tensor(float)")]

    def get_outputs(self) -> list[Any]:
        return [types.SimpleNamespace(name="y")]

    def run(self, names: list[str], feed: dict[str, Any]) -> list[Any]:
        assert feed["x"].dtype == np.float32
        return [feed["x"] * 2]


@pytest.fixture
def score(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    module = types.ModuleType("onnxruntime")
    module.InferenceSession = Session  # type: ignore[attr-defined]  # the library is not needed for this
    monkeypatch.setitem(sys.modules, "onnxruntime", module)
    (tmp_path / "model.onnx").write_bytes(b"")
    return no_code._load_onnx(str(tmp_path))


def test_tensors_are_answered_by_tensors_and_lists_by_lists(score: Any) -> None:
    asked = {
        "inputs": {"x": onnx_tensors.encode(np.array([[1.0, 2.0]], dtype="float32"))},
        "outputFilter": [],
    }
    answered = score(asked)["outputs"]["y"]
    assert answered["dims"] == ["1", "2"]
    assert onnx_tensors.decode(answered).tolist() == [[2.0, 4.0]]
    for body in ({"x": [[1, 2]]}, {"data": [[1, 2]]}, {"inputs": [[1, 2]]}):
        assert score(body)["y"].tolist() == [[2.0, 4.0]]


@pytest.mark.parametrize(
    "tensor",
    [
        {"dims": ["3"], "dataType": 1, "rawData": "AAAA"},
        {"dims": ["1"], "dataType": 99, "rawData": "AAAA"},
        {"dims": ["1"], "dataType": 1, "rawData": "a"},
        {"dims": None, "dataType": 1, "rawData": "AAAA"},
    ],
    ids=["size", "type", "base64", "dims"],
)
def test_a_tensor_that_does_not_fit_together_is_refused(score: Any, tensor: dict[str, Any]) -> None:
    with pytest.raises(Refused, match="does not take this data"):
        score({"inputs": {"x": tensor}})
