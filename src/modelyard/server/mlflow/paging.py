"""Pages as MLflow's clients turn them: a token that says where the next one begins."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import TypeVar

from modelyard.server.mlflow import errors

MAX_RESULTS = 50_000

T = TypeVar("T")


def check_max_results(given: int, most: int = MAX_RESULTS) -> None:
    if given < 1:
        raise errors.invalid(
            f"Invalid value {given} for parameter 'max_results' supplied. It must be a positive integer"
        )
    if given > most:
        raise errors.invalid(
            f"Invalid value {given} for parameter 'max_results' supplied. It must be at most {most}"
        )


def start_of(token: str) -> int:
    """How many come before the page that a token asks for. Raises INVALID_PARAMETER_VALUE."""
    if not token:
        return 0
    try:
        content = base64.b64decode(token)
    except ValueError:
        raise errors.invalid("Invalid page token, could not base64-decode") from None
    try:
        start = int(json.loads(content)["offset"])
    except (ValueError, KeyError, TypeError):
        raise errors.invalid(f"Invalid page token, decoded value={content!r}") from None
    if start < 0:
        raise errors.invalid(f"Invalid page token, parsed value={start}")
    return start


def token_at(start: int) -> str:
    return base64.b64encode(json.dumps({"offset": start}).encode()).decode()


def page(found: Sequence[T], token: str, max_results: int) -> tuple[Sequence[T], str]:
    """The page of all that was found, and the token of the next, empty at the end."""
    start = start_of(token)
    stop = start + max_results
    return found[start:stop], token_at(stop) if stop < len(found) else ""
