"""Brings the code of a web service to the yard."""

from __future__ import annotations

import os
from typing import Any, List, Optional

from modelyard import snapshot
from modelyard.wire.artifacts import SnapshotCreate, SnapshotInfo


def take(workspace: Any, directory: str, files: Optional[List[str]] = None) -> str:
    """The id of a snapshot of the directory, or of only the named files of it.

    `files` are `/`-separated paths inside it; ignore files have no say over files that are named.
    """
    client = workspace._client

    def path(suffix: str) -> str:
        address: str = workspace._path(suffix.lstrip("/"))
        return address

    if files is None:
        return snapshot.take(client, path, directory).id
    pairs = [(name, os.path.join(directory, *name.split("/"))) for name in files]
    body = SnapshotCreate(snapshot.upload(client, path, pairs).entries)
    made: SnapshotInfo = client.request(
        "POST", path("/snapshots"), body=body, kind=SnapshotInfo, idempotent=True
    )
    return made.id
