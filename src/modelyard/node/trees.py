"""Brings trees of files (snapshots, models) from the yard to this node, through a cache of blobs."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from modelyard.node import records
from modelyard.node.link import Away, Link, workspace_path
from modelyard.wire import codec
from modelyard.wire.artifacts import BlobQuery, FileEntry, FileList, SnapshotInfo

T = TypeVar("T")

_AT_ONCE = 4
_FEW = 200  # files that are copied before a thread for them would have begun
_READ_BYTES = 1024 * 1024
_SMALL_BYTES = 1024 * 1024  # what is fetched together with others
_FRAMES_BYTES = 16 * 1024 * 1024  # of one request, which is held in memory
_FRAMES = 1000


class BadTree(Exception):
    """What the yard sent can't be a tree of files, or is not what its hash says."""


class Trees:
    """The trees this node has needed so far. `cache` holds blobs by hash and file lists by tree id."""

    def __init__(self, cache: Path) -> None:
        self._blobs = cache / "blobs"
        self._lists = cache / "trees"

    def snapshot(self, link: Link, workspace: str, snapshot_id: str) -> list[FileEntry]:
        """The files of a snapshot. Raises Away, Refused."""
        kept = self._lists / f"{workspace}-{snapshot_id}.json"
        value = records.read(kept)
        if isinstance(value, list):
            return codec.from_json(list[FileEntry], value)
        info = link.ask(SnapshotInfo, "GET", workspace_path(workspace, "snapshots", snapshot_id))
        self._keep(kept, info.entries)
        return info.entries

    def model(self, link: Link, workspace: str, model_id: str, tree_id: str) -> list[FileEntry]:
        """The files of a registered model, `name:version`. Raises Away, Refused."""
        kept = self._lists / f"{workspace}-{tree_id}.json"
        value = records.read(kept)
        if isinstance(value, list):
            return codec.from_json(list[FileEntry], value)
        name, _, version = model_id.rpartition(":")
        files = link.ask(
            FileList, "GET", workspace_path(workspace, "models", name, "versions", version, "files")
        )
        entries = [FileEntry(f.path, f.hash or "", f.size) for f in files.items]
        self._keep(kept, entries)
        return entries

    def _keep(self, file: Path, entries: list[FileEntry]) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)  # each time: a cache may be deleted under our feet
        records.write(file, entries, durable=False)

    def lacking(self, entries: list[FileEntry]) -> list[FileEntry]:
        """Those whose bytes are not in the cache, one for each blob."""
        return list({e.hash: e for e in entries if not self._blob(e.hash).exists()}.values())

    def place(
        self, link: Link, workspace: str, entries: list[FileEntry], target: Path, stop: threading.Event
    ) -> None:
        """Make `target` a directory with exactly these files, whole or not at all.

        Raises Away, Refused, BadTree, OSError. The files are copies: a script may change them.
        """
        self.fetch(link, workspace, entries, stop)
        building = target.with_name(f".{target.name}.new")
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir(parents=True)
        for folder in {os.path.dirname(_checked(entry.path)) for entry in entries}:
            os.makedirs(building / folder, exist_ok=True)

        def copy(some: list[FileEntry]) -> None:
            for entry in some:
                if stop.is_set():
                    return
                _copy(
                    self._blob(entry.hash), str(building / entry.path), 0o755 if entry.executable else 0o644
                )

        if len(entries) < _FEW:
            copy(entries)
        else:
            _at_once(copy, entries)
        if stop.is_set():
            raise Away("stopped")
        shutil.rmtree(target, ignore_errors=True)
        os.replace(building, target)

    def fetch(self, link: Link, workspace: str, entries: list[FileEntry], stop: threading.Event) -> None:
        """Bring the bytes that are lacking. Raises Away, Refused, BadTree."""
        wanted = self.lacking(entries)
        if not wanted:
            return
        self._blobs.mkdir(parents=True, exist_ok=True)

        def share(groups: list[list[FileEntry]]) -> None:
            try:
                for group in groups:
                    if stop.is_set():
                        return
                    if len(group) == 1:
                        self._download(link, workspace, group[0])
                    else:
                        self._download_frames(link, workspace, group)
            finally:
                link.close()  # this thread's connection

        _at_once(share, _groups(wanted))
        if stop.is_set():
            raise Away("stopped")

    def _download(self, link: Link, workspace: str, entry: FileEntry) -> None:
        path = workspace_path(workspace, "blobs", entry.hash)
        final = self._blob(entry.hash)
        final.parent.mkdir(exist_ok=True)
        part = final.with_name(f".{final.name}.{os.getpid()}.{threading.get_ident()}")
        try:
            link.download(path, part)
            with open(part, "rb") as file:
                found = _hash(file.read)
            if found != entry.hash:
                raise BadTree(f"{entry.path}: the yard sent other bytes than {entry.hash[:12]}…")
            os.replace(part, final)
        finally:
            with contextlib.suppress(FileNotFoundError):
                part.unlink()

    def _download_frames(self, link: Link, workspace: str, entries: list[FileEntry]) -> None:
        """Many small blobs by one request."""
        query = BlobQuery([e.hash for e in entries])
        view = memoryview(link.request("POST", workspace_path(workspace, "blobs", "frames"), query))
        for entry in entries:
            head = f"{entry.hash} {entry.size}\n".encode()
            content = view[len(head) : len(head) + entry.size]
            if bytes(view[: len(head)]) != head or hashlib.sha256(content).hexdigest() != entry.hash:
                raise BadTree(f"{entry.path}: the yard sent other bytes than {entry.hash[:12]}…")
            final = self._blob(entry.hash)
            final.parent.mkdir(exist_ok=True)
            part = final.with_name(f".{final.name}.{os.getpid()}.{threading.get_ident()}")
            part.write_bytes(content)
            os.replace(part, final)
            view = view[len(head) + entry.size :]

    def _blob(self, digest: str) -> Path:
        if len(digest) != 64 or not all(c in "0123456789abcdef" for c in digest):
            raise BadTree(f"{digest!r} is not a hash")
        return self._blobs / digest[:2] / digest


