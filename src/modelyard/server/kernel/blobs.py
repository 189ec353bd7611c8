"""Bytes by content: each blob is named by its SHA-256. Plain files at home; S3, Azure Blob and GCS by obstore.

`put` returns when the blob is durable. What the yard holds is told by the `blobs` table (artifacts slice), not by
listing the store; the store may hold more than the table says, never less.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import re
import secrets
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

from modelyard.server.kernel.errors import DiskFull, Invalid, NotFound, Unavailable
from modelyard.server.kernel.packs import Packed, Packs
from modelyard.server.kernel.settings import without_secrets

CHUNK = 1 << 20
_HASH = re.compile(r"[0-9a-f]{64}")
# A request that waits for the store is told so after half a minute; its sender tries again.
_RETRY: Any = {"max_retries": 4, "retry_timeout": timedelta(seconds=30)}


class BlobStore(Protocol):
    def put(self, staged: Iterable[tuple[str, Path]]) -> None:
        """Keep each (hash, file) pair durably and take the files away. Content was checked by the caller.

        Raises DiskFull or Unavailable; then some of the pairs may be kept, which does no harm.
        """

    def put_pack(self, file: Path, contents: Sequence[Packed]) -> None:
        """Keep durably the blobs that lie in one staged file, and take the file away. As `put` otherwise."""

    def read(self, hash_: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """The blob's bytes in pieces. Raises NotFound before the first piece."""

    def delete(self, hashes: Sequence[str]) -> None:
        """Forget blobs; not being there is fine."""

    def listed(self, before: float) -> Iterator[tuple[str, int]]:
        """Hash and size of everything kept that was put there before that time, in any order."""

    def compact(self) -> None:
        """Give back what deleted blobs still take up."""

    def staging(self) -> contextlib.AbstractContextManager[Path]:
        """A private directory for files on their way in, gone afterwards."""

    def close(self) -> None:
        """Let go of what is held open."""


def open_store(url: str, staging_root: Path) -> BlobStore:
    """The store behind `file:///…`, `s3://bucket/prefix`, `az://container/prefix` or `gs://bucket/prefix`.

    Query parameters become obstore's configuration, e.g. `s3://b?endpoint=http://127.0.0.1:9000&region=x`; credentials
    come from the usual environment variables. Raises Invalid for anything else, and for a store that does not answer.
    """
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path.startswith("/"):
        return FileBlobs(Path(unquote(parts.path)))
    if parts.scheme in ("s3", "az", "gs", "memory"):
        store = ObjectBlobs(url, staging_root)
        store.check()
        return store
    raise Invalid(
        "bad_blobs_url",
        f"Blob store URL {without_secrets(url)!r} is not supported. Use file:///DIR, s3://…, az://… or gs://….",
    )


