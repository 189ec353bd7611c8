"""What a scoring host answers, without a socket."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelyard.scoring.application import Application
from modelyard.scoring.config import ServiceConfig
from modelyard.scoring.entry import RunFunction
from modelyard.scoring.faults import EntryError
from modelyard.scoring.http1 import Head, Request
from modelyard.scoring.raw_http import AMLRequest, AMLResponse, rawhttp
from modelyard.scoring.response import Response
from modelyard.scoring.telemetry import Telemetry

Ask = Callable[..., Response]


def headers_of(response: Response) -> dict[str, str]:
    lines = response.head.decode("latin-1").split("\r\n")[:-1]
    return dict(line.lower().split(": ", 1) for line in lines)


@pytest.fixture
def serve(tmp_path: Path) -> Callable[..., Ask]:
    def make(run: Callable[..., Any], **config: Any) -> Ask:
        service = ServiceConfig(endpoint="e", python="", source_dir=str(Path(__file__).parent), **config)
        app = Application(service, RunFunction(run), Telemetry(str(tmp_path / "t")).slot(1))

        def ask(method: str = "POST", target: str = "/score", body: Any = "{}", **headers: str) -> Response:
            named = {k.replace("_", "-").encode(): v.encode("latin-1") for k, v in headers.items()}
            data = body if isinstance(body, bytes) else body.encode()
            return app.answer(Request(Head(method, target.encode(), {b"host": b"h", **named}, 11), data))

        return ask

    return make


def test_run_gets_the_raw_json_text(serve: Callable[..., Ask]) -> None:
    answer = serve(lambda data: {"type": type(data).__name__, "data": data})(body='{"a": [1]}')
    assert json.loads(answer.body) == {"type": "str", "data": '{"a": [1]}'}
    told = headers_of(answer)
    assert told["x-ms-run-function-failed"] == "false"
    assert float(told["x-ms-run-fn-exec-ms"]) >= 0
    assert told["x-ms-request-id"] == told["x-request-id"]
    assert told["traceid"]


def test_a_get_hands_the_query_over_as_json(serve: Callable[..., Ask]) -> None:
    answer = serve(lambda data: json.loads(data))("GET", "/score?a=1&b=x%20y")
    assert json.loads(answer.body) == {"a": "1", "b": "x y"}


def test_ids_of_the_client_come_back_unless_they_are_odd(serve: Callable[..., Ask]) -> None:
    ask = serve(lambda data: 1)
    told = headers_of(ask(x_ms_client_request_id="c-1", x_ms_request_id="r-1", x_request_id="q-1"))
    assert (told["x-ms-client-request-id"], told["x-ms-request-id"], told["x-request-id"]) == (
        "c-1",
        "r-1",
        "q-1",
    )
    assert "x-ms-client-request-id" not in headers_of(ask(x_ms_client_request_id="x" * 101))


def test_request_headers_are_given_to_a_run_that_asks_for_them(serve: Callable[..., Ask]) -> None:
    def run(data: str, request_headers: Any) -> Any:
        return request_headers["X-User"]

    assert serve(run)(x_user="u").body == b'"u"'


def test_health_needs_no_key_and_everything_else_does(serve: Callable[..., Ask]) -> None:
    ask = serve(lambda data: 1, auth_enabled=True, keys=["first", "zweiter-ö"])
    assert ask("GET", "/").body == b"Healthy"
    for target in ("/score", "/swagger.json"):
        refused = ask("GET", target)
        assert refused.status == 401
        assert headers_of(refused)["www-authenticate"].startswith("bearer")
    for wrong in ("", "Bearer", "Bearer ", "Bearer firs", "Bearer first2", "Basic first", "first"):
        assert ask(authorization=wrong).status == 401
    assert ask(authorization="Bearer first").status == 200
    assert ask(authorization="bearer  first").status == 200


@pytest.mark.parametrize(
    "kind", ["application/pickle", "application/x-python-pickle", "Application/Vnd.PICKLE"]
)
def test_pickled_bodies_are_refused(serve: Callable[..., Ask], kind: str) -> None:
    assert serve(lambda data: 1)(content_type=kind).status == 415


def test_an_exception_is_told_with_its_line_but_without_the_traceback(
    serve: Callable[..., Ask], capsys: pytest.CaptureFixture[str]
) -> None:
    def run(data: str) -> Any:
        return {}["nothing"]

    answer = serve(run)()
    line = run.__code__.co_firstlineno + 1
    assert answer.status == 500
    assert answer.body.decode() == f"run() failed: test_application.py:{line}: KeyError: 'nothing'"
    assert headers_of(answer)["x-ms-run-function-failed"] == "true"
    logged = capsys.readouterr().err
    assert "Traceback" in logged
    assert f"line {line}" in logged
    assert "application.py" in logged


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_a_run_that_raises_anything_does_not_end_the_service(
    serve: Callable[..., Ask], error: BaseException
) -> None:
    def run(data: str) -> Any:
        raise error

    assert serve(run)().status == 500


def test_all_lines_of_an_exceptions_message_are_told(serve: Callable[..., Ask]) -> None:
    def run(data: str) -> Any:
        raise ValueError("The feature names differ.\nUnseen at fit time:\n- petal")

    assert b": ValueError: The feature names differ. Unseen at fit time: - petal" in serve(run)().body


def test_head_is_answered_as_get_is(serve: Callable[..., Ask]) -> None:
    assert serve(lambda data: json.loads(data))("HEAD", "/score?a=1").body == b'{"a": "1"}'


class Tensor:
    """Stands for any array library: known by its tolist()."""

    def tolist(self) -> list[int]:
        return [1, 2]


@pytest.mark.parametrize(
    ("result", "body"),
    [
        ("text", b'"text"'),
        (None, b"null"),
        (b"\x00\xff", b"\x00\xff"),
        ({"a": Tensor()}, b'{"a": [1, 2]}'),
        ({"aml_response_headers": {"X-A": "b"}, "aml_response_body": [1]}, b"[1]"),
        (AMLResponse("raw", 200), b"raw"),
    ],
)
def test_results_are_written_as_v1_did(serve: Callable[..., Ask], result: Any, body: bytes) -> None:
    answer = serve(lambda data: result)()
    assert (answer.status, answer.body) == (200, body)


def test_numpy_and_pandas_results_are_written_as_lists(serve: Callable[..., Ask]) -> None:
    numpy = pytest.importorskip("numpy")
    made = {"i": numpy.int64(3), "f": numpy.float32(0.5), "a": numpy.array([[1, 2]]), "b": numpy.bool_(True)}
    assert json.loads(serve(lambda data: made)().body) == {"i": 3, "f": 0.5, "a": [[1, 2]], "b": True}


@pytest.mark.parametrize("result", [object(), {1, 2}, {"a": b"bytes"}, {(1, 2): 3}])
def test_a_result_that_json_cannot_hold_is_said_clearly(serve: Callable[..., Ask], result: Any) -> None:
    answer = serve(lambda data: result)()
    assert answer.status == 500
    assert answer.body.startswith(b"The result of run() cannot be sent")


def test_a_raw_entry_gets_the_request_and_options_too(serve: Callable[..., Ask]) -> None:
    @rawhttp
    def run(request: AMLRequest) -> AMLResponse:
        return AMLResponse(request.method + request.path, 202)

    ask = serve(run)
    assert [ask(m).body for m in ("GET", "POST", "OPTIONS")] == [
        b"GET/score",
        b"POST/score",
        b"OPTIONS/score",
    ]
    assert ask("PUT").status == 405


def test_other_paths_and_methods_are_refused_with_words(serve: Callable[..., Ask]) -> None:
    ask = serve(lambda data: 1)
    assert ask("GET", "/other").status == 404
    refused = ask("DELETE")
    assert refused.status == 405
    assert headers_of(refused)["allow"] == "get, post, options"
    assert ask("OPTIONS").status == 200
    assert ask(body=b"\xff").status == 400


def test_pages_of_other_origins_are_refused_while_there_are_no_keys(
    serve: Callable[..., Ask], monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = serve(lambda data: 1)
    assert ask(origin="http://evil").status == 403
    assert ask(origin="http://h").status == 200
    monkeypatch.setenv("AML_CORS_ORIGINS", "http://good, http://other")
    ask = serve(lambda data: 1)
    allowed = ask(origin="http://good")
    assert headers_of(allowed)["access-control-allow-origin"] == "http://good"
    asked_first = ask("OPTIONS", origin="http://good", access_control_request_method="POST")
    assert headers_of(asked_first)["access-control-allow-methods"] == "get, post, options"
    assert ask(origin="http://evil").status == 403


def test_a_run_without_its_parameter_is_refused_at_deployment() -> None:
    for bad in (lambda: 1, lambda a, b: 1):
        with pytest.raises(EntryError, match="one parameter"):
            RunFunction(bad)
    RunFunction(lambda a, b=2: 1)


def test_the_generic_description_names_the_routes(serve: Callable[..., Ask]) -> None:
    ask = serve(lambda data: 1)
    assert set(json.loads(ask("GET", "/swagger.json").body)["paths"]) == {"/", "/score"}
    assert json.loads(ask("GET", "/swagger.json?version=2").body)["swagger"] == "2.0"
    assert ask("GET", "/swagger.json?version=9").status == 400
