from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from modelyard.server.kernel.db import Database, driver, insert
from modelyard.server.kernel.errors import Conflict, DiskFull, Invalid, Unavailable

table = sa.Table(
    "things", sa.MetaData(), sa.Column("name", sa.String, primary_key=True), sa.Column("n", sa.Integer)
)


@pytest.fixture(params=["sqlite", "postgresql"])
def db(request: pytest.FixtureRequest, tmp_path: Path, service: Callable[[str], str]) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path / 'x.db'}" if request.param == "sqlite" else service("postgresql")
    db = Database(url)
    table.create(db.engine, checkfirst=True)
    db.write(lambda tx: tx.execute(sa.delete(table)))
    yield db
    table.drop(db.engine)
    db.close()


def names(db: Database) -> set[str]:
    with db.read() as tx:
        return {row.name for row in tx.execute(sa.select(table))}


def add(db: Database, name: str) -> None:
    db.write(lambda tx: tx.execute(sa.insert(table).values(name=name, n=0)))


def test_a_write_is_seen_by_the_next_read(db: Database) -> None:
    add(db, "a")
    assert names(db) == {"a"}


def test_a_write_that_raises_leaves_nothing_and_raises_to_its_caller(db: Database) -> None:
    def work(tx: sa.Connection) -> None:
        tx.execute(sa.insert(table).values(name="half", n=0))
        raise Conflict("no", "no")

    with pytest.raises(Conflict):
        db.write(work)
    assert names(db) == set()


