"""Writes what a query found: JSON rows, CSV, an Arrow IPC stream or Parquet, within limits."""

from __future__ import annotations

import base64
import csv
import datetime
import io
import json
import math
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import IO, Any

import arro3.core as arrow
import arro3.io
import duckdb

from modelyard.server.kernel.queries import Refused

TABLE = "raw.answer"

_ROWS = 10_000  # of one piece of text


class Bounded(io.RawIOBase, IO[bytes]):
    """Passes bytes on to `file` up to a limit. Raises Refused, which is then `refusal` too."""

    def __init__(self, file: IO[bytes], most_bytes: int) -> None:
        self._file = file
        self._most_bytes = most_bytes
        self.refusal: Refused | None = None

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def flush(self) -> None:
        self._file.flush()

    def write(self, data: Any) -> int:
        if self._file.tell() + len(data) > self._most_bytes:
            self.refusal = Refused(
                "answer_too_large",
                f"The answer is over {self._most_bytes / 2**20:.0f} MiB. Select fewer columns, aggregate, or add LIMIT.",
            )
            raise self.refusal
        return self._file.write(data)


def keep(connection: duckdb.DuckDBPyConnection, found: duckdb.DuckDBPyRelation, most_rows: int) -> None:
    """Run the query into the table of its answer, so that it is known to be whole before the first byte goes out, and
    because DuckDB 2.0 crashes when it streams out as Arrow what it streams in from Python. Raises Refused."""
    found.limit(most_rows + 1).create(TABLE)
    if connection.execute(f"SELECT count(*) FROM {TABLE}").fetchall()[0][0] > most_rows:
        raise Refused(
            "answer_too_large",
            f"The answer has more than {most_rows:,} rows. Aggregate, narrow it with WHERE, or add LIMIT.",
        )


def write(connection: duckdb.DuckDBPyConnection, form: str, file: Bounded) -> None:
    """What was kept, in one of the forms. Raises Refused."""
    kept = connection.sql(f"FROM {TABLE}")
    try:
        _WRITERS[form](_plain(kept), file)
    except (
        BaseException
    ) as error:  # arro3 wraps what a file raises, for Parquet in a panic, which is no Exception
        if file.refusal is not None:
            raise file.refusal from error
        raise


def _plain(kept: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
    """Without the types that few readers know: intervals become text, integers of 128 bits those of 64."""
    for name, kind in zip(kept.columns, kept.types, strict=True):
        if "INTERVAL" in str(kind) and str(kind) != "INTERVAL":
            raise Refused("bad_query", f"Column {name!r} has intervals within: cast it to VARCHAR.")
    odd = {"INTERVAL": "VARCHAR", "HUGEINT": "BIGINT", "UHUGEINT": "UBIGINT"}
    kinds = [str(kind) for kind in kept.types]
    if not odd.keys() & set(kinds):
        return kept
    names = ['"' + name.replace('"', '""') + '"' for name in kept.columns]
    return kept.project(
        ", ".join(f"{n}::{odd[k]} AS {n}" if k in odd else n for n, k in zip(names, kinds, strict=True))
    )


def _json(kept: duckdb.DuckDBPyRelation, file: Bounded) -> None:
    """`{"columns": [{"name", "type"}], "rows": [[…], …]}`."""
    columns = [{"name": n, "type": str(t)} for n, t in zip(kept.columns, kept.types, strict=True)]
    file.write(b'{"columns":' + _dumps(columns) + b',"rows":[')
    first = True
    for piece in _pieces(kept):
        text = b",".join(map(_dumps, piece))
        file.write(text if first else b"," + text)
        first = False
    file.write(b"]}")


def _csv(kept: duckdb.DuckDBPyRelation, file: Bounded) -> None:
    """With a line of names; NULL is empty, what is nested is JSON."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(kept.columns)
    for piece in _pieces(kept):
        lines.writerows([_cell(v) for v in row] for row in piece)
        file.write(text.getvalue().encode("utf-8", "replace"))
        text.seek(0)
        text.truncate()
    file.write(text.getvalue().encode("utf-8", "replace"))


def _arrow(kept: duckdb.DuckDBPyRelation, file: Bounded) -> None:
    """Each field's metadata says DuckDB's type as `sql_type`: Arrow has no word for JSON."""
    stream = arrow.RecordBatchReader.from_stream(kept)
    schema = arrow.Schema(
        [stream.schema.field(i).with_metadata({"sql_type": str(kind)}) for i, kind in enumerate(kept.types)]
    )
    batches = (batch.with_schema(schema) for batch in stream)
    arro3.io.write_ipc_stream(arrow.RecordBatchReader.from_batches(schema, batches), file, compression=None)


def _parquet(kept: duckdb.DuckDBPyRelation, file: Bounded) -> None:
    arro3.io.write_parquet(arrow.RecordBatchReader.from_stream(kept), file, compression="zstd(1)")


_WRITERS: dict[str, Callable[[duckdb.DuckDBPyRelation, Bounded], None]] = {
    "json": _json,
    "csv": _csv,
    "arrow": _arrow,
    "parquet": _parquet,
}


def _pieces(kept: duckdb.DuckDBPyRelation) -> Iterator[list[list[Any]]]:
    """Rows of values as JSON says them."""
    readers = [_reader(str(kind)) for kind in kept.types]
    for batch in arrow.RecordBatchReader.from_stream(kept):
        for start in range(0, batch.num_rows, _ROWS):
            piece = batch.slice(start, min(_ROWS, batch.num_rows - start))
            columns = [
                [None if v is None else read(v) for v in column.to_pylist()]
                for column, read in zip(piece.columns, readers, strict=True)
            ]
            yield [list(row) for row in zip(*columns, strict=True)]


def _dumps(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode(
        "utf-8", "replace"
    )


def _value(value: Any) -> Any:
    """As JSON says it: NaN and infinities, times and bytes are texts."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, dict):
        return {str(k): _value(v) for k, v in value.items()}
    if isinstance(value, list):
        if value and isinstance(value[0], tuple):  # a map within something
            return {str(k): _value(v) for k, v in value}
        return [_value(v) for v in value]
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode("ascii")
    return str(value)


def _reader(kind: str) -> Callable[[Any], Any]:
    """What Arrow's own types don't tell: JSON from text, an empty map from an empty list."""
    if kind == "JSON":
        return json.loads
    return (lambda pairs: _value(dict(pairs))) if kind.startswith("MAP(") and kind.endswith(")") else _value


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else value
