"""SHA-256 of files, remembered by what stat says of them, so that an unchanged file is not read again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import threading
import time
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

# A file changed twice within one tick of its file system's clock has the same times both times. Two seconds is the
# coarsest clock in use (FAT); a file younger than that when it was read is hashed again next time.
_GRANULARITY_NS = 2_000_000_000
_THREADED_BYTES = 8 << 20
_THREADS = 2
_READ_BYTES = 1 << 20
_MAX_DIRECTORIES = 200  # cache files kept; the oldest go first

_local = threading.local()

Stat = Tuple[str, int, int, int]  # file, size, mtime_ns, inode


class Hashes:
    """The hashes of some files: those known at once, the others as they are read."""

    def __init__(self, files: Sequence[Stat], directory: str) -> None:
        """`directory` is where they are looked for together; each has a memory of its own."""
        self._files = files
        self._cache_file = _cache_file(directory)
        self._cache = _load(self._cache_file)
        get = self._cache.get
        self._known = [_known(get(f[0]), f) for f in files]

    @property
    def unknown_bytes(self) -> int:
        return sum(f[1] for f, hash_ in zip(self._files, self._known) if hash_ is None)

    def __iter__(self) -> Iterator[str]:
        """Each file's SHA-256, in order; while one is waited for, those behind it are read already.

        Raises OSError for a file that can't be read.
        """
        if None not in self._known:
            for hash_ in self._known:
                yield hash_ or ""
            return
        started_ns = time.time_ns()
        done: List[str] = []
        with contextlib.ExitStack() as stack:
            new = _hash_all(
                [f[0] for f, h in zip(self._files, self._known) if h is None], self.unknown_bytes, stack
            )
            for hash_ in self._known:
                done.append(hash_ or next(new))
                yield done[-1]
        _save(self._cache_file, self._cache, self._files, done, started_ns)

    def forget(self) -> None:
        """Some file changed behind its times' back: hash all anew next time."""
        with contextlib.suppress(OSError):
            os.unlink(self._cache_file)


def sha256_file(file: str) -> str:
    """The SHA-256 of one file in lower-case hex. Raises OSError."""
    digest = hashlib.sha256()
    buffer = _buffer()
    with open(file, "rb", buffering=0) as stream:
        while True:
            size = stream.readinto(buffer)
            if not size:
                return digest.hexdigest()
            digest.update(buffer[:size])


def _buffer() -> memoryview:
    """This thread's own; a fresh megabyte for every small file costs more than its hash."""
    view = getattr(_local, "view", None)
    if view is None:
        view = _local.view = memoryview(bytearray(_READ_BYTES))
    return view


def _hash_all(paths: List[str], size_bytes: int, stack: contextlib.ExitStack) -> Iterator[str]:
    if size_bytes < _THREADED_BYTES or len(paths) < _THREADS:
        return map(sha256_file, paths)
    # hashlib lets go of the interpreter while it works. Imported here: most submits have little to hash.
    from concurrent.futures import ThreadPoolExecutor

    pool = ThreadPoolExecutor(_THREADS)
    stack.callback(pool.shutdown)
    return pool.map(sha256_file, paths)


def _known(entry: Any, file: Stat) -> Optional[str]:
    if (
        isinstance(entry, list)
        and len(entry) == 4
        and (entry[1], entry[2], entry[0]) == (file[2], file[3], file[1])
    ):
        return str(entry[3])
    return None


def _save(
    cache_file: str, cache: Dict[str, Any], files: Sequence[Stat], done: List[str], started_ns: int
) -> None:
    sure = {
        f[0]: [f[1], f[2], f[3], hash_]
        for f, hash_ in zip(files, done)
        if f[2] < started_ns - _GRANULARITY_NS or _known(cache.get(f[0]), f) == hash_
    }
    temporary = ""
    try:  # a cache that can't be written costs time, never the submit
        os.makedirs(os.path.dirname(cache_file), mode=0o700, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=os.path.dirname(cache_file), suffix=".new")
        with os.fdopen(handle, "w", encoding="ascii") as stream:
            stream.write(json.dumps(sure, separators=(",", ":")))
        os.replace(temporary, cache_file)
        _trim(os.path.dirname(cache_file))
    except OSError:
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def _load(cache_file: str) -> Dict[str, Any]:
    try:
        with open(cache_file, encoding="ascii") as stream:
            value = json.loads(stream.read())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _cache_file(directory: str) -> str:
    name = hashlib.sha256(directory.encode("utf-8", "surrogateescape")).hexdigest()[:32] + ".json"
    return os.path.join(_cache_directory(), name)


def _cache_directory() -> str:
    home = os.environ.get("MODELYARD_HOME")
    if home:
        return os.path.join(os.path.expanduser(home), "cache", "stat")
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(cache, "modelyard", "stat")


def _trim(directory: str) -> None:
    files = [entry for entry in os.scandir(directory) if entry.name.endswith(".json")]
    if len(files) > _MAX_DIRECTORIES:
        files.sort(key=lambda entry: entry.stat().st_mtime_ns)
        for entry in files[:-_MAX_DIRECTORIES]:
            os.unlink(entry.path)
