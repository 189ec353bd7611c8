"""Snapshots and uploads from the user's side: walk, hash what is new, send what the yard lacks, and restore.

What stays behind is told by ignore files, see modelyard.ignore_files; `.git` never goes along.
"""

from __future__ import annotations

import contextlib
import os
import stat
from typing import Any, Callable, Iterable, Iterator, List, NamedTuple, Optional, Set, Tuple

from modelyard import errors, stat_cache
from modelyard._client import Client
from modelyard.ignore_files import IgnoreRules
from modelyard.wire.artifacts import (
    BlobQuery,
    BlobsMissing,
    BlobsStored,
    FileEntry,
    SnapshotCreate,
    SnapshotInfo,
)
from modelyard.wire.trees import path_problem, tree_id, tree_problem

_BATCH_BYTES = 48 << 20  # per request, or more by one file
_WORTH_OVERLAPPING = 8 << 20  # from so many bytes to hash, sending begins before all hashes are known
_BATCH_FILES = 10_000
_READ_BYTES = 1 << 20
_CHANGED = "file_changed"


class LocalFile(NamedTuple):
    """A file on this machine and the path it has in a tree."""

    path: str
    source: str
    size: int
    mtime_ns: int
    inode: int
    executable: bool


class Taken(NamedTuple):
    """A directory the yard now holds, and what it took to bring it there."""

    id: str
    entries: List[FileEntry]
    file_count: int
    size_bytes: int
    uploaded_files: int
    uploaded_bytes: int


class Uploaded(NamedTuple):
    entries: List[FileEntry]
    uploaded_files: int
    uploaded_bytes: int


WorkspacePath = Callable[[str], str]  # "/snapshots" -> "/api/v1/workspaces/<name>/snapshots"


def take(client: Client, path: WorkspacePath, directory: str) -> Taken:
    """Bring a directory to the yard as a snapshot. Raises SnapshotException naming the file that can't go along."""
    with _reading():
        return _take(client, path, directory)


def _take(client: Client, path: WorkspacePath, directory: str) -> Taken:
    files = _found(directory)
    if not files:
        raise errors.SnapshotException(
            f"{os.path.abspath(directory)} has no files to submit. Is it the right directory, or does its ignore file "
            "leave out everything?"
        )
    hashes = _hashes(files, os.path.abspath(directory))
    if hashes.unknown_bytes < _WORTH_OVERLAPPING:
        entries = _entries(files, hashes)
        known = _find(client, path, tree_id(entries))
        if known is not None:
            return Taken(known.id, entries, known.file_count, known.size_bytes, 0, 0)
    _check_paths(files)
    uploaded = _upload(client, path, files, hashes)
    made = client.request(
        "POST", path("/snapshots"), body=SnapshotCreate(uploaded.entries), kind=SnapshotInfo, idempotent=True
    )
    return Taken(
        made.id,
        uploaded.entries,
        made.file_count,
        made.size_bytes,
        uploaded.uploaded_files,
        uploaded.uploaded_bytes,
    )


def upload(client: Client, path: WorkspacePath, sources: Iterable[Tuple[str, str]]) -> Uploaded:
    """Bring (path in the tree, local file) pairs to the yard as blobs. Raises SnapshotException."""
    with _reading():
        files = [_local_file(name, source) for name, source in sources]
        _check_paths(files)
        return _upload(client, path, files, _hashes(files, os.getcwd()))


@contextlib.contextmanager
def _reading() -> Iterator[None]:
    """Network trouble has exceptions of its own, so an OSError here is a file that can't be read or has gone."""
    try:
        yield
    except OSError as error:
        raise errors.SnapshotException(
            f"{error.filename or 'A file'} can't be read: {error.strerror or error}. Make it readable, or name it in "
            ".amlignore.",
            inner_exception=error,
        ) from error


def walk(directory: str) -> List[LocalFile]:
    """The files of a directory that its ignore files let through, sorted by path.

    A symlink to something inside the directory counts as what it points to. Raises SnapshotException for one that
    leads outside or nowhere, for a file that can't be read, and for names that no tree may hold.
    """
    found = _found(directory)
    _check_paths(found)
    return found


def _found(directory: str) -> List[LocalFile]:
    root = os.path.abspath(directory)
    if not os.path.isdir(root):
        raise errors.SnapshotException(
            f"Source directory {directory!r} does not exist or is not a directory."
        )
    found: List[LocalFile] = []
    _Walk(root, found).into(root, "", (), IgnoreRules.at_root(root))
    found.sort()  # by path, which is first and different in each
    return found


