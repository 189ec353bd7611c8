"""Reads rows of the database for a query, as streams of Arrow: one transaction, a piece at a time."""

from __future__ import annotations

import importlib
import math
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import arro3.core as arrow

from modelyard.server.sql.plan import Condition, Need

_ROWS = 20_000  # of one piece

Rows = list[tuple[Any, ...]]

ARROW = {
    "VARCHAR": arrow.DataType.string(),
    "BIGINT": arrow.DataType.int64(),
    "DOUBLE": arrow.DataType.float64(),
    "BOOLEAN": arrow.DataType.bool(),
}


class DatabaseProblem(Exception):
    """The database does not answer; what it said."""


class SqliteReader:
    """One read transaction of its own on the file of a yard that may be writing to it."""

    mark = "?"

    def __init__(self, file: str) -> None:
        try:
            # DuckDB pulls from threads of its own, one at a time.
            self._connection = sqlite3.connect(
                f"file:{quote(file)}?mode=ro", uri=True, isolation_level=None, check_same_thread=False
            )
            for statement in ("PRAGMA temp_store = MEMORY", "BEGIN", "SELECT 1 FROM sqlite_master"):
                self._connection.execute(statement).fetchall()
        except sqlite3.Error as error:
            raise DatabaseProblem(str(error)) from error

    def fetch(self, statement: str, values: Sequence[Any]) -> Iterator[Rows]:
        try:
            cursor = self._connection.execute(statement, values)
            while rows := cursor.fetchmany(_ROWS):
                yield rows
        except sqlite3.Error as error:
            raise DatabaseProblem(str(error)) from error


class PostgresReader:
    """One read-only transaction, which sees one state of the database."""

    mark = "%s"

    def __init__(self, url: str, time_s: float) -> None:
        import psycopg  # only where the yard's database is PostgreSQL

        self._problems = psycopg.Error
        try:
            self._connection = psycopg.connect(url, connect_timeout=10, autocommit=True)
            # A process that was killed must not leave the database at work.
            self._connection.execute(f"SET statement_timeout = {math.ceil(time_s * 1000)}")
        except psycopg.Error as error:
            raise DatabaseProblem(str(error)) from error
        self._connection.autocommit = False
        self._connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        self._connection.read_only = True
        self._cursors = 0

    def fetch(self, statement: str, values: Sequence[Any]) -> Iterator[Rows]:
        self._cursors += 1
        try:
            with self._connection.cursor(f"rows_{self._cursors}") as cursor:
                cursor.execute(statement.encode(), values)
                while rows := cursor.fetchmany(_ROWS):
                    yield rows
        except self._problems as error:
            raise DatabaseProblem(str(error)) from error


Reader = SqliteReader | PostgresReader


class SourceScan:
    """One source of a view, as one query needs it: a `kernel.queries.Scan`."""

    def __init__(self, reader: Reader, source: Mapping[str, Any], wanted: Sequence[str], need: Need) -> None:
        self._reader = reader
        self._source = source
        self._any_of = need.any_of
        self.wanted = list(wanted)

    def rows(self, columns: Sequence[str]) -> Iterator[Rows]:
        where, values = self._where()
        return self._reader.fetch(_select(columns, self._source["rows"]["text"]) + where, values)

    def more(self, name: str, columns: Sequence[str], key: str, among: Sequence[Any]) -> Iterator[Rows]:
        marks = ", ".join([self._reader.mark] * len(among))
        text = _select(columns, self._source["more"][name]["text"])
        return self._reader.fetch(f"{text} WHERE {_quoted(key)} IN ({marks})", among)

    def _where(self) -> tuple[str, list[Any]]:
        values: list[Any] = []
        alternatives = []
        for conditions in self._any_of:
            known = [c for c in conditions if c.column in self._source["rows"]["columns"]]
            if not known:
                return "", []
            alternatives.append(" AND ".join(_condition(c, self._reader.mark) for c in known))
            values += [value for c in known for value in c.values]
        return (f" WHERE ({') OR ('.join(alternatives)})" if alternatives else ""), values


class ViewStream:
    """The rows of a view to whoever takes Arrow by PyCapsule; each time from the beginning."""

    def __init__(self, reader: Reader, view: Mapping[str, Any], need: Need) -> None:
        kinds = dict(view["columns"])
        # Somebody who only counts rows needs one column of them.
        self.columns = [name for name in kinds if name in need.columns] or [next(iter(kinds))]
        self._types = [ARROW[kinds[name]] for name in self.columns]
        self._schema = arrow.Schema(
            [arrow.Field(n, t, nullable=True) for n, t in zip(self.columns, self._types, strict=True)]
        )
        self._scans = [(SourceScan(reader, s, self.columns, need), s["reader"]) for s in view["sources"]]
        self.failure: BaseException | None = None

    def __arrow_c_schema__(self) -> object:
        return self._schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        stream = arrow.RecordBatchReader.from_batches(self._schema, self._batches())
        return stream.__arrow_c_stream__(requested_schema)

    def _batches(self) -> Iterator[arrow.RecordBatch]:
        try:
            for scan, reader in self._scans:
                if reader:
                    module, _, function = reader.partition(":")
                    for batch in getattr(importlib.import_module(module), function)(scan):
                        yield self._batch([batch[name] for name in self.columns])
                else:
                    for rows in scan.rows(self.columns):
                        yield self._batch(list(zip(*rows, strict=True)))
        except BaseException as error:
            self.failure = error  # DuckDB tells only its words
            raise

    def _batch(self, columns: Sequence[Any]) -> arrow.RecordBatch:
        arrays = [_array(column, kind) for column, kind in zip(columns, self._types, strict=True)]
        return arrow.RecordBatch.from_arrays(arrays, schema=self._schema)


def _array(values: Any, kind: arrow.DataType) -> arrow.Array:
    if isinstance(values, arrow.Array):
        return values
    if kind == ARROW["BOOLEAN"]:
        values = [None if v is None else bool(v) for v in values]  # SQLite keeps 0 and 1
    return arrow.Array(list(values), kind)


def _select(columns: Sequence[str], text: str) -> str:
    return f"SELECT {', '.join(map(_quoted, columns))} FROM ({text}) AS source"


def _condition(condition: Condition, mark: str) -> str:
    marks = ", ".join([mark] * len(condition.values))
    return f"{_quoted(condition.column)} {condition.operator} " + (
        f"({marks})" if condition.operator == "IN" else marks
    )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
