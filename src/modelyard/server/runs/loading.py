"""Whole runs at once: read as records, and written in bulk.

What brings many finished runs (an import, a generator for benchmarks) goes through here: a few statements for hundreds of runs,
their points as packed blocks.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa

from modelyard.server.kernel.db import Tx
from modelyard.server.runs import changes, files_store, metrics_store, store, tables
from modelyard.server.runs.folding_store import FULL, LEAST
from modelyard.server.runs.summaries import Summary
from modelyard.wire.artifacts import FileEntry

if TYPE_CHECKING:
    from modelyard.server.runs.arrays import Arrays

# What a run has here and not elsewhere: its place, and what only a run in somebody's hands has.
NOT_CARRIED = ("workspace_id", "workspace", "lease_expires_at", "responding_as")
SUMMARY = (
    "system", "name", "kind", "description", "count", "values_count", "whole", "nonfinite", "last", "last_step",
    "last_ms", "min", "max", "first_at", "last_at",
)  # fmt: skip
# What two runs of the same content may differ in: names that depend on where they are, counts,
# and where they have been put since.
_OWN = {
    "id", "number", "experiment_id", "parent_id", "root_id", "child_count", "version", "request", "archived_at", "deleted_at",
    "deleted_with", "synced_at",
}  # fmt: skip

_MANY = 500
_LOG_PIECE = 1 << 20

Keep = Callable[[Iterable[bytes]], tuple[str, int]]  # takes bytes, answers their hash and size


@dataclass
class SeriesRecord:
    """One metric of a run. `summary` has the columns of SUMMARY; `points` None: it has no plain numbers.

    `values` are the records that are none: (position among all records, kind, step, time, JSON).
    """

    summary: dict[str, Any]
    points: Arrays | None
    values: list[tuple[int, str, int | None, int, str]] = field(default_factory=list)


@dataclass
class RunRecord:
    """A run's own columns but those of NOT_CARRIED, its metrics, and its files with the times they were made."""

    columns: dict[str, Any]
    series: list[SeriesRecord] = field(default_factory=list)
    files: list[tuple[FileEntry, float]] = field(default_factory=list)

    @property
    def points(self) -> int:
        return sum(s.summary["count"] for s in self.series)

    def digest(self) -> str:
        """Equal for runs of the same content."""
        found = hashlib.sha256()

        def add(value: Any) -> None:
            found.update(msgspec.json.encode(value, order="deterministic"))

        add({name: value for name, value in self.columns.items() if name not in _OWN})
        add(sorted((e.path, e.hash, e.executable) for e, _ in self.files))
        for one in sorted(self.series, key=lambda s: (s.summary["system"], s.summary["name"])):
            add([{name: one.summary[name] for name in SUMMARY}, one.values])
            if one.points is not None:
                points = one.points
                for column in (points.steps, points.stepped, points.times_ms, points.values):
                    found.update(column.tobytes())
        return found.hexdigest()


def summarised(name: str, points: Arrays) -> SeriesRecord:
    """A metric of plain numbers that all have a step, at least one, with its summary."""
    found = Summary(0, "", name, count=len(points), whole=False)
    times_ms = points.times_ms.tolist()
    found.saw(times_ms)
    found.take(points.steps.tolist(), times_ms, points.values.tolist())
    kept = {column: getattr(found, column) for column in SUMMARY if column != "system"}
    return SeriesRecord({"system": False, **kept}, points)


def hashed(pieces: Iterable[bytes]) -> tuple[str, int]:
    """Hash and size of bytes that are looked at only."""
    found, size = hashlib.sha256(), 0
    for piece in pieces:
        found.update(piece)
        size += len(piece)
    return found.hexdigest(), size


def ids_in(
    tx: Tx, workspace_id: str, experiment_ids: Iterable[str] | None, run_ids: Iterable[str] | None
) -> list[str]:
    """The ids of the workspace's runs but for the trash in the order of creation; of those asked for, with all runs below."""
    runs = tables.runs
    query = sa.select(runs.c.id).where(runs.c.workspace_id == workspace_id, runs.c.deleted_at.is_(None))
    found = [row[0] for row in tx.execute(query.order_by(runs.c.created_at, runs.c.id))]
    if experiment_ids is None and run_ids is None:
        return found
    wanted = set(run_ids or ())
    for run_id in run_ids or ():
        wanted.update(store.descendant_ids(tx, run_id))
    for experiment_id in experiment_ids or ():
        wanted.update(store.ids_in(tx, workspace_id, experiment_id))
    return [run_id for run_id in found if run_id in wanted]


