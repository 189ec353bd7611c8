"""Server-sent events of the yard, over a connection of their own: each once, whatever breaks in between."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Dict, Iterator, Mapping, Optional, Tuple

from modelyard import _client

if TYPE_CHECKING:
    from modelyard._client import Client

_SILENCE_S = 45.0  # the yard gives a sign of life every 15 seconds


def follow(client: Client, path: str, query: Optional[Mapping[str, Any]] = None) -> Iterator[Tuple[str, Any]]:
    """Events as (kind, JSON value), until one of kind `end`; a broken stream goes on where it stopped.

    Raises as `Client.raw` does where the stream can't be begun, and YardUnavailable when patience is at its end.
    """
    target = client._target(path, query)
    position = ""
    wire = client._new_wire()
    retry = _client._Retry(client.patience_s)
    try:
        while True:
            more = {"Accept": "text/event-stream"}
            if position:
                more["Last-Event-ID"] = position
            problem: BaseException = EOFError("the stream broke off")
            try:
                response = wire.send("GET", target, None, client._headers(None, None, None, more), _SILENCE_S)
                if response.status >= 400:
                    answer = _client.Answer(response.status, wire.lower(response), response.read())
                    if answer.status not in _client._RETRY_STATUS or not retry.pause(
                        _client._retry_after(answer)
                    ):
                        raise _client._error_of(answer, "GET", client.url + target)
                    continue
                for kind, told, data in _events(response):
                    position = told
                    retry = _client._Retry(client.patience_s)  # patience counts from the last sign of life
                    if kind == "end":
                        return
                    if kind != "position":
                        yield kind, json.loads(data.decode("utf-8"))
            except (wire.NotSent, *wire.BROKEN) as error:
                problem = error.__cause__ or error
            wire.drop()
            if not retry.pause():
                raise client._unavailable("GET", path, problem)
    finally:
        wire.drop()


def _events(response: Any) -> Iterator[Tuple[str, str, bytes]]:
    """(kind, id, data) of each event that came whole."""
    fields: Dict[bytes, bytes] = {}
    while True:
        line = response.readline()
        if not line:
            return
        line = line.rstrip(b"\r\n")
        if not line:
            if b"data" in fields:
                yield (
                    fields.get(b"event", b"message").decode(),
                    fields.get(b"id", b"").decode(),
                    fields[b"data"],
                )
            fields = {}
            continue
        name, _, value = line.partition(b":")
        if name:
            fields[name] = value[1:] if value.startswith(b" ") else value
