"""benchmarks/populate.py leaves rows as the public way of writing does."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import sqlalchemy as sa
from run_yard import RunYard, run_yard

from modelyard.server.kernel.db import Database
from modelyard.server.runs import tables
from modelyard.server.runs.search.parser import parse, parse_order
from modelyard.server.runs.search.query import Query
from modelyard.server.runs.search.service import RunSearch


@pytest.fixture(scope="module")
def populate() -> ModuleType:
    file = Path(__file__).parents[2] / "benchmarks" / "populate.py"
    spec = importlib.util.spec_from_file_location("populate", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["populate"] = module
    spec.loader.exec_module(module)
    return module


def kinds(db: Database, table: sa.Table) -> dict[str, Any]:
    """What kind of thing stands in each column of the first row."""
    with db.read() as tx:
        row = tx.execute(sa.select(table)).first()
    assert row is not None, table.name
    return {name: type(value) for name, value in row._mapping.items()}


def as_by_hand(yard: RunYard) -> None:
    yard.start("r", tags={"team": "a"})
    yard.call("PATCH", "/api/v1/workspaces/default/runs/r", {"add_params": {"lr": "0.1"}})
    yard.journal("r", b'{"k":"m","n":"acc","v":0.5,"t":1,"s":0}\n')
    yard.report("r", "Completed")


def test_its_rows_are_those_of_the_public_way(populate: ModuleType, tmp_path: Path) -> None:
    with run_yard(tmp_path / "by-hand") as by_hand, run_yard(tmp_path / "in-bulk") as in_bulk:
        as_by_hand(by_hand)
        populate.fill(in_bulk.db, in_bulk.workspace_id, populate.Plan(runs=30, points=0))
        filled = (
            tables.runs,
            tables.experiments,
            tables.changes,
            tables.labels,
            tables.series,
            tables.points,
        )
        for table in filled:
            given, expected = kinds(in_bulk.db, table), kinds(by_hand.db, table)
            if table is tables.runs:
                given["exit_code"] = expected[
                    "exit_code"
                ]  # that of a script, which a run by hand has none of
            assert given == expected, table.name


def test_what_it_makes_is_found(populate: ModuleType, tmp_path: Path) -> None:
    with run_yard(tmp_path) as yard:
        populate.fill(yard.db, yard.workspace_id, populate.Plan(runs=60, points=60 * 5 * 40))
        query = Query(
            parse("metrics.acc.count = 40 and params.depth > 0"),
            parse_order(["metrics.acc DESC"]),
            count=True,
            limit=5,
        )
        page = RunSearch(yard.db).search(yard.workspace_id, query)
        assert page.count == 60
        one = page.items[0]
        series = yard.runs.metrics.points(yard.workspace_id, one.info.id, "acc", 100, 0, False)
        assert len(series.values) == 40
        summary = next(m for m in one.metrics if m.name == "acc")
        assert (summary.last, summary.min) == (series.values[-1], min(series.values))
        yard.start("one-more")
        with pytest.raises(SystemExit, match="runs in this yard"):
            populate.fill(yard.db, yard.workspace_id, populate.Plan(runs=1, points=0))
