"""The one safe extractor: a zip from anybody, looked at whole before a byte of it is used, and never unpacked by its names.

What a member may be is said by the caller; here is what no archive may be: a member twice, a path that leads somewhere, a link,
encrypted, or far larger than the bytes that came.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import NoReturn

from modelyard.server.kernel.blobs import CHUNK
from modelyard.server.kernel.errors import Invalid, TooLarge
from modelyard.wire.trees import path_problem

MAX_MEMBERS = 5_000_000
_MAX_RATIO = 200  # of what comes out to what came in; text deflates to a hundredth at best
_ROOM_BYTES = 64 << 20  # what any archive may unpack to
_KINDS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_LINK = 0o120000


class Archive:
    """A zip on disk whose members have been checked; opened as a context. Raises Invalid or TooLarge, saying why."""

    def __init__(self, file: Path, expected: Callable[[str], bool]) -> None:
        """`expected` says whether a member of this name belongs in such an archive."""
        self._file = open(file, "rb")  # noqa: SIM115  # closed with the archive, whoever still reads a member
        try:
            self._zip = zipfile.ZipFile(self._file)
            self._members = _checked(self._zip.infolist(), file.stat().st_size, expected)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, UnicodeDecodeError) as error:
            self._file.close()
            raise _broken(str(error)) from error
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._zip.close()
        self._file.close()

    def sizes(self) -> dict[str, int]:
        """Name -> size of each member, in the order of the archive."""
        return {name: info.file_size for name, info in self._members.items()}

    def pieces(self, name: str) -> Iterator[bytes]:
        """A member's bytes. Raises Invalid when it is not there, or is not what the archive says of it."""
        info = self._members.get(name)
        if info is None:
            _refuse(f"it has no {name!r}")
        left = info.file_size
        try:
            with self._zip.open(info) as member:
                while piece := member.read(CHUNK):
                    left -= len(piece)
                    if left < 0:
                        _refuse(f"{name!r} is longer than it says")
                    yield piece
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError) as error:
            raise _broken(f"{name}: {error}") from error
        if left:
            _refuse(f"{name!r} is shorter than it says")


def _checked(
    infos: list[zipfile.ZipInfo], size: int, expected: Callable[[str], bool]
) -> dict[str, zipfile.ZipInfo]:
    if len(infos) > MAX_MEMBERS:
        raise TooLarge(
            "archive_too_large", f"The archive has {len(infos)} members; at most {MAX_MEMBERS} are read."
        )
    found: dict[str, zipfile.ZipInfo] = {}
    packed = unpacked = 0
    for info in infos:
        name = info.filename
        problem = path_problem(name)
        if problem:
            _refuse(f"the path {name[:200]!r} {problem}")
        if name in found:
            _refuse(f"{name!r} is in it twice")
        if (info.external_attr >> 16) & 0o170000 == _LINK:
            _refuse(f"{name!r} is a link")
        if info.flag_bits & 0x1:
            _refuse(f"{name!r} is encrypted")
        if info.compress_type not in _KINDS:
            _refuse(f"{name!r} is compressed in a way other than deflate")
        if not expected(name):
            _refuse(f"{name[:200]!r} does not belong in it")
        _check_growth(repr(name), info.compress_size, info.file_size)
        found[name] = info
        packed += info.compress_size
        unpacked += info.file_size
    if packed > size:
        _refuse(f"its members would take {packed} bytes and it has {size}")
    _check_growth("The archive", size, unpacked)
    return found


def _check_growth(what: str, packed: int, unpacked: int) -> None:
    limit = _ROOM_BYTES + packed * _MAX_RATIO
    if unpacked > limit:
        raise TooLarge(
            "archive_too_large",
            f"{what} has {packed} bytes and would unpack to {unpacked}; at most {limit} are read.",
        )


def _refuse(why: str) -> NoReturn:
    raise Invalid("bad_archive", f"The archive can't be read: {why}.")


def _broken(why: str) -> Invalid:
    return Invalid(
        "bad_archive", f"The archive can't be read: it is no whole zip file ({why[:300]}). Was it cut short?"
    )