@contextlib.contextmanager
def full_disk_is_said(place: str) -> Iterator[None]:
    """Raises DiskFull in place of the system's own error."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(
                "disk_full",
                f"No space left for blobs in {place}. Free some space and try again.",
            ) from error
        raise


class FileBlobs:
    """Large blobs as files `ab/cdef…` under one root, small ones in packs. Files are staged beside them, so a rename
    never crosses devices."""

    def __init__(self, root: Path) -> None:
        self._root = root
        try:
            with full_disk_is_said(str(self._root)):
                (root / "staging").mkdir(parents=True, exist_ok=True)
                self._packs = Packs(root / "packs")
        except (OSError, sqlite3.Error) as error:
            raise Invalid(
                "bad_blobs_url", f"The directory of blobs, {root}, can't be used: {error}"
            ) from error

    def put(self, staged: Iterable[tuple[str, Path]]) -> None:
        with full_disk_is_said(str(self._root)):
            directories: set[Path] = set()
            pairs = list(staged)
            _flush([file for _, file in pairs], self._root)
            for hash_, file in pairs:
                target = self._path(hash_)
                if target.parent not in directories:
                    target.parent.mkdir(exist_ok=True)
                    directories.add(target.parent)
                os.replace(file, target)
            for directory in (*directories, self._root):
                _flush_directory(directory)

    def put_pack(self, file: Path, contents: Sequence[Packed]) -> None:
        with full_disk_is_said(str(self._root)):
            try:
                self._packs.add(file, contents)
            except sqlite3.OperationalError as error:
                if "full" in str(error):
                    raise DiskFull(
                        "disk_full", "No space left for the index of blobs. Free some space and try again."
                    ) from error
                raise Unavailable(
                    "blob_index_unavailable", f"The index of blobs can't be written: {error}"
                ) from error

    def read(self, hash_: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        path, offset, end = self._path(hash_), 0, length
        packed = None if path.exists() else self._packs.find(hash_)
        if packed is not None:
            path, offset, size = packed
            end = max(0, size - start if length is None else min(length, size - start))
        try:
            file = open(path, "rb")  # noqa: SIM115  # closed by the generator below
        except FileNotFoundError:
            if packed is not None and self._packs.find(hash_) not in (None, packed):
                return self.read(hash_, start, length)  # it was copied to another pack just now
            raise NotFound("no_such_blob", f"The yard does not hold blob {hash_}.") from None

        def pieces() -> Iterator[bytes]:
            with file:
                file.seek(offset + start)
                left = end
                while left is None or left > 0:
                    piece = file.read(CHUNK if left is None else min(CHUNK, left))
                    if not piece:
                        return
                    if left is not None:
                        left -= len(piece)
                    yield piece

        return pieces()

    def delete(self, hashes: Sequence[str]) -> None:
        for hash_ in hashes:
            self._path(hash_).unlink(missing_ok=True)
        self._packs.forget(hashes)

    def listed(self, before: float) -> Iterator[tuple[str, int]]:
        for directory in sorted(self._root.glob("[0-9a-f][0-9a-f]")):
            for entry in os.scandir(directory):
                with contextlib.suppress(FileNotFoundError):
                    found = entry.stat()
                    if found.st_mtime < before:
                        yield directory.name + entry.name, found.st_size
        yield from self._packs.listed(before)

    def compact(self) -> None:
        self._packs.compact()

    def close(self) -> None:
        self._packs.close()

    @contextlib.contextmanager
    def staging(self) -> Iterator[Path]:
        with (
            full_disk_is_said(str(self._root)),
            tempfile.TemporaryDirectory(dir=self._root / "staging", ignore_cleanup_errors=True) as directory,
        ):
            yield Path(directory)

    def _path(self, hash_: str) -> Path:
        return self._root / hash_[:2] / hash_[2:]


def _flush(files: list[Path], root: Path) -> None:
    """Put the files' bytes on disk: one syncfs for many where the system has it, else fsync each."""
    if len(files) > 8 and _syncfs is not None:
        fd = os.open(root, os.O_RDONLY)
        try:
            if _syncfs(fd) == 0:
                return
        finally:
            os.close(fd)
    for file in files:
        _flush_directory(file)


def _flush_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


try:
    _syncfs: Any = ctypes.CDLL(None, use_errno=True).syncfs
except (OSError, AttributeError):  # macOS has none
    _syncfs = None


