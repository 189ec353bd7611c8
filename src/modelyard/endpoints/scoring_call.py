"""One request to a web service's scoring address."""

from __future__ import annotations

import http.client
import json
import urllib.parse
from typing import Any, Dict, NamedTuple, Optional, Union

from modelyard.errors import WebserviceException


class ScoringAnswer(NamedTuple):
    status: int
    content_type: str
    body: bytes


def encode(data: Any) -> bytes:
    """Text and bytes go as they are, anything else as JSON."""
    if isinstance(data, (bytes, bytearray)):
        return bytes(data)
    if isinstance(data, str):
        return data.encode("utf-8")
    try:
        return json.dumps(data).encode("utf-8")
    except (TypeError, ValueError) as error:
        raise WebserviceException(
            f"The input can't be sent: {error}. Give text, bytes, or what json.dumps takes.",
            inner_exception=error,
        ) from error


def post(uri: str, body: bytes, key: Optional[str], timeout_s: float) -> ScoringAnswer:
    """Send `body` to `uri`. Raises WebserviceException when nobody answers in time."""
    parts = urllib.parse.urlsplit(uri)
    headers: Dict[str, str] = {"Content-Type": "application/json", "Accept": "*/*"}
    if key:
        headers["Authorization"] = "Bearer " + key
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=timeout_s)
    try:
        connection.request("POST", parts.path or "/", body, headers)
        response = connection.getresponse()
        return ScoringAnswer(response.status, response.getheader("content-type") or "", response.read())
    except (OSError, http.client.HTTPException) as error:
        raise WebserviceException(
            f"The web service at {uri} did not answer: {error or type(error).__name__}. "
            "Its state and get_logs() tell more.",
            inner_exception=error,
        ) from error
    finally:
        connection.close()


def decode(answer: ScoringAnswer) -> Union[Any, str, bytes]:
    """JSON decoded, other text as text, anything else as bytes."""
    kind = answer.content_type.partition(";")[0].strip().lower()
    if kind == "application/json" or kind.endswith("+json"):
        return json.loads(answer.body.decode("utf-8"))
    if kind.startswith("text/") or not kind:
        return answer.body.decode("utf-8", "replace")
    return answer.body


def refused(name: str, answer: ScoringAnswer) -> WebserviceException:
    """The exception for an answer that is not a result; carries what the service said."""
    said = answer.body.decode("utf-8", "replace").strip()
    try:
        value = json.loads(said)
        if isinstance(value, dict):
            said = str(value.get("message") or value.get("detail") or value.get("error") or said)
    except ValueError:
        pass  # plain text is as good
    return WebserviceException(
        f"Web service {name!r} answered with HTTP {answer.status}: {said or 'nothing'}\n"
        "More information can be found by calling `.get_logs()` on the webservice object.",
        status=answer.status,
        code="scoring_failed",
    )
