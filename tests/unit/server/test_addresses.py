"""What the whole yard answers at addresses and methods that it does not have."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from email.message import Message
from typing import Any

import pytest


def ask(server: Any, method: str, path: str) -> tuple[int, Message, dict[str, Any]]:
    request = urllib.request.Request(server.url + path, method=method)
    request.add_header("Authorization", f"Bearer {server.owner_token}")
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.headers, {}
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, json.load(error)


def test_a_method_that_is_not_there_is_answered_with_all_that_are(server: Any) -> None:
    status, headers, problem = ask(server, "PUT", "/api/v1/workspaces")
    assert (status, problem["code"]) == (405, "no_such_method")
    assert headers["allow"] == "GET, HEAD, POST"
    assert headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/", "/health/", "/api/v1/workspaces/", "/api/v1/workspaces/default/runs/"])
def test_an_address_that_is_not_there_is_a_problem_and_no_redirect(server: Any, path: str) -> None:
    status, headers, problem = ask(server, "GET", path)
    assert (status, problem["code"]) == (404, "no_such_route")
    assert headers["content-type"] == "application/problem+json"
