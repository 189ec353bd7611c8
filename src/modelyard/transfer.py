"""A workspace as one file, to and from the yard."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Iterator, List, Optional

from modelyard import errors
from modelyard._client import Client, path
from modelyard._local_yard import connect_or_start
from modelyard.wire.transfer import ImportReport

if TYPE_CHECKING:
    from modelyard.workspace import Workspace

_PATIENCE_S = (
    6 * 3600.0
)  # the yard gathers all tables before the first byte, and answers an import when it is done
_PIECE_BYTES = 1 << 20


def export(
    workspace: Workspace,
    target: str,
    experiments: Optional[List[str]],
    runs: Optional[List[str]],
    files: bool,
) -> int:
    query = {"experiment": experiments or [], "run": runs or [], "files": files}
    return workspace._client.download(workspace._path("export"), target, query, timeout_s=_PATIENCE_S)


def import_(
    source: str, name: Optional[str], into: Optional[Workspace], merge: str, preview: bool
) -> ImportReport:
    if name and into is not None:
        raise errors.UserErrorException("Give either name= (a new workspace) or into= (one that is there).")
    client = connect_or_start() if into is None else into._client
    return send(
        client, source, into.name if into is not None else name or "", into is not None, merge, preview
    )


def send(client: Client, source: str, workspace: str, into: bool, merge: str, preview: bool) -> ImportReport:
    """Bring a file to the yard and answer what became of it."""
    try:
        size = os.path.getsize(source)
    except OSError as error:
        raise errors.UserErrorException(f"{source} can't be read: {error.strerror or error}.") from error

    def content() -> Iterator[bytes]:
        with open(source, "rb") as file:
            while True:
                piece = file.read(_PIECE_BYTES)
                if not piece:
                    return
                yield piece
                client.moved(len(piece))

    report: ImportReport = client.request(
        "POST",
        path("imports"),
        query={"workspace": workspace, "into": into, "merge": merge, "preview": preview},
        content=content,
        content_type="application/zip",
        content_length=size,
        kind=ImportReport,
        timeout_s=_PATIENCE_S,
        patience_s=0.0,
    )
    return report
