"""A tree as a zip that is made while it is sent: stored, in order, never whole in memory or on disk."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterable, Iterator

from modelyard.wire.artifacts import FileEntry

_FLUSH_BYTES = 1 << 18
_ZIP64_FROM = 1 << 31


class _Sink(io.RawIOBase):
    """Takes what ZipFile writes until it is taken away. Not seekable, so ZipFile puts checksums behind the files."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self.waiting = 0

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]  # ZipFile gives bytes only
        self._pieces.append(bytes(data))
        self.waiting += len(data)
        return len(data)

    def take(self) -> bytes:
        taken = b"".join(self._pieces)
        self._pieces.clear()
        self.waiting = 0
        return taken


def stream(entries: Iterable[FileEntry], read: Callable[[str], Iterator[bytes]]) -> Iterator[bytes]:
    """The zip's bytes in pieces. The same tree gives the same bytes: all times are the zip format's zero, 1980."""
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
        for entry in entries:
            info = zipfile.ZipInfo(entry.path)
            info.external_attr = (0o100755 if entry.executable else 0o100644) << 16
            info.file_size = entry.size
            with archive.open(info, "w", force_zip64=entry.size >= _ZIP64_FROM) as file:
                for piece in read(entry.hash):
                    file.write(piece)
                    if sink.waiting >= _FLUSH_BYTES:
                        yield sink.take()
            if sink.waiting >= _FLUSH_BYTES:
                yield sink.take()
    yield sink.take()
