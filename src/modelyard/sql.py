"""SQL over everything that a workspace keeps: `ws.sql("SELECT …")`."""

from __future__ import annotations

import json
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Tuple

from modelyard import errors
from modelyard._client import Client
from modelyard.wire.sql import SqlQuery, SqlRows

_TIMEOUT_S = 3600.0  # the yard has a limit of its own, and says so


class SqlResult:
    """The rows of a query: iterate over them, or take them on as pandas or Arrow.

    A row is a tuple, its values in the order of `columns`.
    """

    def __init__(self, columns: List[str], rows: Optional[List[Tuple[Any, ...]]], table: Any = None) -> None:
        self.columns = columns
        self._rows = rows
        self._table = table

    @property
    def rows(self) -> List[Tuple[Any, ...]]:
        """All rows. Times are datetimes in UTC, maps and JSON are dictionaries and lists."""
        if self._rows is None:
            readers = [
                _of_arrow((f.metadata or {}).get(b"sql_type", b"").decode()) for f in self._table.schema
            ]
            columns = [
                [None if value is None else read(value) for value in column.to_pylist()]
                for column, read in zip(self._table.columns, readers)
            ]
            self._rows = list(zip(*columns))
        return self._rows

    def to_dicts(self) -> List[Dict[str, Any]]:
        """Each row as a dictionary."""
        return [dict(zip(self.columns, row)) for row in self.rows]

    def to_arrow(self) -> Any:
        """A `pyarrow.Table`, or an `arro3.core.Table` where only that is installed; both hand their data on without a
        copy to whatever takes Arrow (`__arrow_c_stream__`): polars, DuckDB, pandas. Raises UserErrorException without
        either."""
        if self._table is None:
            raise errors.UserErrorException(
                "to_arrow() needs pyarrow: pip install pyarrow, then run the query again."
            )
        return self._table

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame`. Raises UserErrorException without pandas."""
        try:
            import pandas  # type: ignore[import-not-found, import-untyped, unused-ignore]  # not ours to require
        except ImportError:
            raise errors.UserErrorException("to_pandas() needs pandas: pip install pandas.") from None
        if hasattr(self._table, "to_pandas"):
            return self._table.to_pandas()
        return pandas.DataFrame(self.rows, columns=self.columns)

    def __iter__(self) -> Iterator[Tuple[Any, ...]]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return "SqlResult({} rows of {})".format(len(self), ", ".join(self.columns))


def run(client: Client, address: str, query: str, params: Mapping[str, Any]) -> SqlResult:
    """Ask at once. The answer comes as Arrow where something here can read that, else as JSON."""
    decode = _arrow_decoder()
    if decode is None:
        return of_json(fetch(client, address, query, params, "json"))
    table = decode(fetch(client, address, query, params, "arrow"))
    return SqlResult([field.name for field in table.schema], None, table)


def fetch(client: Client, address: str, query: str, params: Mapping[str, Any], form: str) -> bytes:
    """The answer in one of the forms that the yard has: json, csv, arrow, parquet."""
    body = SqlQuery(query, dict(params), form)
    return client.raw("POST", address, body=body, idempotent=True, timeout_s=_TIMEOUT_S).body


def of_json(content: bytes) -> SqlResult:
    """The result that a yard sent as JSON."""
    from modelyard.wire import codec  # as everything here, only once a query is asked

    found = codec.loads(SqlRows, content)
    readers = [_of_json(column.type) for column in found.columns]
    rows = [
        tuple(None if value is None else read(value) for value, read in zip(row, readers))
        for row in found.rows
    ]
    return SqlResult([column.name for column in found.columns], rows)


def _arrow_decoder() -> Optional[Callable[[bytes], Any]]:
    try:
        from pyarrow import ipc  # type: ignore[import-not-found, import-untyped, unused-ignore]  # if it is there

        return lambda content: ipc.open_stream(content).read_all()
    except ImportError:
        pass
    try:
        import io

        from arro3.io import read_ipc_stream

        return lambda content: read_ipc_stream(io.BytesIO(content)).read_all()
    except ImportError:
        return None


def _of_arrow(kind: str) -> Callable[[Any], Any]:
    """From what an Arrow library gives as Python's to what it is, by DuckDB's type."""
    if kind == "JSON":
        return json.loads
    if kind.startswith("MAP(") and kind.endswith(")"):
        return lambda pairs: {key: _nested(value) for key, value in pairs}
    return _nested if kind.endswith(("]", ")")) else _as_it_is


def _nested(value: Any) -> Any:
    """With the maps within, which Arrow libraries give as lists of pairs."""
    if isinstance(value, dict):
        return {key: _nested(one) for key, one in value.items()}
    if isinstance(value, list):
        if value and isinstance(value[0], tuple):
            return {key: _nested(one) for key, one in value}
        return [_nested(one) for one in value]
    return value


def _as_it_is(value: Any) -> Any:
    return value


def _of_json(kind: str) -> Callable[[Any], Any]:
    """From a value as JSON says it to Python's, by DuckDB's type."""
    if kind in ("DOUBLE", "FLOAT"):
        return float
    if kind.startswith("TIMESTAMP"):
        from datetime import datetime  # only where there are times

        return datetime.fromisoformat
    if kind == "DATE":
        from datetime import date

        return date.fromisoformat
    if kind == "BLOB":
        from base64 import b64decode

        return b64decode
    return _as_it_is
