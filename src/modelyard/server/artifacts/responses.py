"""A stored file as an HTTP answer: ranges, a strong etag, and nothing that a browser would run."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Iterator
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from modelyard.server.kernel.blobs import CHUNK, BlobStore
from modelyard.wire.artifacts import FileEntry

# What a browser shows without running anything in it. All else, HTML and SVG above all, is bytes.
_HARMLESS = frozenset(
    ("text/plain", "text/csv", "application/json", "image/png", "image/jpeg", "image/gif", "image/webp")
)
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_HEADERS = {"x-content-type-options": "nosniff", "content-security-policy": "default-src 'none'; sandbox"}


def attachment(filename: str) -> str:
    """A Content-Disposition that makes any browser save the file under this name."""
    plain = re.sub(r"[^A-Za-z0-9._ -]", "_", filename) or "file"
    encoded = quote(filename.encode("utf-8", "replace"), safe="")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}"


def file_response(blobs: BlobStore, entry: FileEntry, request: Request, filename: str) -> Response:
    """The whole file, the range asked for (206), 304 when the caller has it, or 416. Raises NotFound."""
    etag = f'"{entry.hash}"'
    guessed = mimetypes.guess_type(filename)[0]
    headers = {
        **_HEADERS,
        "etag": etag,
        "accept-ranges": "bytes",
        "content-disposition": attachment(filename.rpartition("/")[2]),
        "content-type": guessed if guessed in _HARMLESS else "application/octet-stream",
    }
    if etag in [e.strip() for e in request.headers.get("if-none-match", "").split(",")]:
        return Response(status_code=304, headers=headers)
    span = _span(request, entry, etag)
    if span is None:
        return _bytes(blobs, entry.hash, 0, entry.size, 200, headers)
    start, end = span
    if start >= end:
        headers["content-range"] = f"bytes */{entry.size}"
        return Response(status_code=416, headers=headers)
    headers["content-range"] = f"bytes {start}-{end - 1}/{entry.size}"
    return _bytes(blobs, entry.hash, start, end - start, 206, headers)


def _span(request: Request, entry: FileEntry, etag: str) -> tuple[int, int] | None:
    """[start, end) of a single byte range; empty when it can't be met; None for the whole file.

    Several ranges, other units and malformed ones count as none, as RFC 9110 §14.2 allows.
    """
    match = _RANGE.fullmatch(request.headers.get("range", "").replace(" ", ""))
    if match is None or match[0] == "bytes=-" or request.headers.get("if-range", etag) != etag:
        return None
    if not match[1]:
        length = int(match[2])
        return (max(0, entry.size - length), entry.size) if length else (0, 0)
    start = int(match[1])
    last = int(match[2]) if match[2] else entry.size - 1
    if match[2] and last < start:
        return None
    return start, min(last + 1, entry.size)


def _bytes(
    blobs: BlobStore, hash_: str, start: int, length: int, status: int, headers: dict[str, str]
) -> Response:
    pieces: Iterator[bytes] = blobs.read(hash_, start, length)
    if length <= CHUNK:
        return Response(b"".join(pieces), status, headers)
    return StreamingResponse(pieces, status, {**headers, "content-length": str(length)})
