"""The one way to the database, the same on SQLite and PostgreSQL: one writer thread with group commit, many readers.

`write` returns only after the commit is durable (WAL with synchronous=FULL on SQLite), which is what lets a 2xx
answer mean "on disk". Writers of several processes on one PostgreSQL take turns by a lock in the database, so that a
write may read and then decide on both databases, without a thought for others.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa

from modelyard.server.kernel.db_problems import bad_url, problems, says_try_again
from modelyard.server.kernel.errors import ProblemError, Unavailable

T = TypeVar("T")
Tx = sa.Connection

metadata = sa.MetaData()

_GROUP = 256  # writes per commit at most; one fsync is then shared by all of them
_ATTEMPTS = 5  # of a group that the database broke off in favour of another transaction
_FEW_PAGES, _SOME_PAGES = 64, 256  # not worth giving back; given back in one write, which others wait for
_STOP = object()
_TURN = 7070_0002  # any number, the same in every process: PostgreSQL's key of the lock that writers take
_POSTGRES_SESSION = (
    # A process that vanished with its machine must not keep its turn until TCP gives up, two hours later.
    "SET idle_in_transaction_session_timeout = '60s'",
    "SET lock_timeout = '30s'",
)

_Item = tuple[Callable[[Tx], Any], "Future[Any]"]


class Database:
    """Reads see a snapshot; a write is one transaction, shared with others by group commit where that helps."""

    def __init__(self, url: str, notify: Callable[[set[str]], None] = lambda topics: None) -> None:
        """`notify` is told after each commit which topics changed (see `events.touch`).

        Raises Invalid for a URL that is neither SQLite nor PostgreSQL.
        """
        self.is_sqlite = url.startswith("sqlite:")
        self._file = url.removeprefix("sqlite:///") if self.is_sqlite else ""
        self._listeners = [notify]
        if self.is_sqlite:
            self._reads = _sqlite_engine(url, "BEGIN")
            self._writes = _sqlite_engine(url, "BEGIN IMMEDIATE")
        elif url.startswith(("postgresql:", "postgres:")):
            self._writes = _postgres_engine(url)
            self._reads = self._writes.execution_options(isolation_level="REPEATABLE READ")
        else:
            raise bad_url(url)
        self._held: Tx | None = None  # the writer's connection, between two transactions
        self._queue: queue.Queue[Any] = queue.Queue(maxsize=10_000)
        self._closed = False
        self._thread = threading.Thread(target=self._write_loop, name="database-writer", daemon=True)
        self._thread.start()

    @property
    def engine(self) -> sa.Engine:
        """The writing engine, for migrations only."""
        return self._writes

    @contextlib.contextmanager
    def read(self) -> Iterator[Tx]:
        """A connection inside one read transaction: all its queries see the same state."""
        with problems(self._file), self._reads.connect() as connection:
            yield connection

    def write(self, work: Callable[[Tx], T]) -> T:
        """Run `work` in a transaction and return its result once the commit is on disk.

        `work` does SQL only: no network, no files, no waiting; it may be run again when the database broke the
        transaction off. Whatever it raises undoes its changes alone and is raised here. It must not call `write` itself.
        """
        if self._closed:
            raise _stopping()
        future: Future[T] = Future()
        self._queue.put((work, future))
        return future.result()

    def submit(self, work: Callable[[Tx], T]) -> Future[T]:
        """`write` for who can't wait in a thread: the future has the result, or the error, once it is decided.

        Raises Unavailable instead of waiting for a place in the queue.
        """
        if self._closed:
            raise _stopping()
        future: Future[T] = Future()
        try:
            self._queue.put_nowait((work, future))
        except queue.Full:
            raise Unavailable("yard_is_busy", "Too many writes are waiting. Try again.") from None
        return future

    async def written(self, work: Callable[[Tx], T]) -> T:
        """`write` for handlers that are not in a thread, which saves two of its three changes of thread.

        Raises Unavailable too.
        """
        # Shielded: what was submitted is decided, whether or not somebody still waits for it.
        return await asyncio.shield(asyncio.wrap_future(self.submit(work)))

    def listen(self, listener: Callable[[set[str]], None]) -> None:
        """Tell `listener` too which topics a commit changed, in the writer's thread, before the writes are answered."""
        self._listeners.append(listener)

    def shrink(self) -> None:
        """Give free pages of SQLite's file back, where more than a twentieth of it is free; PostgreSQL has its own way."""
        if self.is_sqlite:
            while self.write(_shrink):
                pass

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._queue.put(_STOP)
        self._thread.join(timeout=30)
        self._reads.dispose()
        self._writes.dispose()

    def _write_loop(self) -> None:
        stopping = False
        while not stopping:
            group = [self._queue.get()]
            while len(group) < _GROUP:
                try:
                    group.append(self._queue.get_nowait())
                except queue.Empty:
                    break
            stopping = _STOP in group
            self._commit_group([item for item in group if item is not _STOP])
        if self._held is not None:
            self._held.close()
        while not self._queue.empty():  # those who asked just before the door closed
            item = self._queue.get_nowait()
            if item is not _STOP:
                item[1].set_exception(_stopping())

    def _commit_group(self, group: list[_Item]) -> None:
        for attempt in range(1, _ATTEMPTS + 1):
            waiting = [(work, future) for work, future in group if not future.done()]
            try:
                done, topics = self._try_group(waiting)
            except (
                BaseException
            ) as error:  # goes to every waiting caller; the writer thread itself must live on
                if attempt < _ATTEMPTS and says_try_again(error):
                    continue
                for _, future in waiting:
                    if not future.done():
                        future.set_exception(error)
                return
            for listener in self._listeners:
                listener(topics)
            for future, result in done:
                future.set_result(result)
            return

    def _try_group(self, group: list[_Item]) -> tuple[list[tuple[Future[Any], Any]], set[str]]:
        """One transaction. Those that fail alone are told at once; what breaks the whole transaction is raised."""
        done: list[tuple[Future[Any], Any]] = []
        topics: set[str] = set()
        with problems(self._file), self._turn() as connection:
            for work, future in group:
                mine: set[str] = set()
                connection.info["topics"] = mine
                try:
                    # Alone in its group a write needs no savepoint: its error rolls back the transaction.
                    with connection.begin_nested() if len(group) > 1 else contextlib.nullcontext():
                        done.append((future, work(connection)))
                    topics |= mine
                except BaseException as error:
                    if len(group) == 1 or isinstance(error, sa.exc.OperationalError):
                        raise
                    try:
                        with problems(self._file):
                            raise error
                    except BaseException as told:
                        future.set_exception(told)
        return done, topics

    @contextlib.contextmanager
    def _turn(self) -> Iterator[Tx]:
        """A transaction on the writer's own connection, which is kept from one to the next until one of them fails."""
        connection = self._begun()
        try:
            yield connection
            connection.commit()
        except BaseException:
            connection.close()
            raise
        self._held = connection

    def _begun(self) -> Tx:
        held, self._held = self._held, None
        if held is not None:
            try:
                self._begin(held)
                return held
            except sa.exc.DBAPIError as error:
                held.close()
                if not error.connection_invalidated:
                    raise
        # The database has restarted, or this is the first time.
        connection = self._writes.connect()
        try:
            self._begin(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _begin(self, connection: Tx) -> None:
        connection.begin()
        if not self.is_sqlite:
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _TURN})