class _Walk:
    """One pass over a directory."""

    def __init__(self, root: str, found: List[LocalFile]) -> None:
        self._real_root = os.path.realpath(root)
        self._found = found

    def into(self, directory: str, prefix: str, above: Tuple[str, ...], rules: IgnoreRules) -> None:
        """`above`: the real directories we are inside of, if a symlink has led us here."""
        with os.scandir(directory) as listing:
            children = list(listing)
        rules = rules.within(directory, prefix, [child.name for child in children])
        for child in children:
            if child.name == ".git":
                continue
            path = prefix + child.name
            is_link = child.is_symlink()
            if rules.leave_out(path, not is_link and child.is_dir()):
                continue
            if is_link:
                self._check_link(child.path, path)
            if child.is_dir():
                inside = self._entered(child.path, path, above) if is_link or above else ()
                self.into(child.path, path + "/", inside, rules)
            else:
                self._take(child.path, path, child.stat())

    def _take(self, source: str, path: str, status: os.stat_result) -> None:
        if stat.S_ISREG(status.st_mode):  # sockets, pipes and devices have no content to keep
            self._found.append(_of(path, source, status))

    def _check_link(self, source: str, path: str) -> None:
        target = os.path.realpath(source)
        if not os.path.exists(target):
            raise errors.SnapshotException(
                f"Symbolic link {path!r} points to {os.readlink(source)!r}, which does not exist. Remove the link, or name "
                "it in .amlignore."
            )
        if target != self._real_root and not target.startswith(self._real_root + os.sep):
            raise errors.SnapshotException(
                f"Symbolic link {path!r} leads outside the source directory, to {target!r}. Copy the file into the "
                "directory, or name the link in .amlignore."
            )

    def _entered(self, source: str, path: str, above: Tuple[str, ...]) -> Tuple[str, ...]:
        real = os.path.realpath(source)
        parent = os.path.realpath(os.path.dirname(source))
        if real in above or real == parent or parent.startswith(real + os.sep):
            raise errors.SnapshotException(
                f"Symbolic link {path!r} leads back into a directory above it, {real!r}. Name it in .amlignore."
            )
        return (*above, real)


def _of(path: str, source: str, status: os.stat_result) -> LocalFile:
    return LocalFile(
        path, source, status.st_size, status.st_mtime_ns, status.st_ino, bool(status.st_mode & stat.S_IXUSR)
    )


def _local_file(path: str, source: str) -> LocalFile:
    status = os.stat(source)
    if not stat.S_ISREG(status.st_mode):
        raise errors.SnapshotException(f"{source!r} is not a file.")
    return _of(path, source, status)


def _check_paths(files: List[LocalFile]) -> None:
    problem = tree_problem([f.path for f in files])
    if not problem:
        return
    for file in files:
        alone = path_problem(file.path)
        if alone:
            raise errors.SnapshotException(
                f"File {file.source!r} can't go into a snapshot: its name {alone}. Rename it, or name it in .amlignore."
            )
    raise errors.SnapshotException(
        f"These files can't be one snapshot. {problem} Rename one, or name it in .amlignore."
    )


def _hashes(files: List[LocalFile], directory: str) -> stat_cache.Hashes:
    return stat_cache.Hashes([f[1:5] for f in files], directory)


def _entries(files: List[LocalFile], hashes: Iterable[str]) -> List[FileEntry]:
    return [FileEntry(f.path, hash_, f.size, f.executable) for hash_, f in zip(hashes, files)]


def _find(client: Client, path: WorkspacePath, snapshot_id: str) -> Optional[SnapshotInfo]:
    try:
        found: SnapshotInfo = client.request(
            "GET", path("/snapshots/" + snapshot_id), query={"entries": False}, kind=SnapshotInfo
        )
    except errors.NotFound:
        return None
    return found


_Batch = List[Tuple[LocalFile, FileEntry]]


def _upload(
    client: Client, path: WorkspacePath, files: List[LocalFile], hashes: stat_cache.Hashes
) -> Uploaded:
    try:
        return _upload_batches(client, path, files, hashes)
    except errors.SnapshotException as error:
        if error.code == _CHANGED:
            hashes.forget()
        raise


def _upload_batches(
    client: Client, path: WorkspacePath, files: List[LocalFile], hashes: Iterable[str]
) -> Uploaded:
    """Send batch by batch what the yard lacks, while the files of the next batches are being hashed."""
    entries: List[FileEntry] = []
    seen: Set[str] = set()
    sent_files = sent_bytes = 0
    batch: _Batch = []
    size = 0
    for hash_, file in zip(hashes, files):  # hashes first: they are kept when they are asked beyond the last
        entry = FileEntry(file.path, hash_, file.size, file.executable)
        entries.append(entry)
        if hash_ in seen:
            continue
        seen.add(hash_)
        batch.append((file, entry))
        size += file.size
        if size >= _BATCH_BYTES or len(batch) >= _BATCH_FILES:
            sent = _bring(client, path, batch)
            sent_files, sent_bytes = sent_files + sent[0], sent_bytes + sent[1]
            batch, size = [], 0
    sent = _bring(client, path, batch)
    return Uploaded(entries, sent_files + sent[0], sent_bytes + sent[1])


