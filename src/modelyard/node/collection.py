"""Brings a run's outputs and logs to the yard as files, when the script has ended."""

from __future__ import annotations

import hashlib
import logging
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from modelyard.node.link import Body, Link, Refused, Stale, workspace_path
from modelyard.node.records import RunDir
from modelyard.wire.artifacts import BlobQuery, BlobsMissing, FileEntry, FilesAdd

log = logging.getLogger(__name__)

_READ_BYTES = 1024 * 1024
_BATCH_FILES = 500
_BATCH_BYTES = 64 * 1024 * 1024
_MOST_WARNINGS = 20
_ATTEMPTS_A_BATCH = 3  # a file may change while it is sent: a left-over writer, a mapped page


@dataclass(frozen=True)
class Found:
    """A file to bring: where it lies and its path among the run's files."""

    source: Path
    path: str
    size: int
    executable: bool


class Collection:
    """Uploads everything under `outputs`, `logs` and the run's own log folders.

    `patiently` repeats an action while the yard is away. What can't be brought (a socket, a link out of the run, an
    unreadable file) is left out and named in `warnings`. Doing it again is harmless.
    """

    def __init__(
        self, directory: RunDir, workspace: str, link: Link, patiently: Callable[[Callable[[], None]], None]
    ) -> None:
        self._directory = directory
        self._real_code = os.path.realpath(directory.code)
        self._workspace = workspace
        self._link = link
        self._patiently = patiently
        self.warnings: list[str] = []

    def run(self) -> None:
        """Bring all files. Raises Away when patience is at its end, and Stale."""
        batch: list[Found] = []
        size = 0
        for found in self._files():
            batch.append(found)
            size += found.size
            if len(batch) >= _BATCH_FILES or size >= _BATCH_BYTES:
                self._send(batch)
                batch, size = [], 0
        if batch:
            self._send(batch)

    def _files(self) -> Iterator[Found]:
        for root, prefix in (
            (self._directory.code / "outputs", "outputs"),
            (self._directory.code / "logs", "logs"),
            (self._directory.user_logs, "user_logs"),
            (self._directory.node_logs, "azureml-logs"),
        ):
            if root.is_symlink() and not os.path.realpath(root).startswith(self._real_code + os.sep):
                self._warn(f"{self._shown(root)} is a link out of the run and was left out")
            elif root.is_dir():
                yield from self._walk(root, prefix)
            elif root.exists():
                self._warn(f"{self._shown(root)} is not a folder and was left out")

    def _walk(self, root: Path, prefix: str) -> Iterator[Found]:
        def unreadable(error: OSError) -> None:
            self._warn(f"{self._shown(Path(error.filename))} was left out: {error.strerror}")

        for directory, folders, names in os.walk(root, onerror=unreadable):
            for folder in list(folders):
                if os.path.islink(os.path.join(directory, folder)):
                    folders.remove(folder)
                    self._warn(
                        f"{self._shown(Path(directory, folder))} is a link to a folder and was left out"
                    )
            for name in sorted(names):
                source = Path(directory, name)
                found = self._look(source, f"{prefix}/{source.relative_to(root).as_posix()}")
                if found is not None:
                    yield found

    def _look(self, source: Path, path: str) -> Found | None:
        try:
            path.encode("utf-8")
            status = source.lstat()
            if stat.S_ISLNK(status.st_mode):
                target = os.path.realpath(source)
                if not target.startswith(self._real_code + os.sep):
                    self._warn(f"{self._shown(source)} is a link out of the run and was left out")
                    return None
                status = os.stat(target)
        except UnicodeEncodeError:
            self._warn(f"{self._shown(source)!r} has a name that is not UTF-8 and was left out")
            return None
        except OSError as error:
            self._warn(f"{self._shown(source)} was left out: {error.strerror}")
            return None
        if not stat.S_ISREG(status.st_mode):
            self._warn(f"{self._shown(source)} is not a plain file and was left out")
            return None
        return Found(source, path, status.st_size, bool(status.st_mode & stat.S_IXUSR))

    def _send(self, batch: list[Found]) -> None:
        for attempt in range(_ATTEMPTS_A_BATCH):
            hashed = [(f, e) for f, e in ((f, self._entry(f)) for f in batch) if e is not None]
            try:
                self._upload([(f.source, e) for f, e in hashed])
                self._add([e for _, e in hashed])
                return
            except Refused as error:
                if error.code != "blob_hash_mismatch" or attempt == _ATTEMPTS_A_BATCH - 1:
                    if isinstance(error, Stale) or error.status == 404:
                        raise
                    self._warn(f"{batch[0].path} and {len(batch) - 1} more were refused: {error.detail}")
                    return

    def _entry(self, found: Found) -> FileEntry | None:
        digest = hashlib.sha256()
        size = 0
        try:
            with open(found.source, "rb") as file:
                for piece in iter(lambda: file.read(_READ_BYTES), b""):
                    digest.update(piece)
                    size += len(piece)
        except OSError as error:
            self._warn(f"{self._shown(found.source)} was left out: {error.strerror}")
            return None
        return FileEntry(found.path, digest.hexdigest(), size, found.executable)

    def _upload(self, files: list[tuple[Path, FileEntry]]) -> None:
        by_hash = {entry.hash: (source, entry.size) for source, entry in files}
        missing: list[str] = []

        def ask() -> None:
            query = BlobQuery(sorted(by_hash))
            path = workspace_path(self._workspace, "blobs", "missing")
            missing[:] = self._link.ask(BlobsMissing, "POST", path, query).missing

        self._patiently(ask)
        if not missing:
            return
        wanted = [(h, *by_hash[h]) for h in missing]
        total = sum(len(_header(h, size)) + size for h, _, size in wanted)
        body = Body(total, lambda: _frames(wanted))
        self._patiently(lambda: self._post("blobs", body))

    def _add(self, entries: list[FileEntry]) -> None:
        try:
            self._patiently(
                lambda: self._post(f"runs/{self._directory.run_id}/files", FilesAdd(entries, overwrite=True))
            )
        except Refused as error:
            if error.status != 422:
                raise
            # One name the yard does not take must not cost the others.
            if len(entries) == 1:
                self._warn(f"{entries[0].path} was refused: {error.detail}")
                return
            middle = len(entries) // 2
            self._add(entries[:middle])
            self._add(entries[middle:])

    def _post(self, path: str, body: object) -> None:
        self._link.request("POST", workspace_path(self._workspace, path), body, timeout_s=600.0)

    def _shown(self, source: Path) -> str:
        return str(source.relative_to(self._directory.path))

    def _warn(self, text: str) -> None:
        log.warning("%s", text.encode("utf-8", "backslashreplace").decode())
        if len(self.warnings) < _MOST_WARNINGS:
            self.warnings.append(text.encode("utf-8", "backslashreplace").decode())


def _header(digest: str, size: int) -> bytes:
    return f"{digest} {size}\n".encode("ascii")


def _frames(wanted: list[tuple[str, Path, int]]) -> Iterator[bytes]:
    """The frames of the contract. A file that shrank or is gone is filled up, so that the yard sees a wrong hash
    and says so, instead of a request that never ends."""
    for digest, source, size in wanted:
        yield _header(digest, size)
        left = size
        try:
            with open(source, "rb") as file:
                while left:
                    piece = file.read(min(_READ_BYTES, left))
                    if not piece:
                        break
                    left -= len(piece)
                    yield piece
        except OSError as error:
            log.warning("%s changed while it was sent: %s", source, error)
        while left:
            piece = b"\0" * min(_READ_BYTES, left)
            left -= len(piece)
            yield piece
