"""Answers queries in SQL, each in a process of its own, which can harm nothing and is ended when it takes too long."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

from modelyard.server.kernel.db import Database
from modelyard.server.kernel.errors import Invalid, ProblemError, TooLarge, Unavailable
from modelyard.server.kernel.settings import Settings
from modelyard.server.sql import texts
from modelyard.server.sql.catalog import VIEWS
from modelyard.wire.sql import SqlQuery, SqlSchema, SqlView, SqlViewColumn

FORMATS = ("json", "csv", "arrow", "parquet")
MAX_ROWS = 1_000_000
MAX_ANSWER_BYTES = 256 * 2**20
_MAX_QUERY = 100_000  # characters
_AT_ONCE = 4
_WAITING = 8  # more would take the threads that other requests are answered by
# What Python and the driver of PostgreSQL need; a query's process gets nothing else of the yard's environment.
_VARIABLES = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "PYTHONHOME", "PYTHONPATH", "TMPDIR", "TZ")


@dataclass(frozen=True)
class Answer:
    """`file` holds the whole answer, at its beginning."""

    file: IO[bytes]
    size_bytes: int


class Running:
    """A query that is being answered, for whoever may want to end it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self.is_cancelled = False
        self.took_too_long = False

    def began(self, process: subprocess.Popen[bytes]) -> None:
        with self._lock:
            self._process = process
            if self.is_cancelled:
                process.kill()

    def cancel(self) -> None:
        with self._lock:
            self.is_cancelled = True
            if self._process is not None:
                self._process.kill()

    def time_is_up(self) -> None:
        self.took_too_long = True
        self.cancel()


class SqlService:
    def __init__(self, db: Database, settings: Settings, patience_s: float = 10.0) -> None:
        """`patience_s`: how long a query waits for one of those that run to end."""
        self._db = db
        self._settings = settings
        self._patience_s = patience_s
        self._places = threading.BoundedSemaphore(_AT_ONCE + _WAITING)
        self._seats = threading.BoundedSemaphore(_AT_ONCE)

    def schema(self) -> SqlSchema:
        """The views and their columns."""
        return SqlSchema(
            [
                SqlView(v.name, v.meaning, [SqlViewColumn(c.name, c.type, c.meaning) for c in v.columns])
                for v in VIEWS
            ]
        )

    def answer(self, workspace_id: str, body: SqlQuery, running: Running) -> Answer:
        """Run a query to its end. Raises Invalid for one that can't be, TooLarge for what is over a limit, Unavailable
        when too many are running."""
        if body.format not in FORMATS:
            raise Invalid("bad_format", f"format is {body.format[:40]!r}; it is one of {', '.join(FORMATS)}.")
        if len(body.query) > _MAX_QUERY:
            raise TooLarge("query_too_large", f"The query has more than {_MAX_QUERY:,} characters.")
        with _taken(self._places, 0), _taken(self._seats, self._patience_s):
            return self._answer(self._request(workspace_id, body), running)

    def _answer(self, request: dict[str, Any], running: Running) -> Answer:
        # A file without a name, so nothing is left of it whatever happens.
        file = tempfile.TemporaryFile(dir=self._settings.home)  # noqa: SIM115  # the answer is read from it later
        try:
            told, code = self._run(request, running, file)
            if running.took_too_long:
                raise TooLarge(
                    "query_too_long",
                    f"The query took longer than {self._settings.sql_time_s:g} seconds and was ended. Narrow it with "
                    "WHERE, or raise the setting sql_time_s.",
                )
            if running.is_cancelled:
                raise Unavailable("query_cancelled", "The query was cancelled.")
            if code != 0:
                raise _problem(told, code)
            size_bytes = file.seek(0, os.SEEK_END)
            file.seek(0)
        except BaseException:
            file.close()
            raise
        return Answer(file, size_bytes)

    def _run(self, request: dict[str, Any], running: Running, file: IO[bytes]) -> tuple[bytes, int]:
        """What the process said and its exit code."""
        environment = {n: v for n, v in os.environ.items() if n in _VARIABLES or n.startswith("PG")}
        with subprocess.Popen(
            [sys.executable, "-P", "-m", "modelyard.server.sql.process"],
            stdin=subprocess.PIPE, stdout=file, stderr=subprocess.PIPE, env=environment, cwd="/",
        ) as process:  # fmt: skip
            timer = threading.Timer(self._settings.sql_time_s, running.time_is_up)
            timer.daemon = True
            timer.start()
            try:
                running.began(process)
                assert process.stdin is not None
                assert process.stderr is not None
                try:
                    process.stdin.write(json.dumps(request).encode() + b"\n")
                    process.stdin.flush()  # and stays open: the process ends when it closes, with the yard
                except BrokenPipeError:
                    pass  # it has ended already, and says why
                told = process.stderr.read()
                return told, process.wait()
            finally:
                timer.cancel()
                process.kill()

    def _request(self, workspace_id: str, body: SqlQuery) -> dict[str, Any]:
        url = self._settings.database_url
        return {
            "views": texts.of_workspace(workspace_id, self._db.is_sqlite),
            "query": body.query,
            "params": body.params,
            "format": body.format,
            "file": url.removeprefix("sqlite:///") if self._db.is_sqlite else "",
            "url": "" if self._db.is_sqlite else url,
            "time_s": self._settings.sql_time_s,
            "memory_bytes": self._settings.sql_memory_mib * 2**20,
            "answer_bytes": MAX_ANSWER_BYTES,
            "answer_rows": MAX_ROWS,
        }


@contextlib.contextmanager
def _taken(seats: threading.BoundedSemaphore, patience_s: float) -> Iterator[None]:
    if not seats.acquire(timeout=patience_s):
        raise Unavailable(
            "too_many_queries",
            f"{_AT_ONCE} queries are running already. Try again when one of them has ended.",
        )
    try:
        yield
    finally:
        seats.release()


def _problem(told: bytes, code: int) -> ProblemError:
    """From the last line of what the process said."""
    lines = told.decode("utf-8", "replace").strip().splitlines()
    try:
        said = json.loads(lines[-1])
        name, detail = said["code"], said["detail"]
    except (IndexError, ValueError, KeyError, TypeError):
        name, detail = "", ""
    if name in ("query_too_large", "answer_too_large"):
        return TooLarge(name, detail)
    if name == "database_unavailable":
        return Unavailable(name, detail)
    if name:
        return Invalid(name, detail)
    why = f"signal {-code}" if code < 0 else f"exit code {code}: {lines[-1][:500] if lines else ''}"
    return TooLarge(
        "query_failed",
        f"The process that answered the query ended by {why}. Narrow the query; the yard is unharmed.",
    )
