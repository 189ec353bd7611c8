"""Fills a new yard with many runs and points, so that what is claimed at a million runs can be tried anywhere.

    python benchmarks/populate.py --home DIR --runs 1000000 --points 100000000
    python benchmarks/populate.py --home DIR --database postgresql://… --runs 10000

The rows are those that the public way of writing leaves (tests/unit/test_populate.py compares them), written by the drivers' bulk
statements, with indexes made at the end. Half of the runs are in one experiment; each has 5 metrics, 5 parameters and 3 tags.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from modelyard.server.app import build
from modelyard.server.kernel.db import Database, Tx, driver
from modelyard.server.kernel.ids import new_id
from modelyard.server.kernel.settings import Settings
from modelyard.server.runs import tables
from modelyard.server.runs.metrics_store import RAW

METRICS = ("acc", "loss", "f1", "auc", "val_loss")
_PIECE = 20_000  # runs a transaction
_BEGAN = 1_767_225_600.0  # the first run's start: 2026-01-01
_LASTED_S = 90.0
_APART_S = 20.0
_SEED = 20_261_124


@dataclass(frozen=True)
class Plan:
    """How much there will be. Points are shared out evenly over the metrics."""

    runs: int
    points: int
    experiments: int = 101

    @property
    def points_each(self) -> int:
        return max(1, self.points // (self.runs * len(METRICS)))

    def experiment_of(self, run: int) -> int:
        """Every second run in the first experiment, the others in turn in the rest."""
        return 0 if run % 2 or self.experiments == 1 else 1 + run // 2 % (self.experiments - 1)


def fill(db: Database, workspace_id: str, plan: Plan, say: Callable[[str], None] = lambda _: None) -> None:
    """Write all of it. Raises SystemExit for a yard that has runs already."""
    with db.read() as tx:
        if tx.execute(sa.select(tables.runs.c.id).limit(1)).first() is not None:
            sys.exit("error: there are runs in this yard already; name a new one by --home or --database")
    indexes = [i for t in _TABLES for i in t.indexes if not i.unique]
    db.write(lambda tx: [index.drop(tx) for index in indexes])
    experiments = [new_id() for _ in range(plan.experiments)]
    db.write(lambda tx: _experiments(tx, plan, workspace_id, experiments))
    numbers = [0] * len(experiments)
    for start in range(0, plan.runs, _PIECE):
        made = Runs(plan, workspace_id, experiments, numbers, range(start, min(start + _PIECE, plan.runs)))
        db.write(made.write)
        say(f"{made.runs.stop} of {plan.runs} runs")
    for index in indexes:
        say(f"index {index.name}")
        db.write(lambda tx, index=index: index.create(tx))
    if not db.is_sqlite:
        db.write(_continue_numbering)


_TABLES = (tables.runs, tables.changes, tables.labels, tables.series, tables.blocks, tables.points)


class Runs:
    """Some runs and all that hangs on them, as rows."""

    def __init__(
        self, plan: Plan, workspace_id: str, experiments: Sequence[str], numbers: list[int], runs: range
    ) -> None:
        self.runs = runs
        self._plan = plan
        self._workspace_id = workspace_id
        self._experiments = experiments
        self._numbers = numbers  # the last of each experiment; goes on from piece to piece
        self._random = random.Random(_SEED + runs.start)
        self._ids = [self._id(run) for run in runs]

    def write(self, tx: Tx) -> None:
        labels: list[tuple[Any, ...]] = []
        bulk(tx, tables.runs, _RUN, self._rows(labels))
        bulk(tx, tables.labels, ("run_id", "kind", "key", "value"), sorted(labels))
        bulk(
            tx, tables.changes, ("row", "run_id", "workspace_id", "changed"),
            ((run + 1, id_, self._workspace_id, run + 1) for run, id_ in zip(self.runs, self._ids, strict=True)),
        )  # fmt: skip
        self._write_metrics(tx)

    def _id(self, run: int) -> str:
        at = int(_BEGAN + run * _APART_S)
        return f"e{self._plan.experiment_of(run)}_{at}_{self._random.getrandbits(32):08x}"

    def _rows(self, labels: list[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
        pick = self._random.choice
        for run, run_id in zip(self.runs, self._ids, strict=True):
            experiment = self._plan.experiment_of(run)
            self._numbers[experiment] += 1
            tags = {"team": pick("abcdefgh"), "stage": pick(("dev", "test", "prod")), "seed": str(run % 1000)}
            params = {
                "lr": pick(("0.1", "0.03", "0.01", "0.003", "0.001")), "depth": str(self._random.randint(1, 20)),
                "batch": pick(("16", "32", "64", "128")), "optimizer": pick(("sgd", "adam", "adamw")),
                "dropout": f"{self._random.randint(0, 99) / 100}",
            }  # fmt: skip
            labels += [(run_id, "tag", key, value) for key, value in tags.items()]
            labels += [(run_id, "param", key, value) for key, value in params.items()]
            began = _BEGAN + run * _APART_S
            status = "Failed" if run % 50 == 0 else "Completed"
            yield (
                run_id, self._workspace_id, "default", self._experiments[experiment], self._numbers[experiment],
                "azureml.scriptrun", "", status, "", f"run {run}", "", None, run_id, 0, json.dumps(tags), "{}",
                json.dumps(params), began, began, began + _LASTED_S, 1, pick(("ada", "bob", "cleo")), None, "null", None,
                "", 0, "null", "[]", "", "[]", "{}",
            )  # fmt: skip

    def _write_metrics(self, tx: Tx) -> None:
        each = self._plan.points_each
        count = len(self._ids) * len(METRICS)
        made = np.random.default_rng(_SEED + self.runs.start).random((count, each))
        steps = np.arange(each, dtype="<i8")
        first = self.runs.start * len(METRICS) + 1
        last, least, most = made[:, -1].tolist(), made.min(axis=1).tolist(), made.max(axis=1).tolist()
        series, times = [], []
        for place in range(count):
            run = self.runs.start + place // len(METRICS)
            began_ms = int((_BEGAN + run * _APART_S) * 1000)
            times.append(began_ms)
            ended = began_ms + (each - 1) * 1000
            series.append(
                (first + place, self._ids[place // len(METRICS)], False, METRICS[place % len(METRICS)], "m", "", each, 0,
                 each, False, False, last[place], each - 1, ended, least[place], most[place], began_ms / 1000, ended / 1000)
            )  # fmt: skip
        bulk(tx, tables.series, _SERIES, series)
        if each == 1:
            rows = (
                (first + i, 0, 0, at, value) for i, (at, value) in enumerate(zip(times, last, strict=True))
            )
            bulk(tx, tables.points, ("series_id", "seq", "step", "time_ms", "value"), rows)
            return
        packed_steps = steps.tobytes()
        at = (steps * 1000)[None, :] + np.array(times, dtype="<i8")[:, None]
        blocks = (
            (first + i, 0, each, RAW, packed_steps, at[i].tobytes(), made[i].astype("<f8").tobytes())
            for i in range(count)
        )
        bulk(tx, tables.blocks, _BLOCK, blocks)


_RUN = (
    "id", "workspace_id", "workspace", "experiment_id", "number", "type", "request", "status", "status_reason",
    "display_name", "description", "parent_id", "root_id", "child_count", "tags", "properties", "params", "created_at",
    "started_at", "ended_at", "version", "user", "snapshot_id", "spec", "target", "node", "exit_code", "error", "warnings",
    "environment_hash", "environment_lock", "machine",
)  # fmt: skip
_SERIES = (
    "id", "run_id", "system", "name", "kind", "description", "count", "values_count", "folded", "whole", "nonfinite",
    "last", "last_step", "last_ms", "min", "max", "first_at", "last_at",
)  # fmt: skip
_BLOCK = ("series_id", "seq", "count", "codec", "steps", "times_ms", "values")


def bulk(tx: Tx, table: sa.Table, columns: Sequence[str], rows: Any) -> None:
    """Rows as tuples, by executemany on SQLite and by COPY on PostgreSQL."""
    names = ", ".join(f'"{name}"' for name in columns)
    with driver(tx) as cursor:
        if tx.dialect.name == "sqlite":
            marks = ", ".join("?" * len(columns))
            cursor.executemany(f'INSERT INTO "{table.name}" ({names}) VALUES ({marks})', rows)
            return
        with cursor.copy(f'COPY "{table.name}" ({names}) FROM STDIN') as copy:
            for row in rows:
                copy.write_row(row)


def _experiments(tx: Tx, plan: Plan, workspace_id: str, ids: Sequence[str]) -> None:
    counts = [0] * len(ids)
    for run in range(plan.runs):
        counts[plan.experiment_of(run)] += 1
    rows = [
        {
            "id": id_, "workspace_id": workspace_id, "name": f"e{place}", "tags": {}, "description": "",
            "created_at": _BEGAN, "last_number": counts[place], "run_count": counts[place],
            "last_run_at": _BEGAN + plan.runs * _APART_S,
        }
        for place, id_ in enumerate(ids)
    ]  # fmt: skip
    tx.execute(sa.insert(tables.experiments), rows)


def _continue_numbering(tx: Tx) -> None:
    """PostgreSQL numbers rows from where it stopped to, not from what is there."""
    for table, column in ((tables.changes, "row"), (tables.series, "id")):
        name = f"pg_get_serial_sequence('{table.name}', '{column}')"
        tx.execute(sa.text(f'SELECT setval({name}, (SELECT max("{column}") FROM {table.name}))'))
    tx.execute(sa.text("ANALYZE"))  # as its own autovacuum does before long


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--home", type=Path, required=True, help="home of the new yard")
    parser.add_argument("--database", default="", help="postgresql://…; SQLite in the home otherwise")
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument(
        "--points", type=int, default=0, help="of all runs together; at least one of each metric"
    )
    parser.add_argument("--experiments", type=int, default=101)
    given = parser.parse_args()
    begun = time.monotonic()
    given.home.mkdir(parents=True, exist_ok=True)
    yard = build(Settings(home=given.home.resolve(), database=given.database), "owner", "node")
    try:
        workspace_id = yard.workspaces.id_of("default")
        fill(
            yard.db,
            workspace_id,
            Plan(given.runs, given.points, given.experiments),
            lambda line: print(line, file=sys.stderr),
        )
    finally:
        yard.close()
    size = sum(f.stat().st_size for f in given.home.glob("yard.db*"))
    print(
        json.dumps(
            {
                "runs": given.runs,
                "points": max(given.points, given.runs * len(METRICS)),
                "seconds": round(time.monotonic() - begun),
                "sqlite_bytes": size,
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