class ObjectBlobs:
    """Blobs as objects `<prefix>/ab/cdef…` in S3, Azure Blob or GCS."""

    def __init__(self, url: str, staging_root: Path) -> None:
        from obstore import store  # heavy, and only yards with an object store need it

        from_url: Any = store.from_url  # its overloads differ by store; ours is any of them
        parts = urlsplit(url)
        config: dict[str, Any] = dict(parse_qsl(parts.query))
        options: dict[str, Any] = {"timeout": "30s", "connect_timeout": "5s"}
        if config.get("endpoint", "").startswith("http://"):
            options["allow_http"] = True
        self._name = without_secrets(url)
        try:
            self._store = from_url(
                parts._replace(query="", netloc=parts.netloc.rpartition("@")[2]).geturl(),
                config=config or None,
                client_options=options,
                retry_config=_RETRY,
            )
        except Exception as error:  # obstore raises its own and plain errors alike for a bad URL or option
            raise Invalid(
                "bad_blobs_url", f"Blob store {self._name!r} can't be used: {_words(error)}"
            ) from error
        self._staging_root = staging_root

    def check(self) -> None:
        """Write, read and remove an object, so that a wrong bucket or key shows now. Raises Invalid."""
        import obstore
        from obstore.exceptions import BaseError

        key = f"checks/{secrets.token_hex(16)}"
        try:
            obstore.put(self._store, key, b"modelyard")
            obstore.get(self._store, key).bytes()
            obstore.delete(self._store, key)
        except (BaseError, OSError) as error:
            raise Invalid(
                "bad_blobs_url",
                f"Blob store {self._name!r} can't be used: {_words(error)} "
                "Check the bucket's name, the endpoint and the credentials.",
            ) from error

    def put(self, staged: Iterable[tuple[str, Path]]) -> None:
        from concurrent.futures import ThreadPoolExecutor  # beside its only use

        with ThreadPoolExecutor(16) as pool:
            for _ in pool.map(lambda pair: self._put_one(*pair), list(staged)):
                pass

    def put_pack(self, file: Path, contents: Sequence[Packed]) -> None:
        from concurrent.futures import ThreadPoolExecutor  # beside its only use

        def put_one(packed: Packed) -> None:
            import obstore

            with _store_problems():
                obstore.put(self._store, self._key(packed.hash), os.pread(fd, packed.size, packed.offset))

        fd = os.open(file, os.O_RDONLY)
        try:
            with ThreadPoolExecutor(16) as pool:
                for _ in pool.map(put_one, contents):
                    pass
        finally:
            os.close(fd)
        file.unlink()

    def _put_one(self, hash_: str, file: Path) -> None:
        import obstore

        with _store_problems():
            obstore.put(self._store, self._key(hash_), file)
        file.unlink()

    def read(self, hash_: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        import obstore

        try:
            if length is not None:
                with _store_problems():
                    piece = (
                        obstore.get_range(self._store, self._key(hash_), start=start, length=length)
                        if length
                        else b""
                    )
                return iter([bytes(piece)])
            options: Any = {"range": {"offset": start}} if start else None
            with _store_problems():
                result = obstore.get(self._store, self._key(hash_), options=options)
        except FileNotFoundError:
            raise NotFound("no_such_blob", f"The yard does not hold blob {hash_}.") from None
        return (bytes(piece) for piece in result.stream(min_chunk_size=CHUNK))

    def close(self) -> None:
        pass

    def delete(self, hashes: Sequence[str]) -> None:
        import obstore

        try:
            with _store_problems():
                obstore.delete(self._store, [self._key(h) for h in hashes])
        except FileNotFoundError:  # Azure stops at one that is not there
            for hash_ in hashes:
                with contextlib.suppress(FileNotFoundError), _store_problems():
                    obstore.delete(self._store, self._key(hash_))

    def listed(self, before: float) -> Iterator[tuple[str, int]]:
        import obstore

        with _store_problems():
            for page in obstore.list(self._store):
                for found in page:
                    hash_ = found["path"].replace("/", "")
                    if _HASH.fullmatch(hash_) and found["last_modified"].timestamp() < before:
                        yield hash_, found["size"]

    def compact(self) -> None:
        """Each blob is an object of its own."""

    @contextlib.contextmanager
    def staging(self) -> Iterator[Path]:
        with full_disk_is_said(str(self._staging_root)):
            self._staging_root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self._staging_root, ignore_cleanup_errors=True) as directory:
                yield Path(directory)

    def _key(self, hash_: str) -> str:
        return f"{hash_[:2]}/{hash_[2:]}"


@contextlib.contextmanager
def _store_problems() -> Iterator[None]:
    from obstore.exceptions import BaseError, NotFoundError

    try:
        yield
    except NotFoundError as error:
        raise FileNotFoundError from error
    except BaseError as error:
        raise Unavailable(
            "blob_store_unavailable", f"The blob store does not answer as it should: {_words(error)}"
        ) from error


def _words(error: Exception) -> str:
    """The sentence of obstore's message, which goes on with its own structures."""
    text = re.sub(r"\s+", " ", str(error).partition("Debug source")[0]).strip()
    # An S3 answer is quoted whole; its own message says it.
    said = re.search(r"<Message>([^<]*)</Message>", text)
    return (said[1] if said else text)[:300].rstrip(".") + "."