def test_concurrent_writes_share_commits_and_a_failing_one_fails_alone(db: Database) -> None:
    start = threading.Barrier(16)
    refused: list[str] = []

    def one(i: int) -> None:
        start.wait()
        for k in range(10):
            try:
                if k % 3 == 2:
                    db.write(
                        lambda tx: (tx.execute(sa.insert(table).values(name=f"bad-{i}-{k}", n=0)), 1 / 0)
                    )
                else:
                    add(db, f"{i}-{k}")
            except ZeroDivisionError:
                refused.append(f"{i}-{k}")

    threads = [threading.Thread(target=one, args=(i,)) for i in range(16)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(refused) == 16 * 3
    assert names(db) == {f"{i}-{k}" for i in range(16) for k in range(10) if k % 3 != 2}


def test_topics_are_told_after_the_commit_and_only_then(tmp_path: Path) -> None:
    told: list[set[str]] = []
    db = Database(f"sqlite:///{tmp_path / 'x.db'}", told.append)
    table.create(db.engine)

    def work(tx: sa.Connection) -> None:
        tx.execute(sa.insert(table).values(name="a", n=0))
        tx.info["topics"].add("things")
        assert told == []

    db.write(work)
    assert told == [{"things"}]
    db.close()


def test_insert_on_conflict_is_spelled_for_the_database_at_hand(db: Database) -> None:
    for n in (1, 2):
        db.write(
            lambda tx, n=n: tx.execute(
                insert(tx, table)
                .values(name="a", n=n)
                .on_conflict_do_update(index_elements=["name"], set_={"n": n})
            )
        )
    with db.read() as tx:
        assert tx.execute(sa.select(table.c.n)).scalar_one() == 2


def test_a_nul_and_a_number_beyond_64_bits_are_refused_in_words(db: Database) -> None:
    if not db.is_sqlite:  # SQLite keeps a NUL as any other character
        with pytest.raises(Invalid, match="NUL"):
            add(db, "a\0b")
        with pytest.raises(Invalid, match="NUL"), db.read() as tx:
            tx.execute(sa.select(table).where(table.c.name == "a\0b"))
    with pytest.raises(Invalid, match="too large"):
        db.write(lambda tx: tx.execute(sa.insert(table).values(name="a", n=2**64)))
    add(db, "after")
    assert names(db) == {"after"}


def test_writers_of_two_processes_take_turns(service: Callable[[str], str]) -> None:
    """Each write reads a number and stores the next; a lost turn would lose one."""
    databases = [Database(service("postgresql")) for _ in range(2)]
    table.create(databases[0].engine, checkfirst=True)
    databases[0].write(lambda tx: tx.execute(sa.insert(table).values(name="count", n=0)))

    def count(tx: sa.Connection) -> None:
        n = tx.execute(sa.select(table.c.n)).scalar_one()
        tx.execute(sa.update(table).values(n=n + 1))

    def many(db: Database) -> None:
        for _ in range(25):
            db.write(count)

    threads = [threading.Thread(target=many, args=(db,)) for db in databases * 4]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    with databases[0].read() as tx:
        assert tx.execute(sa.select(table.c.n)).scalar_one() == 200
    table.drop(databases[0].engine)
    for db in databases:
        db.close()


def test_a_write_caught_in_a_deadlock_is_run_again(service: Callable[[str], str]) -> None:
    db = Database(service("postgresql"))
    table.create(db.engine, checkfirst=True)
    for name in ("a", "b"):
        add(db, name)
    set_n = lambda name: sa.update(table).where(table.c.name == name).values(n=table.c.n + 1)  # noqa: E731
    tried, told = threading.Event(), []

    def work(tx: sa.Connection) -> None:
        tx.exec_driver_sql("SET LOCAL deadlock_timeout = '10ms'")  # so that ours is the one broken off
        tx.execute(set_n("a"))
        told.append(1)
        tried.set()
        tx.execute(set_n("b"))

    with db.engine.begin() as other:
        other.execute(set_n("b"))
        writer = threading.Thread(target=lambda: db.write(work))
        writer.start()
        assert tried.wait(10)
        other.execute(set_n("a"))
    writer.join(timeout=20)
    assert len(told) >= 2
    with db.read() as tx:
        assert dict(tx.execute(sa.select(table.c.name, table.c.n)).all()) == {"a": 2, "b": 2}
    table.drop(db.engine)
    db.close()


def test_a_closed_database_refuses_writes(tmp_path: Path) -> None:
    db = Database(f"sqlite:///{tmp_path / 'x.db'}")
    db.close()
    with pytest.raises(Unavailable, match="stopping"):
        add(db, "late")


@pytest.mark.parametrize(
    "url",
    ["postgresql://u:se/cr@et@host:port/x", "postgresql://u:secret@[::1/x", "sqlite:////proc/nowhere/x.db"],
)
def test_a_url_that_can_t_be_understood_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(Invalid) as refused:
        Database(url)
    assert "se" + "cr" not in refused.value.detail


def test_what_was_acknowledged_survives_an_abrupt_end(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'x.db'}"
    db = Database(url)
    table.create(db.engine)
    add(db, "kept")
    # No close: what a kill leaves behind is the files alone.
    again = Database(url)
    assert names(again) == {"kept"}
    again.close()
    db.close()


def test_a_database_that_does_not_answer_is_said_so() -> None:
    db = Database("postgresql://yard@127.0.0.1:1/none")
    with pytest.raises(Unavailable, match="does not answer"):
        names(db)
    db.close()


def test_an_unknown_kind_of_database_is_refused_without_showing_its_password() -> None:
    with pytest.raises(Invalid) as refused:
        Database("mysql://root:secret@host/x")
    assert "secret" not in refused.value.detail
    assert "sqlite" in refused.value.detail


def test_a_full_database_is_a_clear_error_and_recovers(tmp_path: Path) -> None:
    db = Database(f"sqlite:///{tmp_path / 'x.db'}")
    table.create(db.engine)
    pages = db.write(lambda tx: tx.exec_driver_sql("PRAGMA page_count").scalar_one())
    db.write(lambda tx: tx.exec_driver_sql(f"PRAGMA max_page_count={pages}").scalar_one())
    with pytest.raises(DiskFull, match="Free some space"):
        for i in range(2000):
            add(db, f"{i}" * 200)
    before = names(db)
    db.write(lambda tx: tx.exec_driver_sql("PRAGMA max_page_count=1000000").scalar_one())
    add(db, "again")
    assert names(db) == before | {"again"}
    db.close()


def test_a_submitted_write_answers_by_its_future(db: Database) -> None:
    def work(tx: sa.Connection) -> str:
        tx.execute(sa.insert(table).values(name="a", n=0))
        return "done"

    def failing(tx: sa.Connection) -> None:
        raise Conflict("no", "no")

    assert db.submit(work).result(10) == "done"
    assert names(db) == {"a"}
    assert isinstance(db.submit(failing).exception(10), Conflict)


def test_errors_of_the_driver_itself_come_in_the_yard_s_words(db: Database) -> None:
    def work(tx: sa.Connection) -> None:
        with driver(tx) as cursor:
            cursor.execute("SELECT * FROM nothing_of_this_name")

    with pytest.raises((Unavailable, sa.exc.ProgrammingError)):
        db.write(work)


def test_free_space_goes_back_to_the_file_system(tmp_path: Path) -> None:
    file = tmp_path / "x.db"
    db = Database(f"sqlite:///{file}")
    table.create(db.engine)
    db.write(lambda tx: tx.execute(sa.insert(table), [{"name": f"{n}" * 99, "n": n} for n in range(20_000)]))
    db.write(lambda tx: tx.execute(sa.delete(table).where(table.c.n > 100)))
    with db.read() as tx:
        before = tx.execute(sa.text("PRAGMA page_count")).scalar_one()
    db.shrink()
    with db.read() as tx:
        assert tx.execute(sa.text("PRAGMA page_count")).scalar_one() < before / 2
    assert len(names(db)) == 101
    db.close()
