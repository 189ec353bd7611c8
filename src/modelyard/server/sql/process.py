"""The process that answers one query and ends: `python -m modelyard.server.sql.process`, one line of JSON on stdin.

It may do nothing but read the database, in a transaction that sees one state, and write its answer to stdout, which is a
file. What goes wrong is one line of JSON on stderr. It ends when stdin does: with whoever asked.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import threading
from collections.abc import Mapping
from typing import Any

import duckdb

from modelyard.server.kernel.queries import Refused
from modelyard.server.sql import answer, plan
from modelyard.server.sql.plan import RAW
from modelyard.server.sql.sources import DatabaseProblem, PostgresReader, SqliteReader, ViewStream

_BESIDE_DUCKDB_BYTES = 1536 * 2**20  # address space of Python, its libraries, stacks, and pieces on their way
_THREADS = 2

# How a column of the database becomes what people see of it.
_CONVERSIONS = {
    "TIMESTAMP": ("DOUBLE", "make_timestamp(round({} * 1e6)::BIGINT)"),
    "MAP(VARCHAR, VARCHAR)": ("VARCHAR", "{}::JSON::MAP(VARCHAR, VARCHAR)"),
    "JSON": ("VARCHAR", "{}::JSON"),
}


def main() -> int:
    request = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_the_asker, daemon=True).start()
    _bound(request)
    try:
        _answer(request)
    except Refused as refused:
        _tell(refused.code, refused.detail)
        return 1
    except (duckdb.OutOfMemoryException, MemoryError):
        _tell(
            "query_too_large",
            f"The query needs more than {request['memory_bytes'] / 2**20:.0f} MiB of memory. Narrow it with WHERE, select "
            "fewer columns, or aggregate before joining and sorting.",
        )
        return 1
    except DatabaseProblem as problem:
        _tell("database_unavailable", f"The yard's database does not answer the query: {problem}. Try again.")
        return 1
    except duckdb.Error as error:
        _tell("bad_query", plan.without_kind(str(error)))
        return 1
    return 0


def _end_with_the_asker() -> None:
    os.read(0, 1)  # not by sys.stdin, whose lock would keep this process from ending
    os._exit(1)


def _bound(request: Mapping[str, Any]) -> None:
    """The kernel's own limits, should DuckDB's not hold."""
    limits = (
        (resource.RLIMIT_AS, request["memory_bytes"] + _BESIDE_DUCKDB_BYTES),
        (resource.RLIMIT_FSIZE, request["answer_bytes"]),
        (resource.RLIMIT_CORE, 0),
    )
    for limit, most in limits:
        resource.setrlimit(limit, (most, most))


def _tell(code: str, detail: str) -> None:
    sys.stderr.write(json.dumps({"code": code, "detail": detail}) + "\n")


def _answer(request: Mapping[str, Any]) -> None:
    views, query, params = request["views"], request["query"], request["params"]
    connection = _connect(request)
    for view in views:
        _define(connection, view)
    needs = plan.needs(connection, plan.check(connection, query, params, [v["name"] for v in views]))
    reader = (
        SqliteReader(request["file"])
        if request["file"]
        else PostgresReader(request["url"], request["time_s"])
    )
    streams = {name: ViewStream(reader, physical(views, name), need) for name, need in needs.items()}
    for name, stream in streams.items():
        _fill(connection, physical(views, name), stream)
    connection.execute("SET lock_configuration = true")
    try:
        answer.keep(connection, connection.sql(query, params=params or None), request["answer_rows"])
    except Exception as error:
        # Whatever a stream raised comes out of DuckDB as an error of DuckDB's; the first one says it better.
        for stream in streams.values():
            if stream.failure is not None:
                raise stream.failure from error
        raise
    file = answer.Bounded(sys.stdout.buffer, request["answer_bytes"])
    answer.write(connection, request["format"], file)
    file.flush()


def _connect(request: Mapping[str, Any]) -> duckdb.DuckDBPyConnection:
    """An empty database in memory that reaches nothing else."""
    return duckdb.connect(
        ":memory:",
        config={
            "enable_external_access": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "python_enable_replacements": False,
            "temp_directory": "",
            "memory_limit": f"{request['memory_bytes']}B",
            "threads": _THREADS,
        },
    )


def physical(views: list[Any], name: str) -> dict[str, Any]:
    """The view with the types that its columns have in the database."""
    view = next(v for v in views if v["name"] == name)
    return {**view, "columns": [(n, _CONVERSIONS.get(t, (t,))[0]) for n, t in view["columns"]]}


def _define(connection: duckdb.DuckDBPyConnection, view: Mapping[str, Any]) -> None:
    """The view, over an empty table."""
    name = _quoted(view["name"])
    if view["query"]:
        connection.execute(f"CREATE VIEW {name} AS {view['query']}")
        return
    columns = [(_quoted(n), *_CONVERSIONS.get(t, (t, "{}"))) for n, t in view["columns"]]
    made = [f"{conversion.format(n)} AS {n}" for n, _, conversion in columns]
    connection.execute(
        f"CREATE SCHEMA IF NOT EXISTS {RAW}; "
        f"CREATE TABLE {RAW}.{name} ({', '.join(f'{n} {kind}' for n, kind, _ in columns)}); "
        f"CREATE VIEW {name} AS SELECT {', '.join(made)} FROM {RAW}.{name}"
    )


def _fill(connection: duckdb.DuckDBPyConnection, view: Mapping[str, Any], stream: ViewStream) -> None:
    """In place of the empty table what is read of the database; columns that nobody asks for are NULL."""
    name, source = _quoted(view["name"]), f"{RAW} {view['name']}"
    connection.register(source, stream)
    columns = [
        _quoted(n) if n in stream.columns else f"NULL::{kind} AS {_quoted(n)}" for n, kind in view["columns"]
    ]
    connection.execute(
        f"DROP TABLE {RAW}.{name}; CREATE VIEW {RAW}.{name} AS SELECT {', '.join(columns)} FROM {_quoted(source)}"
    )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


if __name__ == "__main__":
    sys.exit(main())
