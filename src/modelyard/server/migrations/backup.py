"""The copy of a database that is made before its schema changes."""

from __future__ import annotations

import glob
import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa

from modelyard.server.kernel.db import Database
from modelyard.server.kernel.errors import DiskFull

_DEBIAN = "/usr/lib/postgresql/*/bin/pg_dump"  # not on the PATH there
_BY_HAND = (
    "No copy was made ({why}); the upgrade is one transaction, so a failed one changes nothing. To be able to go back to an "
    "older modelyard, stop the yard and run: pg_dump --format=custom --file=yard.dump DATABASE_URL"
)


def copy(db: Database, head: str, directory: Path | None) -> str:
    """Make a copy and tell, in a sentence, where it is or how to make one. Raises DiskFull for SQLite."""
    if db.is_sqlite:
        return f"A copy of it is in {_copy_sqlite(db, head)}."
    return _dump_postgres(db, head, directory)


def _copy_sqlite(db: Database, head: str) -> Path:
    """Copy the file, as it is at this moment, to `<file>.before-<head>`."""
    source = Path(db.engine.url.database or "")
    target = source.with_name(f"{source.name}.before-{head}")
    part = target.with_name(target.name + ".part")
    part.unlink(missing_ok=True)
    try:
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT, 0o600))
        with closing(sqlite3.connect(source)) as here, closing(sqlite3.connect(part)) as there:
            here.backup(there)
            there.execute("PRAGMA journal_mode=DELETE")
        os.replace(part, target)
    except (OSError, sqlite3.OperationalError) as error:
        part.unlink(missing_ok=True)
        raise DiskFull(
            "no_backup",
            f"The copy of the database that is made before an upgrade can't be written to {target}: {error}. It needs "
            f"{source.stat().st_size:,} bytes. Nothing was changed.",
        ) from error
    return target


def _dump_postgres(db: Database, head: str, directory: Path | None) -> str:
    """Dump to `<directory>/yard.before-<head>.dump`, where there is a pg_dump that fits the server."""
    program = shutil.which("pg_dump") or next(iter(sorted(glob.glob(_DEBIAN), reverse=True)), None)
    if program is None or directory is None:
        return _BY_HAND.format(why="pg_dump is not installed here")
    target = directory / f"yard.before-{head}.dump"
    part = target.with_name(target.name + ".part")
    address = db.engine.url.set(drivername="postgresql")
    try:
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
        subprocess.run(
            [program, "--format=custom", f"--file={part}", _without_password(address)],
            env={**os.environ, **({"PGPASSWORD": str(address.password)} if address.password else {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
        )
        os.replace(part, target)
    except (OSError, subprocess.CalledProcessError) as error:
        part.unlink(missing_ok=True)
        said = getattr(error, "stderr", "") or str(error)
        return _BY_HAND.format(why=f"pg_dump failed: {' '.join(said.split())[:300]}")
    return f"A copy of it is in {target}; pg_restore reads it."


def _without_password(address: sa.URL) -> str:
    """Other users of this machine see a program's arguments."""
    return address._replace(password=None).render_as_string(hide_password=False)