def _stopping() -> Unavailable:
    return Unavailable("yard_is_stopping", "The yard is stopping.")


def _postgres_engine(url: str) -> sa.Engine:
    _, _, rest = url.partition("://")
    try:
        address = sa.make_url(f"postgresql+psycopg://{rest}")
        engine = sa.create_engine(
            address,
            pool_size=20,
            max_overflow=20,
            pool_pre_ping=True,
            json_deserializer=msgspec.json.decode,
            connect_args={"connect_timeout": 10} if "connect_timeout" not in address.query else {},
        )
    except (sa.exc.ArgumentError, ValueError):  # its words may hold the password
        raise bad_url(url) from None

    @sa.event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        connection.autocommit = True
        for statement in _POSTGRES_SESSION:
            connection.execute(statement)
        connection.autocommit = False

    return engine


def _sqlite_engine(url: str, begin: str) -> sa.Engine:
    path = url.removeprefix("sqlite:///")
    if not Path(path).is_absolute():
        raise bad_url(url)  # in memory, or somewhere else with each directory that the yard is started from
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        # Not parsed as a URL: a directory's name may hold any character.
        address = sa.URL.create("sqlite", database=path)
        engine = sa.create_engine(
            address,
            poolclass=sa.QueuePool,
            pool_size=16,
            max_overflow=64,
            json_deserializer=msgspec.json.decode,  # five times as fast as Python's, and a page of runs has 800 of them
        )
    except (OSError, sa.exc.ArgumentError):
        raise bad_url(url) from None

    @sa.event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves; the driver's own idea starts too late
        for pragma in (
            "busy_timeout=30000",
            "auto_vacuum=INCREMENTAL",  # counts for a new file only; see `shrink`
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "cache_size=-16000",
            "wal_autocheckpoint=4000",
            "temp_store=MEMORY",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        with driver(connection) as cursor:
            cursor.execute(begin)

    return engine


class driver:  # noqa: N801  # reads as the function that it is: `with driver(tx) as cursor`
    """A cursor of the driver itself, for statements that run so often that SQLAlchemy's part of them is felt.

    What the driver raises comes as SQLAlchemy would raise it.
    """

    __slots__ = ("_cursor", "_tx")

    def __init__(self, tx: Tx) -> None:
        self._tx = tx

    def __enter__(self) -> Any:
        self._cursor = self._tx.connection.cursor()
        return self._cursor

    def __exit__(self, kind: Any, error: BaseException | None, _trace: Any) -> None:
        self._cursor.close()
        if error is None:
            return
        base = self._tx.dialect.loaded_dbapi.Error
        if isinstance(error, base):
            raise sa.exc.DBAPIError.instance(None, None, error, base, dialect=self._tx.dialect) from error


def _shrink(tx: Tx) -> bool:
    with driver(tx) as cursor:
        free, pages = (
            cursor.execute(f"PRAGMA {name}").fetchone()[0] for name in ("freelist_count", "page_count")
        )
        if free < _FEW_PAGES or free * 20 < pages:
            return False
        cursor.execute(f"PRAGMA incremental_vacuum({_SOME_PAGES})").fetchall()
        return True


def insert(tx: Tx, table: sa.Table) -> Any:
    """An INSERT that knows `on_conflict_do_nothing/update` in the database's own dialect, and counts its rows."""
    statement = _dialect(tx.dialect.name).insert(table)
    # Without this SQLAlchemy tells -1 rows on PostgreSQL, and "did I get it?" would always be no.
    return statement.execution_options(preserve_rowcount=True)


@functools.cache
def _dialect(name: str) -> Any:
    # Only the one in use; the other costs 40 ms at start.
    return importlib.import_module(f"sqlalchemy.dialects.{name}")


__all__ = ["Database", "ProblemError", "Tx", "driver", "insert", "metadata"]
