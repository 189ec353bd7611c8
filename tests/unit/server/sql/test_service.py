"""How many queries there may be, and of what size, before one is run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from modelyard.server.kernel.db import Database
from modelyard.server.kernel.errors import Invalid, TooLarge, Unavailable
from modelyard.server.kernel.settings import Settings
from modelyard.server.sql.service import Running, SqlService
from modelyard.wire.sql import SqlQuery


@pytest.fixture
def service(tmp_path: Path) -> Iterator[SqlService]:
    db = Database(f"sqlite:///{tmp_path / 'yard.db'}")
    yield SqlService(db, Settings(home=tmp_path), patience_s=0.01)
    db.close()


def test_a_query_is_refused_while_four_others_run(service: SqlService) -> None:
    for _ in range(4):
        service._seats.acquire()
    with pytest.raises(Unavailable, match="4 queries are running already"):
        service.answer("w", SqlQuery("SELECT 1"), Running())
    assert service._places.acquire(timeout=0)  # its place is free again


def test_those_that_wait_are_few(service: SqlService) -> None:
    for _ in range(12):
        service._places.acquire()
    with pytest.raises(Unavailable, match="4 queries are running already"):
        service.answer("w", SqlQuery("SELECT 1"), Running())


def test_what_can_t_be_a_query_is_not_run(service: SqlService) -> None:
    with pytest.raises(TooLarge, match="more than 100,000 characters"):
        service.answer("w", SqlQuery("x" * 100_001), Running())
    with pytest.raises(Invalid, match="one of json, csv, arrow, parquet"):
        service.answer("w", SqlQuery("SELECT 1", {}, "xml"), Running())


def test_a_query_that_was_cancelled_before_it_began_does_not_run(service: SqlService) -> None:
    running = Running()
    running.cancel()
    with pytest.raises(Unavailable, match="cancelled"):
        service.answer("w", SqlQuery("SELECT 1"), running)
