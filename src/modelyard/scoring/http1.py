"""Reads HTTP/1.1 requests off a byte stream: a strict subset, no I/O.

What it takes: origin-form targets, Content-Length or `Transfer-Encoding: chunked`, bounded heads and bodies.
What RFC 9112 lets a lenient reader accept but request smuggling lives on is refused: bare LF, obs-fold, space before
the colon, two lengths, any repeated framing header, HTTP/0.9.
"""

from __future__ import annotations

import re
from typing import Dict, Optional

MAX_HEAD_BYTES = 32 * 1024
MAX_TARGET_BYTES = 8 * 1024
MAX_HEADERS = 100
MAX_CHUNK_LINE_BYTES = 256

_REQUEST_LINE = re.compile(rb"([A-Z]{1,20}) ([!-~]+) HTTP/(\d)\.(\d)")
_HEADER_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)")
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\x00-\x08\x0a-\x1f\x7f]*)?")
_LENGTH = re.compile(rb"[0-9]{1,15}")
_SINGLE = frozenset(
    (b"content-length", b"transfer-encoding", b"host", b"authorization", b"expect", b"content-type")
)


class Refused(Exception):
    """A request that is not answered by the entry script: an HTTP status and words for the client.

    Raised by the reader the connection cannot go on, because where the next request begins is unknown."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status
        self.words = words


class Head:
    """The request line and headers. `length` is -1 for a chunked body; header names are lower case."""

    __slots__ = ("expects_continue", "headers", "keep_alive", "length", "method", "path", "query")

    def __init__(self, method: str, target: bytes, headers: Dict[bytes, bytes], version: int) -> None:
        self.method = method
        path, _, query = target.partition(b"?")
        self.path = path.decode("ascii")
        self.query = query.decode("ascii")
        self.headers = headers
        self.length = _body_length(headers, version)
        connection = {option.strip().lower() for option in headers.get(b"connection", b"").split(b",")}
        self.keep_alive = b"close" not in connection and (version == 11 or b"keep-alive" in connection)
        expect = headers.get(b"expect")
        if expect is not None and expect.lower() != b"100-continue":
            raise Refused(417, "The only expectation understood is 100-continue.")
        self.expects_continue = expect is not None and version == 11


class Request:
    __slots__ = ("body", "head")

    def __init__(self, head: Head, body: bytes) -> None:
        self.head = head
        self.body = body


def parse_head(raw: bytes) -> Head:
    """The head of a request, given its bytes up to and without the empty line. Raises Refused."""
    breaks = raw.count(b"\r\n")
    if raw.count(b"\n") != breaks or raw.count(b"\r") != breaks:
        raise Refused(400, "Lines of a request end with CR LF; this one has a CR or LF alone.")
    lines = raw.split(b"\r\n")
    method, target, version = _request_line(lines[0])
    if len(lines) - 1 > MAX_HEADERS:
        raise Refused(431, f"More than {MAX_HEADERS} headers.")
    headers: Dict[bytes, bytes] = {}
    for line in lines[1:]:
        match = _HEADER_LINE.fullmatch(line)
        if match is None:
            raise Refused(400, "A header line is malformed.")
        name = match.group(1).lower()
        value = match.group(2).rstrip(b" \t")
        if name in headers:
            if name in _SINGLE:
                raise Refused(400, "The header {} is given twice.".format(name.decode("ascii")))
            value = headers[name] + b", " + value
        headers[name] = value
    if version == 11 and b"host" not in headers:
        raise Refused(400, "An HTTP/1.1 request needs a Host header.")
    return Head(method, target, headers, version)


def _request_line(line: bytes) -> tuple[str, bytes, int]:
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        raise Refused(400, "The request line is malformed.")
    method, target, major, minor = match.groups()
    if major != b"1" or minor not in (b"0", b"1"):
        raise Refused(505, "Only HTTP/1.1 and HTTP/1.0 are spoken here.")
    if len(target) > MAX_TARGET_BYTES:
        raise Refused(414, f"The request target is longer than {MAX_TARGET_BYTES} bytes.")
    if target[:1] != b"/" and not (target == b"*" and method == b"OPTIONS"):
        raise Refused(400, "The request target has to be a path.")
    return method.decode("ascii"), target, 10 + int(minor)


def _body_length(headers: Dict[bytes, bytes], version: int) -> int:
    coding = headers.get(b"transfer-encoding")
    length = headers.get(b"content-length")
    if coding is not None:
        if length is not None:
            raise Refused(400, "Content-Length and Transfer-Encoding in one request.")
        if version == 10:
            raise Refused(400, "Transfer-Encoding in an HTTP/1.0 request.")
        if coding.lower() != b"chunked":
            raise Refused(501, "The only transfer coding understood is chunked.")
        return -1
    if length is None:
        return 0
    if _LENGTH.fullmatch(length) is None:
        raise Refused(400, "Content-Length is not a number.")
    return int(length)


class RequestReader:
    """Fed with received bytes; gives whole requests in order. After Refused it must not be used again."""

    def __init__(self, max_body_bytes: int) -> None:
        self.max_body_bytes = max_body_bytes
        self.received = bytearray()  # what is not yet part of a request given out
        self.head: Optional[Head] = None  # of the request whose body is still coming
        self._chunks: Optional[_ChunkedBody] = None
        # Clients of a kept connection repeat the same head byte for byte, so the last one is remembered.
        self._last_raw = b""
        self._last_head: Optional[Head] = None

    @property
    def is_between_requests(self) -> bool:
        return self.head is None and not self.received

    @property
    def body_bytes(self) -> int:
        """Of the chunked body that is still coming, decoded so far."""
        return len(self._chunks.body) if self._chunks is not None else 0

    def next(self) -> Optional[Request]:
        """The next whole request, or None while bytes are missing. Raises Refused."""
        head = self.head or self._read_head()
        if head is None:
            return None
        if head.length >= 0:
            if len(self.received) < head.length:
                return None
            body = bytes(self.received[: head.length])
            del self.received[: head.length]
        else:
            if self._chunks is None:
                self._chunks = _ChunkedBody(self.max_body_bytes)
            if not self._chunks.take(self.received):
                return None
            body = bytes(self._chunks.body)
            self._chunks = None
        self.head = None
        return Request(head, body)

    def _read_head(self) -> Optional[Head]:
        received = self.received
        end = received.find(b"\r\n\r\n")
        if end < 0:
            if len(received) > MAX_HEAD_BYTES:
                raise Refused(431, f"The head of the request is longer than {MAX_HEAD_BYTES} bytes.")
            # Said at once: waiting for the CR LF of such a client would only end in a timeout.
            if received.startswith((b"\r", b"\n")) or b"\n\n" in received:
                raise Refused(400, "Lines of a request end with CR LF; this one has a CR or LF alone.")
            return None
        if end > MAX_HEAD_BYTES:
            raise Refused(431, f"The head of the request is longer than {MAX_HEAD_BYTES} bytes.")
        raw = bytes(received[:end])
        if raw == self._last_raw and self._last_head is not None:
            head = self._last_head
        else:
            head = parse_head(raw)
            self._last_raw, self._last_head = raw, head
        del received[: end + 4]
        if head.length > self.max_body_bytes:
            raise Refused(413, f"The body is larger than {self.max_body_bytes} bytes.")
        self.head = head
        return head


class _ChunkedBody:
    """Decodes one chunked body, trailers read and thrown away."""

    def __init__(self, max_body_bytes: int) -> None:
        self.body = bytearray()
        self._max_body_bytes = max_body_bytes
        self._left = -1  # of the current chunk, its CR LF included; -1: a size line comes next
        self._in_trailers = False
        self._trailer_bytes = 0

    def take(self, received: bytearray) -> bool:
        """Consume what belongs to the body; True when it has ended. Raises Refused."""
        while True:
            if self._left > 0:
                if not self._take_chunk(received):
                    return False
                continue
            line = self._line(received)
            if line is None:
                return False
            if self._in_trailers:
                if not line:
                    return True
                if _HEADER_LINE.fullmatch(line) is None:
                    raise Refused(400, "A trailer line is malformed.")
            else:
                self._open_chunk(line)

    def _line(self, received: bytearray) -> Optional[bytes]:
        limit = MAX_HEAD_BYTES - self._trailer_bytes if self._in_trailers else MAX_CHUNK_LINE_BYTES
        end = received.find(b"\n", 0, limit)
        if end < 0:
            if len(received) >= limit:
                raise Refused(400, "A line of the chunked body is too long.")
            return None
        if end == 0 or received[end - 1] != 13:
            raise Refused(400, "Lines of a chunked body end with CR LF.")
        line = bytes(received[: end - 1])
        del received[: end + 1]
        if self._in_trailers:
            self._trailer_bytes += end + 1
        return line

    def _open_chunk(self, line: bytes) -> None:
        match = _CHUNK_LINE.fullmatch(line)
        if match is None:
            raise Refused(400, "The size of a chunk is malformed.")
        size = int(match.group(1), 16)
        if size == 0:
            self._in_trailers = True
            return
        if len(self.body) + size > self._max_body_bytes:
            raise Refused(413, f"The body is larger than {self._max_body_bytes} bytes.")
        self._left = size + 2

    def _take_chunk(self, received: bytearray) -> bool:
        data = self._left - 2
        if data > 0:
            taken = min(data, len(received))
            self.body += received[:taken]
            del received[:taken]
            self._left -= taken
            if self._left > 2:
                return False
        if len(received) < 2:
            return False
        if received[:2] != b"\r\n":
            raise Refused(400, "A chunk does not end where its size says.")
        del received[:2]
        self._left = -1
        return True