def read(tx: Tx, run_ids: Sequence[str], keep_log: Keep) -> list[RunRecord]:
    """Some hundred runs in the order of `run_ids`. A log that is not a file yet becomes one: `keep_log` takes its bytes."""
    runs, files, series = tables.runs, tables.files, tables.series
    found: dict[str, RunRecord] = {}
    for row in tx.execute(sa.select(runs).where(runs.c.id.in_(run_ids))):
        found[row.id] = RunRecord({k: v for k, v in row._mapping.items() if k not in NOT_CARRIED})
    for row in tx.execute(
        sa.select(files).where(files.c.run_id.in_(run_ids)).order_by(files.c.run_id, files.c.path)
    ):
        found[row.run_id].files.append(
            (FileEntry(row.path, row.hash, row.size, row.executable), row.created_at)
        )
    logs = sa.select(tables.streams).where(
        tables.streams.c.run_id.in_(run_ids), tables.streams.c.kind == "log"
    )
    for row in tx.execute(logs.order_by(tables.streams.c.run_id, tables.streams.c.name)).all():
        hash_, size = keep_log(_log_pieces(tx, row.run_id, row.name, row.size))
        found[row.run_id].files.append((FileEntry(row.name, hash_, size), row.created_at))
    for row in tx.execute(sa.select(series).where(series.c.run_id.in_(run_ids)).order_by(series.c.id)).all():
        found[row.run_id].series.append(_read_series(tx, row))
    return [found[run_id] for run_id in run_ids if run_id in found]


def _log_pieces(tx: Tx, run_id: str, path: str, size: int) -> Iterable[bytes]:
    for offset in range(0, size, _LOG_PIECE):
        yield files_store.read_log(tx, run_id, path, offset, min(_LOG_PIECE, size - offset))


def _read_series(tx: Tx, row: store.Row) -> SeriesRecord:
    from modelyard.server.runs import series_reader  # needs numpy, which costs time at start

    summary = {name: row._mapping[name] for name in SUMMARY}
    values: list[tuple[int, str, int | None, int, str]] = []
    if summary["values_count"]:
        rows = metrics_store.read_values(tx, row.id, 0, summary["count"])
        values = [(r.seq, r.kind, r.step, r.time_ms, r.value) for r in rows]
    has_points = summary["count"] > summary["values_count"]
    return SeriesRecord(summary, series_reader.read(tx, row.id) if has_points else None, values)


def taken(tx: Tx, run_ids: Sequence[str]) -> dict[str, str]:
    """Run id -> workspace id of those that are there, in whichever workspace."""
    runs = tables.runs
    found: dict[str, str] = {}
    for start in range(0, len(run_ids), _MANY):
        some = sa.select(runs.c.id, runs.c.workspace_id).where(runs.c.id.in_(run_ids[start : start + _MANY]))
        found.update((row.id, row.workspace_id) for row in tx.execute(some))
    return found


def write(tx: Tx, workspace_id: str, workspace: str, records: Sequence[RunRecord]) -> None:
    """Add runs that are not there. All of them are over; their experiments are there."""
    if not records:
        return
    _number(tx, records)
    rows = [{**r.columns, "workspace_id": workspace_id, "workspace": workspace} for r in records]
    tx.execute(sa.insert(tables.runs), rows)
    ids = [row["id"] for row in rows]
    changes.begin(tx, workspace_id, ids)
    labels = [
        {"run_id": row["id"], "kind": kind, "key": key, "value": store.indexed(value)}
        for row in rows
        for kind, column in (("tag", "tags"), ("property", "properties"), ("param", "params"))
        for key, value in row[column].items()
    ]
    if labels:
        tx.execute(sa.insert(tables.labels), labels)
    files = [
        {"run_id": r.columns["id"], "path": e.path, "hash": e.hash, "size": e.size, "executable": e.executable, "created_at": at}
        for r in records
        for e, at in r.files
    ]  # fmt: skip
    if files:
        tx.execute(sa.insert(tables.files), files)
    _write_series(tx, records)
    _count_children(tx, {*ids, *(row["parent_id"] for row in rows if row["parent_id"])})


def erase(tx: Tx, run_ids: Sequence[str]) -> None:
    """Take runs away to put others in their place."""
    runs, experiments = tables.runs, tables.experiments
    query = sa.select(runs.c.experiment_id).where(runs.c.id.in_(run_ids), runs.c.deleted_at.is_(None))
    for experiment_id, count in Counter(row[0] for row in tx.execute(query)).items():
        of = sa.update(experiments).where(experiments.c.id == experiment_id)
        tx.execute(of.values(run_count=experiments.c.run_count - count))
    metrics_store.forget_runs(tx, run_ids)
    store.remove(tx, run_ids)


