"""The part of `modelyard doctor` that looks at this home: settings, files, database, blob store, processes."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from modelyard.cli.finding import BROKEN, NOTE, OK, Finding, checked, first_line

_LOW_BYTES = 2 * 1024**3


def findings() -> Iterator[Finding]:
    from modelyard.server.kernel.errors import ProblemError
    from modelyard.server.kernel.settings import load

    try:
        settings, _ = load({})
    except ProblemError as error:
        yield Finding("settings", BROKEN, first_line(error), "mend it there, and look again")
        return
    yield Finding("settings", OK, f"home {settings.home}")
    yield from _home(settings.home)
    yield from _stores(settings)
    yield _database(settings)
    yield _blobs(settings)
    yield from _processes(settings)
    yield _descriptors()


def _home(home: Path) -> Iterator[Finding]:
    if not home.exists():
        yield Finding("home", NOTE, f"{home} does not exist yet", "modelyard up")
        parent = next(p for p in home.parents if p.exists())
        if not os.access(parent, os.W_OK):
            yield Finding(
                "home", BROKEN, f"{parent} can't be written", "choose another with --home or MODELYARD_HOME"
            )
        return
    if not (home.is_dir() and os.access(home, os.W_OK | os.X_OK)):
        yield Finding(
            "home", BROKEN, f"{home} can't be written", "choose another with --home or MODELYARD_HOME"
        )
        return
    free = shutil.disk_usage(home).free
    state = NOTE if free < _LOW_BYTES else OK
    yield Finding(
        "disk", state, f"{free / 1024**3:.1f} GiB free under {home}", "make room" if state == NOTE else ""
    )
    for name in ("owner.token", "node/node.token"):
        file = home / name
        if file.exists() and stat.S_IMODE(file.stat().st_mode) & 0o077:
            yield Finding(name, BROKEN, f"{file} is readable by others", f"chmod 600 {file}")


def _stores(settings: Any) -> Iterator[Finding]:
    from modelyard.server.serve.home import other_stores

    note = other_stores(settings.home, settings.stores)
    if note:
        yield Finding("stores", NOTE, note, "give up the same flags, or write them into config.toml")


def _database(settings: Any) -> Finding:
    import sqlite3

    if not settings.database or settings.database.startswith("sqlite:"):
        file = Path(settings.database_url.removeprefix("sqlite:///"))
        if not file.exists() or not file.stat().st_size:
            return Finding("database", OK, "SQLite; made at the first start")
        mend = f"stop the yard, keep a copy of {file}, and restore a backup"
        return checked("database", lambda: _look_into(file), mend, (sqlite3.Error, ValueError))
    import sqlalchemy as sa

    from modelyard.server.kernel.db import Database
    from modelyard.server.kernel.errors import ProblemError

    def connect() -> str:
        db = Database(settings.database, lambda _topics: None)
        try:
            with db.read() as tx:
                tx.execute(sa.text("SELECT 1"))
                schema = None
                if sa.inspect(tx).has_table("alembic_version"):
                    schema = tx.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
            return f"PostgreSQL answers, {_schema(schema)}"
        finally:
            db.close()

    mend = "check the URL (modelyard config show --origin) and that the server runs"
    return checked(
        "database", connect, mend, (sa.exc.SQLAlchemyError, ProblemError, OSError, ImportError, ValueError)
    )


def _look_into(file: Path) -> str:
    import sqlite3

    connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=5)
    try:
        answer = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        version = None
        if (
            answer == "ok"
            and connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
        ):
            version = connection.execute("SELECT max(version_num) FROM alembic_version").fetchone()[0]
        schema = _schema(version)
    finally:
        connection.close()
    if answer != "ok":
        raise ValueError(f"{file} is damaged: {answer}")
    return f"SQLite, {file.stat().st_size / 1024**2:.1f} MiB, sound, {schema}"


def _schema(version: str | None) -> str:
    """Which schema it is. Raises ValueError for one that a newer modelyard wrote: schemas count upward."""
    from modelyard.server.migrations import HEAD

    if version is not None and version > HEAD:
        raise ValueError(
            f"a newer modelyard wrote it (schema {version}, this one knows {HEAD}); start that one"
        )
    if version is None:
        return "without a schema yet"
    return f"schema {version}" + ("" if version == HEAD else f", brought to {HEAD} when the yard starts")


def _blobs(settings: Any) -> Finding:
    if not settings.blobs or settings.blobs.startswith("file:"):
        return Finding("blobs", OK, "files in the home" if not settings.blobs else settings.blobs)
    from modelyard.server.kernel.blobs import open_store
    from modelyard.server.kernel.errors import ProblemError

    def look() -> str:
        open_store(settings.blobs, settings.home / "staging")
        return f"{settings.blobs.partition('?')[0]} can be opened"

    mend = "check the URL (modelyard config show --origin) and the credentials in it"
    return checked("blobs", look, mend, (ProblemError, ValueError, OSError))


def _processes(settings: Any) -> Iterator[Finding]:
    import socket

    from modelyard.cli.yard import _health
    from modelyard.server.serve import home as homes
    from modelyard.server.serve import processes
    from modelyard.server.serve.local_agent import agent_process

    record = homes.read_record(settings.home)
    if record is None or not record.is_alive:
        detail = (
            "does not run" if record is None else f"does not run (it was killed; pid {record.pid} is gone)"
        )
        yield Finding("yard", NOTE, detail, "modelyard up --detach")
        with socket.socket() as probe:
            taken = settings.port and probe.connect_ex((settings.host, settings.port)) == 0
        if taken:
            detail = f"port {settings.port} on {settings.host} is taken by another program"
            yield Finding("port", BROKEN, detail, "modelyard up --port 0, or another port")
        return
    if _health(record.url).get("status") == "ok":
        yield Finding("yard", OK, f"{record.url}, pid {record.pid}, version {record.version}")
    else:
        log = settings.home / "logs" / "yard.log"
        yield Finding(
            "yard",
            BROKEN,
            f"{record.url} does not answer (pid {record.pid})",
            f"look into {log}; modelyard down",
        )
    pid, start = agent_process(settings.home)
    if processes.is_alive(pid, start):
        yield Finding("agent", OK, f"pid {pid}")
    else:
        log = settings.home / "node" / "logs" / "agent.log"
        yield Finding("agent", BROKEN, "does not run: queued runs wait", f"look into {log}")


def _descriptors() -> Finding:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= 1024:
        return Finding("open files", OK, f"up to {soft}")
    return Finding("open files", NOTE, f"only {soft} at once (hard limit {hard})", "ulimit -n 4096")
