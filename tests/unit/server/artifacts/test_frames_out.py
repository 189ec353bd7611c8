from __future__ import annotations

import hashlib
from typing import Any

import pytest

from modelyard.errors import NotFound
from modelyard.wire.artifacts import BlobQuery


def test_many_blobs_come_by_one_request_in_the_order_asked_for(server: Any) -> None:
    from modelyard._client import Client, path

    client = Client(server.url, server.owner_token)
    contents = [f"file {i}".encode() for i in range(50)] + [b"", b"x" * 2_500_000]
    frames = [f"{hashlib.sha256(c).hexdigest()} {len(c)}\n".encode() + c for c in contents]
    client.raw(
        "POST",
        path("workspaces", "default", "blobs"),
        content=b"".join(frames),
        content_type="application/octet-stream",
    )
    hashes = [hashlib.sha256(c).hexdigest() for c in contents]
    got = client.raw(
        "POST", path("workspaces", "default", "blobs", "frames"), body=BlobQuery(hashes + hashes[:1])
    ).body
    assert got == b"".join(frames)
    with pytest.raises(NotFound):
        client.raw("POST", path("workspaces", "default", "blobs", "frames"), body=BlobQuery(["ab" * 32]))
    client.close()
