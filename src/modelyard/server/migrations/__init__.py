"""The schema's one linear history, and how a yard brings its database up to it.

Rules for a new step: expand now, contract a release later; a step runs in one transaction, so that an interrupted one
leaves the database as it was; it imports no table definitions of today, because those will change under it.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from modelyard.server.kernel.db import Database
from modelyard.server.kernel.errors import Conflict
from modelyard.server.migrations import backup

if TYPE_CHECKING:
    from alembic.config import Config

log = logging.getLogger(__name__)

_HISTORY = Path(__file__).parent

# The newest step; a test holds it against the files in versions/. Known here so that a start with an up-to-date
# database need not load Alembic (0.2 s).
HEAD = "0002"

_LOCK = (
    7070_0001  # any number, the same in every process: one of several starting yards migrates, the rest wait
)


def migrate(db: Database, history: Path = _HISTORY, head: str = HEAD, copies: Path | None = None) -> None:
    """Bring the schema to this version's state. Raises Conflict for a database written by a newer modelyard.

    What is there is copied first: an SQLite file beside itself, PostgreSQL to `copies` where pg_dump is there. `history`
    holds env.py and versions/.
    """
    now = _revision(db)
    if now == head:
        return
    from alembic import command  # see HEAD
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    config = configuration(history)
    known = {step.revision for step in ScriptDirectory.from_config(config).walk_revisions()}
    if now in known:
        log.info(
            "the database is at schema %s and is brought to %s. %s", now, head, backup.copy(db, head, copies)
        )
    with _schema_change(db) as connection:
        if not db.is_sqlite:
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        now = _revision_on(connection)
        if now is not None and now not in known:
            raise Conflict(
                "database_is_newer",
                f"The database is at schema {now}, which this modelyard (schema {head}) does not know: a newer version "
                "wrote it. Start that version, or restore the backup made before the upgrade.",
            )
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise Conflict(
                "migration_failed", f"The database can't be brought to schema {head}: {error}"
            ) from error
    if now is not None:
        log.info("the database is at schema %s now", head)


@contextlib.contextmanager
def _schema_change(db: Database) -> Iterator[sa.Connection]:
    """One transaction for all steps. SQLite copies a table for what ALTER TABLE can't do, and dropping the original must
    not be taken for a deletion of its rows, hence no foreign keys; the rule can't change inside a transaction."""
    with db.engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        if db.is_sqlite:
            driver.execute("PRAGMA foreign_keys=OFF")
        try:
            with connection.begin():
                yield connection
        finally:
            if db.is_sqlite and not connection.invalidated:
                driver.execute("PRAGMA foreign_keys=ON")


def configuration(history: Path = _HISTORY) -> Config:
    from alembic.config import Config  # see HEAD

    config = Config()
    config.set_main_option("script_location", str(history).replace("%", "%%"))
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    config.set_main_option("path_separator", "os")
    return config


def _revision(db: Database) -> str | None:
    with db.read() as tx:
        return _revision_on(tx)


def _revision_on(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
