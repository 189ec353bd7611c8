"""Entry scripts decorated with the real inference-schema package."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelyard.scoring.application import Application
from modelyard.scoring.config import ServiceConfig
from modelyard.scoring.entry import RunFunction
from modelyard.scoring.http1 import Head, Request
from modelyard.scoring.response import Response
from modelyard.scoring.telemetry import Telemetry

pytest.importorskip("inference_schema", reason="uv pip install inference-schema")
pytest.importorskip("numpy", reason="uv pip install numpy")


@functools.cache  # the package refuses to decorate a function of the same name twice
def entry() -> RunFunction:
    import numpy as np
    from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
    from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
    from inference_schema.schema_decorators import input_schema, output_schema

    @input_schema("data", NumpyParameterType(np.array([[1, 2]])))
    @input_schema("factor", StandardPythonParameterType(2), optional=True)
    @output_schema(NumpyParameterType(np.array([3])))
    def run(data: Any, factor: int = 1) -> Any:
        if factor == 13:
            raise ValueError("unlucky")
        return data.sum(axis=1) * factor

    return RunFunction(run)


@pytest.fixture
def ask(tmp_path: Path) -> Callable[..., Response]:
    service = ServiceConfig(endpoint="e", python="", source_dir=str(Path(__file__).parent))
    app = Application(service, entry(), Telemetry(str(tmp_path / "t")).slot(1))

    def send(value: Any, method: str = "POST", target: str = "/score") -> Response:
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        return app.answer(Request(Head(method, target.encode(), {b"host": b"h"}, 11), body))

    return send


def test_parameters_come_by_name_and_converted(ask: Callable[..., Response]) -> None:
    assert json.loads(ask({"data": [[1, 2], [3, 4]]}).body) == [3, 7]
    assert json.loads(ask({"data": [[1, 2]], "factor": 10}).body) == [30]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (b"{", "not JSON"),
        ([1], "has to be a JSON object"),
        ({}, "lacks 'data'"),
        ({"dat": [[1]]}, "lacks 'data'"),
        ({"data": [[1, 2]], "more": 1}, "'more'"),
        ({"data": "text"}, "does not fit"),
    ],
)
def test_a_body_that_does_not_fit_is_the_clients_fault(
    ask: Callable[..., Response], value: Any, words: str
) -> None:
    answer = ask(value)
    assert answer.status == 400, answer.body
    assert words in answer.body.decode()


def test_an_error_inside_run_is_not_the_clients_fault(ask: Callable[..., Response]) -> None:
    assert ask({"data": [[1, 2]], "factor": 13}).status == 500


def test_the_description_shows_the_declared_schema(ask: Callable[..., Response]) -> None:
    schemas = json.loads(ask(b"", "GET", "/swagger.json").body)["components"]["schemas"]
    assert schemas["ServiceInput"]["properties"]["data"]["type"] == "array"
    assert schemas["ServiceInput"]["example"]["data"] == [[1, 2]]
    assert schemas["ServiceOutput"]["type"] == "array"
