from __future__ import annotations

import pytest

from modelyard.scoring.http1 import Head, Refused, Request
from modelyard.scoring.raw_http import AMLRequest, AMLResponse, rawhttp, to_response


def request(method: str, target: bytes, body: bytes = b"", **headers: str) -> AMLRequest:
    named = {k.replace("_", "-").encode(): v.encode() for k, v in headers.items()}
    return AMLRequest(Request(Head(method, target, {b"host": b"h:1", **named}, 11), body))


def test_a_request_tells_its_parts() -> None:
    asked = request("POST", b"/score?a=1&a=2&b=x%20y", b'{"k": 1}', content_type="application/json", x_y="z")
    assert asked.method == "POST"
    assert asked.url == "http://h:1/score?a=1&a=2&b=x%20y"
    assert asked.full_path == "/score?a=1&a=2&b=x y"
    assert dict(asked.args) == {"a": "1", "b": "x y"}
    assert asked.args.getlist("a") == ["1", "2"]
    assert asked.headers["X-Y"] == asked.headers.get("x-y") == "z"
    assert asked.get_data(False) == asked.data == b'{"k": 1}'
    assert asked.get_data(as_text=True) == '{"k": 1}'
    assert asked.json == asked.get_json() == {"k": 1}


def test_a_body_that_is_not_json_is_the_clients_fault() -> None:
    with pytest.raises(Refused) as refused:
        _ = request("POST", b"/score", b"{").json
    assert refused.value.status == 400
    assert request("POST", b"/score", b"{").get_json(silent=True) is None


def test_a_multipart_form_gives_fields_and_files() -> None:
    body = (
        b'--B\r\nContent-Disposition: form-data; name="k"\r\n\r\nv\r\n'
        b'--B\r\nContent-Disposition: form-data; name="image"; filename="a \\"b\\".png"\r\n'
        b"Content-Type: image/png\r\n\r\n\x89PNG\r\n--x\r\n\r\n--B--\r\n"
    )
    asked = request("POST", b"/score", body, content_type='multipart/form-data; boundary="B"')
    assert dict(asked.form) == {"k": "v"}
    file = asked.files["image"]
    assert (file.filename, file.content_type, file.name) == ('a "b".png', "image/png", "image")
    assert file.read() == b"\x89PNG\r\n--x\r\n"
    with pytest.raises(Refused, match="does not end"):
        _ = request("POST", b"/score", body[:-5], content_type="multipart/form-data; boundary=B").files


def test_an_answer_has_status_type_and_headers() -> None:
    answer = AMLResponse("ok", 201, {"X-A": "b"})
    answer.headers["Allow"] = "GET"
    sent = to_response(answer)
    assert (sent.status, sent.body) == (201, b"ok")
    assert sent.head == b"X-A: b\r\nAllow: GET\r\ncontent-type: text/plain; charset=utf-8\r\n"
    assert to_response(AMLResponse({"a": 1}, 200)).body == b'{"a": 1}'
    assert to_response(AMLResponse("a", 200, json_str=True)).body == b'"a"'
    assert b"application/json" in to_response(AMLResponse("a", 200, json_str=True)).head
    assert to_response(AMLResponse(b"\x00", 200)).body == b"\x00"


@pytest.mark.parametrize("name, value", [("X-A", "b\r\nX-B: c"), ("X A", "b"), ("", "b")])
def test_a_header_cannot_smuggle_another(name: str, value: str) -> None:
    with pytest.raises(ValueError, match="cannot have"):
        to_response(AMLResponse("", 200, {name: value}))


def test_how_the_answer_is_framed_is_not_the_scripts_to_say() -> None:
    sent = to_response(AMLResponse("", 200, {"Content-Length": "99", "Transfer-Encoding": "chunked"}))
    assert b"99" not in sent.head
    assert b"chunked" not in sent.head


def test_rawhttp_leaves_the_function_what_it_was() -> None:
    def run(request: AMLRequest) -> str:
        return request.method

    assert rawhttp(run) is run
