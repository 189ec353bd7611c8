"""Writes the tables of a file of a workspace as Parquet, in parts of bounded size."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from modelyard.server.artifacts import archive
from modelyard.server.kernel.blobs import CHUNK
from modelyard.server.kernel.transfer import FileTable, Kind
from modelyard.server.transfer.manifest import (
    MANIFEST,
    MAX_PART_ROWS,
    Manifest,
    Part,
    blob_name,
    part_name,
)
from modelyard.wire.artifacts import FileEntry

_PART_ROWS = MAX_PART_ROWS // 4
_PART_BYTES = 32 << 20  # of text
_COMPRESSION = "zstd(1)"


class Tables:
    """What slices write to: `kernel.transfer.Out`. Everything lies in a directory of its own until the file is sent."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        (directory / "tables").mkdir()
        (directory / "content").mkdir()
        self.blobs: dict[str, int] = {}
        self.trees: set[str] = set()
        self.run_ids: set[str] = set()
        self.parts: dict[str, Part] = {}
        self._waiting: dict[str, _Rows | _Arrays] = {}
        self._contents = 0

    def rows(self, table: FileTable, rows: Iterable[Sequence[Any]]) -> None:
        waiting = self._waiting.get(table.name)
        if waiting is None:
            waiting = self._waiting[table.name] = _Rows(table)
        assert isinstance(waiting, _Rows)
        for row in rows:
            waiting.add(row)
            if waiting.is_full:
                self._write(table)
                waiting = self._waiting[table.name] = _Rows(table)

    def arrays(self, table: FileTable, arrays: Mapping[str, Any]) -> None:
        count = len(next(iter(arrays.values())))
        for start in range(0, count, _PART_ROWS):
            waiting = self._waiting.get(table.name)
            if waiting is None:
                waiting = self._waiting[table.name] = _Arrays(table)
            assert isinstance(waiting, _Arrays)
            waiting.add({name: values[start : start + _PART_ROWS] for name, values in arrays.items()})
            if waiting.is_full:
                self._write(table)
                del self._waiting[table.name]

    def content(self, pieces: Iterable[bytes]) -> tuple[str, int]:
        """Bytes that are no blob of the yard become one of the file."""
        self._contents += 1
        part = self._directory / "content" / f"{self._contents}.part"
        found, size = hashlib.sha256(), 0
        with open(part, "wb") as file:
            for piece in pieces:
                file.write(piece)
                found.update(piece)
                size += len(piece)
        os.replace(part, self._content(found.hexdigest()))
        return found.hexdigest(), size

    def finish(self, tables: Iterable[FileTable]) -> None:
        """Write what is waiting; a table without rows has a part without rows."""
        for table in tables:
            if table.name in self._waiting:
                self._write(table)
            elif not any(part.table == table.name for part in self.parts.values()):
                self._waiting[table.name] = _Rows(table)
                self._write(table)
        self._waiting.clear()

    def read(self, member_or_hash: str) -> Iterator[bytes] | None:
        """The bytes of a part or of a content; None for what is not here."""
        path = self._content(member_or_hash)
        if member_or_hash in self.parts:
            path = self._directory / member_or_hash
        return _pieces(path) if path.exists() else None

    def _content(self, hash_: str) -> Path:
        return self._directory / "content" / hash_.rpartition("/")[2]

    def _write(self, table: FileTable) -> None:
        import arro3.core as arrow  # heavy, and only an export needs them
        import arro3.io

        waiting = self._waiting[table.name]
        number = sum(part.table == table.name for part in self.parts.values())
        name = part_name(table.name, number)
        schema = arrow.Schema([arrow.Field(column, _type(kind)) for column, kind in table.columns.items()])
        batch = arrow.RecordBatch.from_arrays(waiting.columns(), schema=schema)
        path = self._directory / name
        arro3.io.write_parquet(
            arrow.RecordBatchReader.from_batches(schema, [batch]), str(path), compression=_COMPRESSION
        )
        found = hashlib.sha256()
        for piece in _pieces(path):
            found.update(piece)
        self.parts[name] = Part(table.name, waiting.count, path.stat().st_size, found.hexdigest())


def zip_pieces(
    manifest: Manifest, tables: Tables, read_blob: Callable[[str], Iterator[bytes]]
) -> Iterator[bytes]:
    """The whole file in pieces, made while it is sent."""
    head = manifest.encode()
    entries = [
        FileEntry(MANIFEST, MANIFEST, len(head)),
        *(FileEntry(name, name, part.bytes) for name, part in manifest.parts.items()),
        *(FileEntry(blob_name(hash_), hash_, size) for hash_, size in sorted(tables.blobs.items())),
    ]

    def read(what: str) -> Iterator[bytes]:
        if what == MANIFEST:
            return iter([head])
        return tables.read(what) or read_blob(what)

    return archive.stream(entries, read)


class _Rows:
    """Rows of a table until they are written."""

    def __init__(self, table: FileTable) -> None:
        self._table = table
        self._rows: list[Sequence[Any]] = []
        self._bytes = 0

    @property
    def count(self) -> int:
        return len(self._rows)

    @property
    def is_full(self) -> bool:
        return len(self._rows) >= _PART_ROWS or self._bytes >= _PART_BYTES

    def add(self, row: Sequence[Any]) -> None:
        self._rows.append(row)
        self._bytes += sum(len(value) for value in row if isinstance(value, str))

    def columns(self) -> list[Any]:
        import arro3.core as arrow  # as above

        values = zip(*self._rows, strict=True) if self._rows else ([] for _ in self._table.columns)
        return [
            arrow.Array(list(column), _type(kind))
            for column, kind in zip(values, self._table.columns.values(), strict=True)
        ]


class _Arrays:
    """Rows of numbers until they are written. Only a column that lacks some knows which."""

    def __init__(self, table: FileTable) -> None:
        self._table = table
        self._parts: list[Mapping[str, Any]] = []
        self.count = 0

    @property
    def is_full(self) -> bool:
        return self.count >= _PART_ROWS

    def add(self, arrays: Mapping[str, Any]) -> None:
        self._parts.append(arrays)
        self.count += len(next(iter(arrays.values())))

    def columns(self) -> list[Any]:
        import arro3.core as arrow  # as above
        import numpy

        found = []
        for name, kind in self._table.columns.items():
            values = numpy.concatenate([part[name] for part in self._parts])
            known = [part[f"{name}_known"] for part in self._parts if f"{name}_known" in part]
            if known and not (has := numpy.concatenate(known)).all():
                some = [v if k else None for v, k in zip(values.tolist(), has.tolist(), strict=True)]
                found.append(arrow.Array(some, _type(kind)))
            else:
                found.append(arrow.Array.from_numpy(values))
        return found


def _type(kind: Kind) -> Any:
    from arro3.core import DataType  # as above

    return {
        Kind.INTEGER: DataType.int64, Kind.FLOAT: DataType.float64, Kind.BOOLEAN: DataType.bool,
    }.get(kind, DataType.utf8)()  # fmt: skip


def _pieces(path: Path) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while piece := file.read(CHUNK):
            yield piece
