"""How experiments and runs leave in a file of a workspace and come in from one."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from modelyard.server.artifacts.paths import check_tree
from modelyard.server.artifacts.transfer import ArtifactTransfer, check_held, entry
from modelyard.server.kernel.db import Database, Tx
from modelyard.server.kernel.errors import Conflict, ProblemError
from modelyard.server.kernel.ids import new_id
from modelyard.server.kernel.transfer import (
    Ahead,
    Fate,
    FileTable,
    In,
    Kind,
    Merge,
    Out,
    Scope,
    Target,
    bad_file,
    columns_of,
    refuse,
)
from modelyard.server.runs import experiments_store, lifecycle, loading, rules, tables
from modelyard.server.runs.loading import RunRecord, SeriesRecord
from modelyard.server.runs.logged_transfer import LoggedTransfer
from modelyard.wire.runs import RunInfo, RunStatus

EXPERIMENTS = FileTable(
    "experiments", columns_of(tables.experiments, "workspace_id", "run_count", "last_run_at")
)
RUNS = FileTable("runs", columns_of(tables.runs, *loading.NOT_CARRIED))
FILES = FileTable("run_files", columns_of(tables.files))
# One row a metric; its points are the next `count - values_count` rows of the table of points.
_SUMMARY = {c: k for c, k in columns_of(tables.series).items() if c in loading.SUMMARY}
SERIES = FileTable("metrics", {"run_id": Kind.TEXT, "metric": Kind.INTEGER, **_SUMMARY})
POINTS = FileTable(
    "metric_points",
    {"metric": Kind.INTEGER, "step": Kind.INTEGER, "time_ms": Kind.INTEGER, "value": Kind.FLOAT},
)
VALUES = FileTable(
    "metric_values",
    {
        "metric": Kind.INTEGER, "position": Kind.INTEGER, "kind": Kind.TEXT, "step": Kind.INTEGER, "time_ms": Kind.INTEGER,
        "value": Kind.TEXT,
    },
)  # fmt: skip

if TYPE_CHECKING:
    from modelyard.server.runs.arrays import Arrays

_RUNS = 200  # written together
_POINTS = 200_000  # the same; a run of more comes alone
_BATCH = 200
_KINDS = frozenset("mlrtid")  # of records: wire/metrics.py


class RunTransfer:
    tables = (EXPERIMENTS, RUNS, FILES, SERIES, POINTS, VALUES, *LoggedTransfer.tables)

    def __init__(self, db: Database, artifacts: ArtifactTransfer) -> None:
        self._db = db
        self._logged = LoggedTransfer(db, artifacts)
        self._artifacts = artifacts

    def leave(self, tx: Tx, scope: Scope, out: Out) -> None:
        run_ids = loading.ids_in(tx, scope.workspace_id, scope.experiment_ids, scope.run_ids)
        experiments = set(scope.experiment_ids or ())
        number = 0
        for start in range(0, len(run_ids), _BATCH):
            for record in loading.read(tx, run_ids[start : start + _BATCH], out.content):
                experiments.add(record.columns["experiment_id"])
                number = write_run(out, record, number, scope.with_files)
        if not scope.is_whole:
            out.run_ids.update(run_ids)
        for row in experiments_store.every(tx, scope.workspace_id, "all"):
            if scope.is_whole or row.id in experiments:
                out.rows(EXPERIMENTS, [EXPERIMENTS.row(row._mapping)])
        self._logged.leave(tx, scope, out)

    def come_in(self, given: In, target: Target) -> None:
        experiments = target.experiment_ids = self._experiments(given, target)
        batch: list[RunRecord] = []
        points = 0
        for record in _records(given, target, experiments):
            batch.append(record)
            points += record.points
            if len(batch) >= _RUNS or points >= _POINTS:
                self._take(target, batch)
                batch, points = [], 0
        self._take(target, batch)
        self._logged.come_in(given, target)

    def _experiments(self, given: In, target: Target) -> dict[str, str]:
        """Id in the file -> id here. An experiment of the same name is the same experiment."""
        ids: dict[str, str] = {}
        for row in map(EXPERIMENTS.mapping, given.rows(EXPERIMENTS)):
            _check_experiment(row)

            def work(tx: Tx, row: dict[str, Any] = row) -> str:
                return _take_experiment(tx, target, row)

            if target.is_rehearsal:
                with self._db.read() as tx:
                    ids[row["id"]] = work(tx)
            else:
                ids[row["id"]] = self._db.write(work)
        return ids

    def _take(self, target: Target, batch: list[RunRecord]) -> None:
        if target.is_rehearsal:
            with self._db.read() as tx:
                _decide(tx, target, batch)
            return

        def work(tx: Tx) -> None:
            fates = _decide(tx, target, batch)
            new = [_named(target, r) for r in batch if fates[r.columns["id"]].is_written]
            self._artifacts.refer_to(tx, [e for r in new for e, _ in r.files], target.workspace_id)
            loading.erase(tx, [r.columns["id"] for r in batch if fates[r.columns["id"]] is Fate.REPLACED])
            loading.write(tx, target.workspace_id, target.workspace, new)

        if batch:
            self._db.write(work)


def write_run(out: Out, record: RunRecord, number: int, with_files: bool) -> int:
    """Write a run whose first metric has this number; answers the number of the next run's first."""
    import numpy  # costs time at start

    run_id = record.columns["id"]
    out.rows(RUNS, [RUNS.row(record.columns)])
    if with_files:
        out.rows(FILES, [(run_id, e.path, e.hash, e.size, e.executable, at) for e, at in record.files])
        out.blobs.update((e.hash, e.size) for e, _ in record.files)
        if record.columns["snapshot_id"]:
            out.trees.add(record.columns["snapshot_id"])
    for one in record.series:
        out.rows(SERIES, [SERIES.row({"run_id": run_id, "metric": number, **one.summary})])
        if one.points is not None:
            points = one.points
            out.arrays(
                POINTS,
                {
                    "metric": numpy.full(len(points), number, numpy.int64),
                    "step": points.steps,
                    "step_known": points.stepped,
                    "time_ms": points.times_ms,
                    "value": points.values,
                },
            )
        out.rows(VALUES, [(number, *value) for value in one.values])
        number += 1
    return number


