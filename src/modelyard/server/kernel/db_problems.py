"""What a database says, in the words of the yard's own family of errors. Never with a password in them."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import sqlalchemy as sa

from modelyard.server.kernel.errors import DiskFull, Invalid, ProblemError, Unavailable

# PostgreSQL's states: a serialization failure and a deadlock; the transaction may simply be run again.
_TRY_AGAIN = frozenset({"40001", "40P01"})
_FORBIDDEN = "42501"
_LOCKED = "55P03"
_FULL_STATES = frozenset({"53100"})
_DAMAGED_WORDS = ("file is not a database", "is malformed")
_FULL_WORDS = ("disk is full", "No space left", "disk I/O error")


@contextlib.contextmanager
def problems(file: str = "") -> Iterator[None]:
    """Raise what the database raised as one of the yard's problems. `file`: the database's, where it is one."""
    try:
        yield
    except sa.exc.DataError as error:
        raise _unfit(error) from error
    except OverflowError as error:
        if "SQLite" not in str(error):
            raise
        raise _unfit(error) from error
    except (sa.exc.OperationalError, sa.exc.InternalError) as error:
        raise _broken(error) from error
    except sa.exc.ProgrammingError as error:
        if _state(error) != _FORBIDDEN:
            raise
        raise Unavailable(
            "database_forbids", f"The yard's user may not do this in the database: {_one_line(error)}"
        ) from error
    except sa.exc.DatabaseError as error:
        if not any(words in str(error.orig) for words in _DAMAGED_WORDS):
            raise
        raise Unavailable(
            "database_damaged",
            f"The yard's database {file} is damaged ({_one_line(error)}). Put a backup in its place; or move it away "
            "with its -wal and -shm files, and the yard starts empty.",
        ) from error
    except sa.exc.TimeoutError as error:
        raise Unavailable("database_busy", "All database connections are busy. Try again.") from error


def says_try_again(error: BaseException) -> bool:
    """Whether the database broke the transaction off in favour of another one."""
    cause = error.__cause__ if isinstance(error, ProblemError) else error
    return isinstance(cause, sa.exc.DBAPIError) and _state(cause) in _TRY_AGAIN


def bad_url(url: str) -> Invalid:
    """Names the scheme only: the rest may hold a password."""
    scheme = url.partition(":")[0]
    if scheme in ("postgresql", "postgres"):
        return Invalid(
            "bad_database_url",
            "The PostgreSQL URL can't be understood. It is postgresql://USER:PASSWORD@HOST:PORT/NAME, with every "
            "'@', ':' and '/' inside the password written as %40, %3A and %2F.",
        )
    if scheme == "sqlite":
        return Invalid(
            "bad_database_url",
            "The SQLite file can't be opened. It is sqlite:////DIRECTORY/FILE, with four slashes.",
        )
    return Invalid(
        "bad_database_url",
        f"Database URL {scheme[:40]!r}://… is not supported. Use sqlite:///FILE or postgresql://USER@HOST/NAME.",
    )


def _unfit(error: Exception) -> Invalid:
    text = _one_line(error)
    if "NUL" in text or "0x00" in text:
        return Invalid("bad_text", "A text holds a NUL character (U+0000), which can't be kept.")
    if "too large" in text or "out of range" in text:
        return Invalid("bad_number", "A number is too large to be kept: whole numbers have at most 64 bits.")
    return Invalid("bad_value", f"A value can't be kept: {text}")


def _broken(error: sa.exc.DBAPIError) -> ProblemError:
    text = _one_line(error)
    if _state(error) in _FULL_STATES or any(words in text for words in _FULL_WORDS):
        return DiskFull(
            "disk_full",
            f"The yard's database can't grow: {text}. Free some space; nothing was half-written.",
        )
    if _state(error) == _LOCKED:
        return Unavailable("database_busy", "Another process has held the database for long. Try again.")
    return Unavailable("database_unavailable", f"The database does not answer: {text}")


def _state(error: sa.exc.DBAPIError) -> str:
    return str(getattr(error.orig, "sqlstate", "") or "")


def _one_line(error: Exception) -> str:
    """The driver's own words, which tell host and user but no password, without SQL and values."""
    text = str(error.orig if isinstance(error, sa.exc.DBAPIError) else error)
    return re.sub(r"\s+", " ", text).strip()[:500]
