"""Reads a file of a workspace: all that the file says of itself is checked before a row of it is believed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from modelyard.server.artifacts.extract import Archive
from modelyard.server.artifacts.transfer import BLOBS
from modelyard.server.kernel.transfer import FileTable, Kind, bad_file, refuse
from modelyard.server.transfer import manifest as members
from modelyard.server.transfer.manifest import Manifest

_TYPES = {
    Kind.INTEGER: "BIGINT",
    Kind.FLOAT: "DOUBLE",
    Kind.BOOLEAN: "BOOLEAN",
    Kind.TEXT: "VARCHAR",
    Kind.JSON: "VARCHAR",
}
_AT_ONCE = 500  # rows that are in memory together
_MEMORY = "512MB"
_MAX_TEXT = 64 << 20


class WorkspaceFile:
    """What slices read from: `kernel.transfer.In`. Its tables lie in `directory` while it is open.

    Raises Invalid or TooLarge for a file that is no whole export, in words about what is wrong with it.
    """

    def __init__(self, file: Path, directory: Path, tables: Iterable[FileTable]) -> None:
        self._directory = directory
        self._tables = {table.name: table for table in tables}
        self._archive = Archive(file, members.is_member)
        self.trees: set[str] = set()
        try:
            self.manifest = self._read_manifest()
            self._sizes = self._archive.sizes()
            self._extract_tables()
            self._connection = self._open_tables()
            self.blobs: Mapping[str, int] = self._check_blobs()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> WorkspaceFile:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if hasattr(self, "_connection"):
            self._connection.close()
        self._archive.close()

    def rows(self, table: FileTable) -> Iterator[tuple[Any, ...]]:
        for part in self._parts(table):
            cursor = self._connection.cursor()
            cursor.execute(f"SELECT {_columns(table)} FROM read_parquet(?)", [str(part)])  # noqa: S608  # names of our own tables
            while rows := cursor.fetchmany(_AT_ONCE):
                yield from rows
            cursor.close()

    def arrays(self, table: FileTable) -> Iterator[dict[str, Any]]:
        wanted = ", ".join(
            f'coalesce("{name}", 0) AS "{name}", "{name}" IS NOT NULL AS "{name}_known"'
            if kind is Kind.INTEGER
            else f'coalesce("{name}", \'NaN\'::DOUBLE) AS "{name}"'
            for name, kind in table.columns.items()
        )
        for part in self._parts(table):
            cursor = self._connection.cursor()
            cursor.execute(f"SELECT {wanted} FROM read_parquet(?)", [str(part)])  # noqa: S608  # names of our own tables
            found = cursor.fetchnumpy()
            cursor.close()
            if len(next(iter(found.values()))):
                yield found

    def count(self, table: FileTable) -> int:
        return self.manifest.rows(table.name)

    def blob(self, hash_: str) -> Iterator[bytes]:
        return self._archive.pieces(members.blob_name(hash_))

    def verify_blobs(self) -> None:
        """Read every blob. An import needs no such pass: it hashes each before it keeps it."""
        for hash_ in self.blobs:
            found = hashlib.sha256()
            for piece in self.blob(hash_):
                found.update(piece)
            if found.hexdigest() != hash_:
                refuse(f"Blob {hash_} has other bytes than its name says.")

    def _read_manifest(self) -> Manifest:
        if self._archive.sizes().get(members.MANIFEST, 0) > members.MAX_MANIFEST_BYTES:
            refuse(f"Its {members.MANIFEST} is larger than {members.MAX_MANIFEST_BYTES} bytes.")
        try:
            text = b"".join(self._archive.pieces(members.MANIFEST))
            head = msgspec.json.decode(text)
            if not isinstance(head, dict) or head.get("format") != members.FORMAT:
                refuse("It is no export of a workspace.")
            if head.get("version") != members.VERSION:
                refuse(
                    f"It has format version {head.get('version')!r}; this modelyard reads {members.VERSION}. Import it with "
                    f"the modelyard that wrote it ({str(head.get('modelyard'))[:40]}) or a newer one."
                )
            return msgspec.json.decode(text, type=Manifest)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise bad_file(f"Its {members.MANIFEST} can't be read: {error}.") from error

    def _extract_tables(self) -> None:
        found = {name for name in self._sizes if members.table_of(name)}
        for name in sorted(found ^ set(self.manifest.parts)):
            refuse(f"{name[:200]!r} is {'not in its manifest' if name in found else 'missing'}.")
        (self._directory / "tables").mkdir(exist_ok=True)
        for name, part in self.manifest.parts.items():
            if part.table != members.table_of(name) or part.table not in self._tables:
                refuse(f"It has a table {part.table[:80]!r}, which this modelyard does not know.")
            digest = hashlib.sha256()
            with open(self._directory / name, "wb") as file:
                for piece in self._archive.pieces(name):
                    file.write(piece)
                    digest.update(piece)
            if digest.hexdigest() != part.sha256 or self._sizes[name] != part.bytes:
                refuse(f"{name!r} is not what its manifest says: it was changed or damaged.")

    def _open_tables(self) -> Any:
        import duckdb  # heavy, and only an import needs it

        connection = duckdb.connect(
            ":memory:",
            config={
                "memory_limit": _MEMORY,
                "threads": 1,  # so that rows keep their order without being gathered
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
            },
        )
        place = str(self._directory).replace("'", "''")
        connection.execute(
            f"SET allowed_directories = ['{place}']"
        )  # of all files, only those extracted just now
        connection.execute("SET enable_external_access = false")
        try:
            for table in self._tables.values():
                for part in self._parts(table):
                    self._check_part(connection, table, part)
        except duckdb.Error as error:
            connection.close()
            raise bad_file(
                f"A table in it is no Parquet file that can be read: {str(error)[:200]}."
            ) from error
        except BaseException:
            connection.close()
            raise
        return connection

    def _check_part(self, connection: Any, table: FileTable, part: Path) -> None:
        said = self.manifest.parts[f"tables/{part.name}"].rows
        counted = "SELECT sum(num_rows)::BIGINT FROM parquet_file_metadata(?)"
        rows = connection.execute(counted, [str(part)]).fetchone()[0]
        if rows != said or rows > members.MAX_PART_ROWS:
            refuse(
                f"{part.name!r} has {rows} rows, not the {said} it should have ({members.MAX_PART_ROWS} at most)."
            )
        described = connection.execute("DESCRIBE SELECT * FROM read_parquet(?)", [str(part)]).fetchall()
        types = {name: type_ for name, type_, *_ in described}
        wanted = {name: _TYPES[kind] for name, kind in table.columns.items()}
        if types != wanted:
            wrong = min(set(types.items()) ^ set(wanted.items()))[0]
            refuse(
                f"Column {wrong[:80]!r} of {part.name!r} is {types.get(wrong, 'missing')}, and should be "
                f"{wanted.get(wrong, 'left out')}."
            )
        texts = [f'strlen("{name}")' for name, kind in table.columns.items() if _TYPES[kind] == "VARCHAR"]
        if texts:
            longest = ", ".join(f"coalesce(max({text}), 0)" for text in texts)
            found = connection.execute(f"SELECT greatest({longest}, 0) FROM read_parquet(?)", [str(part)])  # noqa: S608  # as above
            if found.fetchone()[0] > _MAX_TEXT:
                refuse(f"{part.name!r} holds a text of more than {_MAX_TEXT} bytes.")

    def _check_blobs(self) -> dict[str, int]:
        given = {members.hash_of(name): size for name, size in self._sizes.items() if members.hash_of(name)}
        said = dict(self.rows(BLOBS))
        if said != given or (len(said), sum(said.values())) != (
            self.manifest.blob_count,
            self.manifest.blob_bytes,
        ):
            missing = next((h for h in {**said, **given} if said.get(h) != given.get(h)), "")
            refuse(
                f"Its blobs are not those it lists{f': {str(missing)[:80]} is missing or of another size' if missing else ''}."
            )
        return said

    def _parts(self, table: FileTable) -> list[Path]:
        return [
            self._directory / name
            for name in sorted(self.manifest.parts)
            if members.table_of(name) == table.name
        ]


def _columns(table: FileTable) -> str:
    return ", ".join(f'"{name}"' for name in table.columns)