def _records(given: In, target: Target, experiments: Mapping[str, str]) -> Iterator[RunRecord]:
    """The runs of the file, checked, each with its experiment's id here."""
    files, series = Ahead(FILES, given.rows(FILES)), Ahead(SERIES, given.rows(SERIES))
    values, points = Ahead(VALUES, given.rows(VALUES)), _Points(given)
    known: set[str] = set()
    for row in map(RUNS.mapping, given.rows(RUNS)):
        run_id = row["id"]
        record = RunRecord(_run(row, target, experiments))
        if run_id in known:
            refuse(f"Run {run_id!r} is in it twice.")
        if target.is_rehearsal:
            known.add(run_id)
        for one in files.of((run_id,)):
            record.files.append((entry(one), float(one["created_at"] or 0)))
        check_held(given, (e for e, _ in record.files))
        check_tree(e.path for e, _ in record.files)
        for one in series.of((run_id,)):
            record.series.append(_metric(one, values, points))
        yield record
    for rest in (files, series, values):
        rest.end()
    points.end()


def _run(row: dict[str, Any], target: Target, experiments: Mapping[str, str]) -> dict[str, Any]:
    """The columns as they are kept here: a run that was not over is, now."""
    shown = str(row["id"])[:80]
    try:
        info = msgspec.convert({**row, "experiment": ""}, RunInfo)
        rules.check_run_id(info.id)
        rules.check_properties(info.properties)
        for labels, what in ((info.tags, "tag"), (info.params, "parameter")):
            rules.check_labels(what, labels, rules.MAX_PROPERTY_VALUE)
    except msgspec.ValidationError as error:
        refuse(f"Run {shown!r} can't be kept: {error}.")
    except ProblemError as error:
        refuse(f"Run {shown!r} can't be kept. {error.detail}")
    if info.experiment_id not in experiments:
        refuse(f"Run {shown!r} belongs to experiment {info.experiment_id[:80]!r}, which is not in it.")
    if not isinstance(row["request"], str) or not isinstance(row["target"], str | None):
        refuse(f"Run {shown!r} lacks what it was asked for.")
    columns = {**row, "experiment_id": experiments[info.experiment_id]}
    if row["deleted_with"] == info.experiment_id:
        columns["deleted_with"] = experiments[info.experiment_id]
    if info.status not in lifecycle.FINAL:
        columns["status"] = RunStatus.CANCELED.value
        columns["status_reason"] = (
            f"It was {info.status.value} when its workspace was exported, and did not come along."
        )
        columns["ended_at"] = max(info.started_at or info.created_at, target.exported_at)
        if target.is_rehearsal:
            target.ended += 1
    return columns