def _bring(client: Client, path: WorkspacePath, batch: _Batch) -> Tuple[int, int]:
    """Send those files of the batch that the yard lacks; their number and size."""
    if not batch:
        return 0, 0
    query = BlobQuery([entry.hash for _, entry in batch])
    answer = client.request("POST", path("/blobs/missing"), body=query, kind=BlobsMissing, idempotent=True)
    missing = set(answer.missing)
    lacking = [item for item in batch if item[1].hash in missing]
    if lacking:
        _send(client, path, lacking)
    return len(lacking), sum(entry.size for _, entry in lacking)


def _send(client: Client, path: WorkspacePath, batch: _Batch) -> None:
    headers = [f"{entry.hash} {entry.size}\n".encode("ascii") for _, entry in batch]
    length = sum(len(header) + entry.size for header, (_, entry) in zip(headers, batch))

    def content() -> Iterator[Any]:
        for piece in _frames(headers, batch):
            yield piece
            client.moved(len(piece))

    try:
        client.request(
            "POST", path("/blobs"), content=content, content_length=length, kind=BlobsStored, idempotent=True
        )
    except errors.RequestRefused as error:
        if error.code != "blob_hash_mismatch":
            raise
        raise _changed([f.source for f, e in batch if e.hash == error.extra.get("expected")]) from error


def _frames(headers: List[bytes], batch: _Batch) -> Iterator[Any]:
    """The body of one request, in pieces of about a megabyte."""
    buffer = memoryview(bytearray(_READ_BYTES + 1024))
    filled = 0
    for header, (file, entry) in zip(headers, batch):
        buffer[filled : filled + len(header)] = header
        filled += len(header)
        left = entry.size
        with open(file.source, "rb", buffering=0) as source:
            while left:
                size = source.readinto(buffer[filled : min(filled + left, _READ_BYTES)])
                if not size:
                    raise _changed([file.source])
                left -= size
                filled += size
                if filled >= _READ_BYTES:
                    yield buffer[:filled]  # the socket has taken it when we go on
                    filled = 0
    if filled:
        yield buffer[:filled]


def _changed(sources: List[str]) -> errors.SnapshotException:
    named = repr(sources[0]) if sources else "A file"
    return errors.SnapshotException(
        f"{named} changed while it was being sent. Submit again when nothing writes to it, or name it in .amlignore.",
        code=_CHANGED,
    )


def restore(client: Client, path: WorkspacePath, snapshot_id: str, target: str) -> List[str]:
    """Write a snapshot's files below `target`; answers their paths. Raises NotFound, SnapshotException."""
    info = client.request("GET", path("/snapshots/" + snapshot_id), kind=SnapshotInfo)
    materialise(client, path, info.entries, target)
    return [entry.path for entry in info.entries]


def materialise(client: Client, path: WorkspacePath, entries: List[FileEntry], target: str) -> None:
    """Write these files below `target`, over files of the same name. Raises SnapshotException for unsafe paths."""
    problem = tree_problem([entry.path for entry in entries])
    if problem:
        raise errors.SnapshotException(f"The yard's answer can't be written to {target!r}: {problem}")
    root = os.path.realpath(target)
    made: Set[str] = set()
    written: Set[int] = set()
    for entry in entries:
        file = os.path.join(root, *entry.path.split("/"))
        folder = os.path.dirname(file)
        if folder not in made:
            os.makedirs(folder, exist_ok=True)
            real = os.path.realpath(folder)
            if real != root and not real.startswith(root + os.sep):
                raise errors.SnapshotException(
                    f"{folder!r} is a symbolic link that leads outside {target!r}; nothing is written through it."
                )
            made.add(folder)
        if os.path.exists(file) and os.stat(file).st_ino in written:
            raise errors.SnapshotException(
                f"{file!r} is there under a name that differs only in case, which this file system can't tell apart."
            )
        client.download(path("/blobs/" + entry.hash), file)
        written.add(os.stat(file).st_ino)
        if entry.executable:
            os.chmod(file, 0o755)  # noqa: S103  # as it was where the snapshot was taken


__all__ = ["LocalFile", "Taken", "Uploaded", "materialise", "restore", "take", "upload", "walk"]
