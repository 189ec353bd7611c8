"""An answer of the scoring host, with its headers already in wire form."""

from __future__ import annotations

from http import HTTPStatus
from typing import Dict

STATUS_LINES: Dict[int, bytes] = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode("ascii") for status in HTTPStatus
}
_NO_BODY = (204, 304)


class Response:
    """`head` holds whole header lines with CR LF, without content-length and connection."""

    __slots__ = ("body", "head", "status")

    def __init__(self, status: int, body: bytes, head: bytes = b"content-type: application/json\r\n") -> None:
        self.status = status
        self.body = body
        self.head = head

    def encoded(self, close: bool = False, with_body: bool = True) -> bytes:
        line = STATUS_LINES.get(self.status) or b"HTTP/1.1 %d Unknown\r\n" % self.status
        end = b"connection: close\r\n" if close else b""
        if self.status in _NO_BODY:
            return line + self.head + end + b"\r\n"
        start = line + self.head + end + b"content-length: %d\r\n\r\n" % len(self.body)
        return start + self.body if with_body else start


def plain(status: int, words: str, head: bytes = b"") -> Response:
    """Words for a person."""
    return Response(status, words.encode("utf-8"), b"content-type: text/plain; charset=utf-8\r\n" + head)