def _metric(row: dict[str, Any], values: Ahead, points: _Points) -> SeriesRecord:
    summary = {name: row[name] for name in loading.SUMMARY}
    name, number, count, others = summary["name"], row["metric"], summary["count"], summary["values_count"]
    flags = all(isinstance(summary[f], bool) for f in ("system", "whole", "nonfinite"))
    if not (
        isinstance(name, str)
        and 0 < len(name) <= rules.MAX_KEY
        and summary["kind"] in {*_KINDS, "s"}
        and flags
    ):
        refuse(f"Metric {str(name)[:80]!r} of run {str(row['run_id'])[:80]!r} can't be kept.")
    summary["description"] = summary["description"] or ""
    found: list[tuple[int, str, int | None, int, str]] = []
    for one in values.of((number,)):
        position, kind, step, time_ms, text = (
            one[c] for c in ("position", "kind", "step", "time_ms", "value")
        )
        if (
            kind not in {*_KINDS, "s"}
            or not isinstance(position, int)
            or not isinstance(time_ms, int)
            or not _is_json(text)
        ):
            refuse(f"A value of metric {name[:80]!r} of run {str(row['run_id'])[:80]!r} can't be kept.")
        found.append((position, kind, step, time_ms, text))
    whole = isinstance(count, int) and isinstance(others, int) and 0 <= others == len(found) <= count
    if not whole or len({p for p, *_ in found if 0 <= p < count}) != len(found):
        refuse(f"Metric {name[:80]!r} of run {str(row['run_id'])[:80]!r} does not have the values it says.")
    return SeriesRecord(summary, points.take(number, count - others) if count > others else None, found)


def _is_json(text: object) -> bool:
    try:
        msgspec.json.decode(text, type=msgspec.Raw)  # type: ignore[call-overload]  # what is no text raises too
    except (msgspec.DecodeError, TypeError, UnicodeError):
        return False
    return True


class _Points:
    """The points of the file in order, some at a time."""

    def __init__(self, given: In) -> None:
        self._pieces = given.arrays(POINTS)
        self._piece: dict[str, Any] = {}
        self._at = 0
        self._size = 0

    def take(self, number: int, count: int) -> Arrays:
        """The next `count` points, which must be the metric's."""
        from modelyard.server.runs import arrays  # needs numpy, which costs time at start

        parts: list[Arrays] = []
        found = 0
        while found < count:
            if self._at == self._size and not self._next():
                refuse(f"It lacks {count - found} points of metric {number}.")
            part = slice(self._at, min(self._size, self._at + count - found))
            if (self._piece["metric"][part] != number).any():
                refuse(f"The points of metric {number} are not in order.")
            columns = (self._piece[name][part] for name in ("step", "step_known", "time_ms", "value"))
            parts.append(arrays.Arrays(arrays.numbered(found, found + part.stop - part.start), *columns))
            found += part.stop - part.start
            self._at = part.stop
        return arrays.joined(parts)

    def end(self) -> None:
        if self._at < self._size or self._next():
            refuse("It has points that belong to no metric.")

    def _next(self) -> bool:
        self._piece = next(self._pieces, {})
        self._at, self._size = 0, len(self._piece.get("metric", ()))
        return self._size > 0