def _number(tx: Tx, records: Sequence[RunRecord]) -> None:
    """Each run keeps its number in the experiment, or gets the next one when another has it; the experiments count them."""
    experiments, runs = tables.experiments, tables.runs
    by_experiment = sorted(records, key=lambda r: (str(r.columns["experiment_id"]), int(r.columns["number"])))
    for experiment_id, group in groupby(by_experiment, key=lambda r: r.columns["experiment_id"]):
        some = list(group)
        numbers = [r.columns["number"] for r in some]
        known = sa.select(runs.c.number).where(
            runs.c.experiment_id == experiment_id, runs.c.number.in_(numbers)
        )
        used = {row[0] for row in tx.execute(known)}
        last = tx.execute(
            sa.select(experiments.c.last_number).where(experiments.c.id == experiment_id)
        ).scalar_one()
        last = max([last, *numbers])
        for record in some:
            if record.columns["number"] in used:
                last += 1
                record.columns["number"] = last
            used.add(record.columns["number"])
        newest = max(r.columns["created_at"] for r in some)
        latest = sa.case(
            (experiments.c.last_run_at > newest, experiments.c.last_run_at), else_=sa.literal(newest)
        )
        tx.execute(
            sa.update(experiments)
            .where(experiments.c.id == experiment_id)
            .values(
                run_count=experiments.c.run_count + sum(r.columns["deleted_at"] is None for r in some),
                last_number=last,
                last_run_at=latest,
            )
        )


def _write_series(tx: Tx, records: Sequence[RunRecord]) -> None:
    every = [(r.columns["id"], s) for r in records for s in r.series]
    if not every:
        return
    rows = [{"run_id": run_id, "folded": one.summary["count"], **one.summary} for run_id, one in every]
    statement = sa.insert(tables.series).returning(tables.series.c.id, sort_by_parameter_order=True)
    ids = [row[0] for row in tx.execute(statement, rows)]
    points: list[metrics_store.PointRow] = []
    blocks: list[metrics_store.BlockRow] = []
    values: list[metrics_store.ValueRow] = []
    for series_id, (_, one) in zip(ids, every, strict=True):
        values += [(series_id, *value) for value in one.values]
        if one.points is not None:
            _place(series_id, one, points, blocks)
    if points:
        metrics_store.add_points(tx, points)
    if blocks:
        metrics_store.add_blocks(tx, blocks)
    if values:
        metrics_store.add_values(tx, values)


def _place(
    series_id: int,
    one: SeriesRecord,
    rows: list[metrics_store.PointRow],
    blocks: list[metrics_store.BlockRow],
) -> None:
    """Points as the folding would leave them: nothing more comes to these runs."""
    from modelyard.server.runs import arrays  # as above

    assert one.points is not None
    at = 0
    for start, stop in _stretches(len(one.points), [value[0] for value in one.values]):
        part = one.points[at : at + stop - start]
        at += stop - start
        part = dataclasses.replace(part, seqs=arrays.numbered(start, stop))
        if len(part) >= LEAST or arrays.has_negative_zero(part):
            blocks.append(arrays.packed(series_id, part))
            continue
        numbers = zip(
            part.steps.tolist(),
            part.stepped.tolist(),
            part.times_ms.tolist(),
            part.values.tolist(),
            strict=True,
        )
        rows += [
            (series_id, seq, step if stepped else None, at_ms, None if math.isnan(value) else value)
            for seq, (step, stepped, at_ms, value) in enumerate(numbers, start)
        ]


def _stretches(count: int, elsewhere: Sequence[int]) -> Iterator[tuple[int, int]]:
    """The positions of `count` points, from and to, without those in `elsewhere`."""
    start = 0
    for position in [*sorted(elsewhere), count + len(elsewhere)]:
        for piece in range(start, position, FULL):
            yield piece, min(position, piece + FULL)
        start = position + 1


def _count_children(tx: Tx, run_ids: Iterable[str]) -> None:
    runs = tables.runs
    below = runs.alias()
    count = (
        sa.select(sa.func.count())
        .select_from(below)
        .where(below.c.parent_id == runs.c.id, below.c.deleted_at.is_(None))
        .scalar_subquery()
    )
    every = sorted(run_ids)
    for start in range(0, len(every), _MANY):
        some = every[start : start + _MANY]
        tx.execute(sa.update(runs).where(runs.c.id.in_(some)).values(child_count=count))
