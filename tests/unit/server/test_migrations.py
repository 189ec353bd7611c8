"""The schema's steps: today's tables come of them, old content is read, and an interrupted upgrade is simply done again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from old_yard import FILE, LOG, SOURCE, make_old
from whole_yard import W, WholeYard, emptied, open_yard

from modelyard.server.kernel.db import Database
from modelyard.server.kernel.errors import Conflict
from modelyard.server.migrations import HEAD, migrate
from modelyard.server.migrations.schema import whole


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database; what is made of its schema is gone before other tests use PostgreSQL."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'yard.db'}"
        return
    service: Callable[[str], str] = request.getfixturevalue("service")
    yield emptied(service("postgresql"))
    emptied(service("postgresql"))


def revision(db: Database) -> Any:
    with db.read() as tx:
        return tx.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()


def tables(db: Database) -> dict[str, set[str]]:
    with db.read() as tx:
        look = sa.inspect(tx)
        return {name: {c["name"] for c in look.get_columns(name)} for name in look.get_table_names()}


def test_the_steps_make_todays_tables(url: str) -> None:
    db = Database(url)
    migrate(db)
    with db.read() as tx:
        assert compare_metadata(MigrationContext.configure(tx), whole()) == []
    db.close()


def test_what_the_first_schema_kept_is_read_whole(url: str, tmp_path: Path) -> None:
    make_old(url, tmp_path)
    yard = open_yard(tmp_path, database=url)
    try:
        with yard.yard.db.read() as tx:
            assert compare_metadata(MigrationContext.configure(tx), whole()) == []
        _check(yard)
    finally:
        yard.yard.close()


def _check(yard: WholeYard) -> None:
    assert yard.ids() == {"iris_1", "iris_2", "iris_3"}
    assert yard.ids("?tag=lr%3D2") == {"iris_2"}
    found = yard.call(
        "POST", f"{W}/runs/search", {"filter": "tags.lr > '1' and metrics.loss > 5", "order_by": []}
    )
    assert {r["run"]["id"] for r in found["items"]} == {"iris_2", "iris_3"}
    run = yard.call("GET", f"{W}/runs/iris_1")
    assert (run["params"], run["spec"]["arguments"], run["deleted_at"]) == ({}, ["--lr", "0.1"], None)
    metrics = {
        m["name"]: m["value"] for m in yard.call("GET", f"{W}/runs/iris_1/metrics")["runs"][0]["metrics"]
    }
    assert metrics == {"loss": [1.5, 2.5, 3.5, 4.5, 5.5], "table": [1, "x"]}
    points = yard.call("GET", f"{W}/runs/iris_1/metrics/loss/points")
    assert (points["steps"], points["times_ms"][-1]) == ([0, 1, 2, 3, 4], 5000)
    assert yard.raw(f"{W}/runs/iris_1/files/outputs/a.bin") == FILE
    assert yard.raw(f"{W}/runs/iris_1/logs/user_logs/std.txt?offset=0") == LOG
    assert yard.raw(f"{W}/snapshots/{run['snapshot_id']}/files/train.py") == SOURCE
    assert yard.raw(f"{W}/models/churn/versions/latest/files/model.bin") == FILE
    assert yard.raw(f"{W}/datastores/workspaceblobstore/files/data/a.bin") == FILE
    assert yard.call("GET", f"{W}/experiments/iris")["run_count"] == 3
    # And it goes on: one more run, one into the trash and back.
    yard.run("new", experiment="iris")
    yard.call("DELETE", f"{W}/runs/iris_2")
    assert yard.call("POST", f"{W}/trash/restore", {"id": "iris_2"})["runs"] == 1
    assert yard.ids() == {"iris_1", "iris_2", "iris_3", "new"}


class Broken(Exception):
    pass


def _failing_at(db: Database, number: int) -> Iterator[int]:
    """Raise at the `number`th statement of an upgrade; yields, and then tells how many there were."""
    seen = [0]

    def before(*_arguments: Any) -> None:
        seen[0] += 1
        if seen[0] == number:
            raise Broken

    sa.event.listen(db.engine, "before_cursor_execute", before)
    yield 0
    sa.event.remove(db.engine, "before_cursor_execute", before)
    yield seen[0]


def test_an_upgrade_that_breaks_off_anywhere_leaves_all_as_it_was_and_is_done_again(
    url: str, tmp_path: Path
) -> None:
    make_old(url, tmp_path)
    db = Database(url)
    before = tables(db)
    number, step = 3, 6
    while True:
        breaking = _failing_at(db, number)
        next(breaking)
        try:
            migrate(db)
        except Broken:
            next(breaking)
            assert revision(db) == "0001"
            assert tables(db) == before
        else:
            assert next(breaking) < number
            break
        number += step
    assert number > 60  # it broke off in many places
    assert revision(db) == HEAD
    with db.read() as tx:
        assert compare_metadata(MigrationContext.configure(tx), whole()) == []
        if db.is_sqlite:
            assert tx.execute(sa.text("PRAGMA foreign_key_check")).all() == []
            assert tx.execute(sa.text("PRAGMA foreign_keys")).scalar() == 1
    db.close()


def test_a_copy_is_made_before_an_upgrade_or_it_is_said_how(
    url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_old(url, tmp_path)
    db = Database(url)
    with caplog.at_level("INFO"):
        migrate(db, copies=tmp_path)
    copy = tmp_path / ("yard.db.before-0002" if db.is_sqlite else "yard.before-0002.dump")
    assert str(copy) in caplog.text
    assert copy.stat().st_mode & 0o077 == 0
    if db.is_sqlite:
        old = Database(f"sqlite:///{copy}")
        assert revision(old) == "0001"
        old.close()
    else:
        assert copy.read_bytes()[:5] == b"PGDMP"
        with db.engine.begin() as connection:
            connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
        with pytest.raises(Conflict, match="newer version wrote it"):
            migrate(db)
    db.close()
