"""What the runs of a directory keep in common: contents of files by their hash, and snapshots; and metrics read back."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from typing import Any, Dict, Iterable, Iterator, List, Optional, Tuple

from modelyard import errors
from modelyard.runs.story import Folder
from modelyard.wire import trees
from modelyard.wire.artifacts import BlobsStored, FileEntry
from modelyard.wire.metric_shapes import shape
from modelyard.wire.metrics import MetricInfo, MetricPoints, Series, SeriesQuery


def keep_frames(here: Folder, pieces: Iterable[Any]) -> BlobsStored:
    """Keep the blobs of an upload (docs/contributing/architecture.md, blob frames). Raises RequestRefused for one whose
    bytes are not what its header says: the file was changed meanwhile."""
    buffer = bytearray()
    stored = size_bytes = 0
    source = iter(pieces)
    while _filled(buffer, source, b"\n"):
        header, _, rest = bytes(buffer).partition(b"\n")
        buffer = bytearray(rest)
        hash_, size = header.decode("ascii").split(" ")
        buffer = _keep_blob(here.blob(hash_), hash_, int(size), buffer, source)
        stored, size_bytes = stored + 1, size_bytes + int(size)
    return BlobsStored(stored, size_bytes)


def _filled(buffer: bytearray, source: Iterator[Any], mark: bytes) -> bool:
    """Read until `mark` is in the buffer; False at the end."""
    while mark not in buffer:
        piece = next(source, None)
        if piece is None:
            return False
        buffer += piece
    return True


def _keep_blob(target: str, hash_: str, size: int, buffer: bytearray, source: Iterator[Any]) -> bytearray:
    """Write the next `size` bytes; answers what is left of the buffer."""
    digest = hashlib.sha256()
    with replacing(target) as file:
        left = size
        while left:
            if not buffer:
                buffer += next(source, b"")
                if not buffer:
                    break
            piece = bytes(buffer[:left])
            file.write(piece)
            digest.update(piece)
            left -= len(piece)
            buffer = buffer[len(piece) :]
        if digest.hexdigest() != hash_:
            raise errors.RequestRefused(
                f"The bytes that came are not those of blob {hash_}.",
                code="blob_hash_mismatch",
                status=422,
                extra={"expected": hash_},
            )
    return buffer


@contextlib.contextmanager
def replacing(target: str) -> Iterator[Any]:
    """A file that is there whole, and on disk, or not at all."""
    os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
    part = f"{target}.{os.getpid()}.{os.urandom(4).hex()}.part"
    try:
        with open(part, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part)


def keep_snapshot(here: Folder, entries: List[FileEntry]) -> str:
    """Keep the list of a snapshot's files, whose contents are kept; answers its id."""
    snapshot_id = trees.tree_id(entries)
    with replacing(here.snapshot(snapshot_id)) as file:
        file.write(trees.manifest(entries))
    return snapshot_id


def snapshot(here: Folder, snapshot_id: str) -> List[FileEntry]:
    """Raises FileNotFoundError."""
    with open(here.snapshot(snapshot_id), "rb") as file:
        return trees.parse_manifest(file.read())


def metrics(journal: str, name: Optional[str] = None) -> List[MetricInfo]:
    """What a run logged so far, as the yard would answer it; `name`: only this metric."""
    found: Dict[str, List[Dict[str, Any]]] = {}
    for record in _records(journal):
        if name in (None, record["n"]):
            found.setdefault(record["n"], []).append(record)
    return [_info(one, records) for one, records in found.items()]


def points(journal: str, name: str, after: int, limit: int) -> MetricPoints:
    """The values of one metric as arrays, in the order of arrival."""
    every = [record for record in _records(journal) if record["n"] == name]
    page = every[after : after + limit]
    return MetricPoints(name, *_arrays(page), total=len(every))


def series(journal: str, run_id: str, query: SeriesQuery) -> List[Series]:
    """Metrics of numbers as arrays. A sample is all of them: who draws it draws what is on this machine's disk."""
    found: Dict[str, List[Dict[str, Any]]] = {}
    for record in _records(journal):
        is_number = record["k"] == "m" and (record.get("f") or not isinstance(record["v"], str))
        if is_number and (not query.names or record["n"] in query.names):
            found.setdefault(record["n"], []).append(record)
    made = []
    for name, records in found.items():
        within = [r for r in records if _is_within(r, query)]
        made.append(Series(run_id, name, *_arrays(within), total=len(records)))
    return made


def _is_within(record: Dict[str, Any], query: SeriesQuery) -> bool:
    bounds = ((record.get("s"), query.from_step, query.to_step), (record["t"], query.from_ms, query.to_ms))
    for value, low, high in bounds:
        if low is not None and (value is None or value < low):
            return False
        if high is not None and (value is None or value > high):
            return False
    return True


def _arrays(
    records: List[Dict[str, Any]],
) -> Tuple[List[Optional[int]], List[int], List[Any], Dict[str, str]]:
    """Steps, times, values, and the words of those that are not finite by their position."""
    words = {str(i): r["v"] for i, r in enumerate(records) if r.get("f") and isinstance(r["v"], str)}
    values = [None if str(i) in words else r["v"] for i, r in enumerate(records)]
    return [r.get("s") for r in records], [r["t"] for r in records], values, words


def _records(journal: str) -> Iterator[Dict[str, Any]]:
    try:
        with open(journal, "rb") as file:
            for line in file:
                with contextlib.suppress(ValueError):  # a line that broke off
                    yield json.loads(line.decode("utf-8"))
    except FileNotFoundError:
        return  # nothing was logged


def _info(name: str, records: List[Dict[str, Any]]) -> MetricInfo:
    pairs: List[Tuple[str, Any]] = [(r["k"], r["v"]) for r in records]
    numbers = [r["v"] for r in records if r["k"] == "m" and isinstance(r["v"], (int, float))]
    return MetricInfo(
        name=name,
        kind=records[-1]["k"],
        count=len(records),
        value=shape(pairs),
        last=numbers[-1] if numbers else None,
        min=min(numbers, default=None),
        max=max(numbers, default=None),
        nonfinite=any(r.get("f") for r in records),
    )