def _check_experiment(row: Mapping[str, Any]) -> None:
    try:
        rules.check_experiment_name(str(row["name"]))
        rules.check_tags(msgspec.convert(row["tags"], dict[str, str]))
    except (msgspec.ValidationError, ProblemError) as error:
        raise bad_file(f"Experiment {str(row['name'])[:80]!r} can't be kept: {error}") from error
    if (
        not isinstance(row["id"], str)
        or not isinstance(row["description"], str)
        or not isinstance(row["created_at"], float)
    ):
        refuse(f"Experiment {str(row['name'])[:80]!r} lacks its id, description or time.")


def _take_experiment(tx: Tx, target: Target, row: Mapping[str, Any]) -> str:
    if row["deleted_at"] is None:
        there = experiments_store.by_name(tx, target.workspace_id, row["name"])
    else:
        there = experiments_store.by_id(tx, target.workspace_id, row["id"], in_trash=True)
    same = there is not None and (there.tags, there.description) == (row["tags"], row["description"])
    fate = target.decide("experiment", row["name"], there is not None, same, can_rename=False)
    if target.is_rehearsal:
        return str(row["id"])
    if there is not None:
        if fate is Fate.REPLACED:
            experiments_store.change(tx, there.id, tags=row["tags"], description=row["description"])
        return str(there.id)
    experiment_id = new_id() if experiments_store.is_taken(tx, row["id"]) else row["id"]
    last = row["last_number"] or 0
    experiments_store.add(
        tx,
        **{
            **row,
            "id": experiment_id,
            "workspace_id": target.workspace_id,
            "run_count": 0,
            "last_number": last,
        },
    )
    return str(experiment_id)


def _decide(tx: Tx, target: Target, batch: list[RunRecord]) -> dict[str, Fate]:
    """Run id in the file -> its fate. Raises Conflict for an id that another workspace has."""
    ids = [r.columns["id"] for r in batch]
    there = loading.taken(tx, ids)
    foreign = [run_id for run_id in ids if there.get(run_id, target.workspace_id) != target.workspace_id]
    if foreign and target.merge is not Merge.RENAME:
        raise Conflict(
            "run_in_other_workspace",
            f"Run {foreign[0]!r} is in another workspace of this yard, and a run id is there once in a yard. Import with --merge "
            "rename, which gives such runs new ids.",
            run_ids=foreign[:100],
        )
    mine = [run_id for run_id in ids if run_id in there and run_id not in foreign]
    digests = {r.columns["id"]: r.digest() for r in batch if r.columns["id"] in there}
    same = {
        r.columns["id"]: r.digest() == digests[r.columns["id"]]
        for r in loading.read(tx, mine, loading.hashed)
    }
    again = loading.taken(tx, [_new_name(target, i, digest) for i, digest in digests.items()])
    fates: dict[str, Fate] = {}
    for run_id in ids:
        is_there = run_id in there
        renamed = _new_name(target, run_id, digests[run_id]) if is_there else ""
        is_again = target.merge is Merge.RENAME and again.get(renamed) == target.workspace_id
        fate = target.decide("run", run_id, is_there, same.get(run_id, False) or is_again)
        if fate is Fate.RENAMED or (is_again and not same.get(run_id, False)):
            target.run_ids[run_id] = renamed
        fates[run_id] = fate
    return fates


def _new_name(target: Target, run_id: str, digest: str) -> str:
    """The same for the same content in the same workspace, so that a second import finds the run of the first."""
    told = hashlib.sha256(f"{target.workspace} {digest}".encode()).hexdigest()
    return f"{run_id[:200]}_{told[:8]}"


def _named(target: Target, record: RunRecord) -> RunRecord:
    """The record under the names that its run, and those around it, have here."""
    columns = record.columns
    named = {key: target.run_id(columns[key]) for key in ("id", "parent_id", "root_id", "deleted_with")}
    if columns["display_name"] == columns["id"]:
        named["display_name"] = named["id"]
    return dataclasses.replace(record, columns={**columns, **named})
