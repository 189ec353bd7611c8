"""schemathesis over the whole OpenAPI: whatever is sent, the yard never answers with a 5xx."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hypothesis
import pytest
import schemathesis
from schemathesis.checks import not_a_server_error


@schemathesis.serializer("application/x-ndjson")
def raw_lines(_context: Any, value: Any) -> bytes:
    """Journal chunks: whatever bytes come, sometimes ending a line."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace") + b"\n"


@schemathesis.serializer("application/zip")
def raw_archive(_context: Any, value: Any) -> bytes:
    """Whatever bytes come, sometimes with the first bytes of a real archive."""
    return value if isinstance(value, bytes) else b"PK\x03\x04" + str(value).encode("utf-8", "replace")


@pytest.fixture
def schema(start_server: Callable[..., Any]) -> Any:
    server = start_server()
    loaded = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    return loaded, server


def test_no_request_the_schema_allows_or_forbids_ends_in_a_5xx(schema: Any) -> None:
    loaded, server = schema
    headers = {"Authorization": f"Bearer {server.owner_token}"}
    tried = 0
    for result in loaded.get_all_operations():
        operation = result.ok()
        for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):
            tried += _try(operation, mode, headers)
    assert tried > 200


def _try(operation: Any, mode: Any, headers: dict[str, str]) -> int:
    count = 0

    @hypothesis.settings(
        max_examples=12,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.generate],
    )
    @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
    def one(case: Any) -> None:
        nonlocal count
        count += 1
        query = case.query or {}
        if "wait_s" in query:
            case.query = {**query, "wait_s": 0}
        response = case.call(headers=headers, timeout=30)
        case.validate_response(response, checks=[not_a_server_error])

    try:
        one()
    except hypothesis.errors.Unsatisfiable:
        pass  # nothing in this operation can be negated
    return count