def _at_once(work: Callable[[list[T]], None], items: list[T]) -> None:
    """Do `work` in a few threads, with a share of the items each. Raises what the first of them raised."""
    shares = [items[i::_AT_ONCE] for i in range(min(_AT_ONCE, len(items)))]
    with ThreadPoolExecutor(len(shares), thread_name_prefix="tree") as pool:
        for done in [pool.submit(work, share) for share in shares]:
            done.result()


def _copy(source: Path, target: str, mode: int) -> None:
    """A new file with the bytes of another. Raises BadTree when it is there already."""
    try:
        written = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        said = "is there under a name that differs only in case, which this file system can't tell apart"
        raise BadTree(f"{target!r} {said}") from None
    with open(source, "rb", buffering=0) as read, open(written, "wb", buffering=0) as out:
        shutil.copyfileobj(read, out, _READ_BYTES)


def _groups(entries: list[FileEntry]) -> list[list[FileEntry]]:
    """What to ask for in one request each: a large file alone, small ones together."""
    groups: list[list[FileEntry]] = []
    small: list[FileEntry] = []
    size = 0
    for entry in entries:
        if entry.size > _SMALL_BYTES:
            groups.append([entry])
            continue
        small.append(entry)
        size += entry.size
        if size > _FRAMES_BYTES or len(small) >= _FRAMES:
            groups.append(small)
            small, size = [], 0
    return [*groups, small] if small else groups


def _hash(read: Callable[[int], bytes]) -> str:
    digest = hashlib.sha256()
    for piece in iter(lambda: read(_READ_BYTES), b""):
        digest.update(piece)
    return digest.hexdigest()


def _checked(path: str) -> str:
    """The path itself. The yard checks paths too; a node trusts nobody with where it writes."""
    parts = path.split("/")
    if (
        not path
        or path.startswith("/")
        or "\0" in path
        or "\\" in path
        or any(p in ("", ".", "..") for p in parts)
    ):
        raise BadTree(f"{path!r} is not a path inside a tree")
    return path
