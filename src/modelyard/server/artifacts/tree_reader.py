"""Makes rows of files out of rows of trees, for queries in SQL."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

from modelyard.server.kernel.queries import Scan
from modelyard.wire.trees import parse_manifest

_OF_A_FILE = ("path", "size_bytes", "hash")


def read(scan: Scan) -> Iterator[dict[str, Any]]:
    """A batch a tree: its files' `path`, `size_bytes` and `hash`, and what else the row of the tree says."""
    whole = [name for name in scan.wanted if name not in _OF_A_FILE]
    for rows in scan.rows([*whole, "manifest"]):
        for *given, manifest in rows:
            entries = parse_manifest(zlib.decompress(manifest))
            batch: dict[str, Any] = {
                name: [value] * len(entries) for name, value in zip(whole, given, strict=True)
            }
            batch["path"] = [e.path for e in entries]
            batch["size_bytes"] = [e.size for e in entries]
            batch["hash"] = [e.hash for e in entries]
            yield batch
