"""How what runs read and made as MLflow has it (data sets, logged models) leaves in a file and comes in from one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import sqlalchemy as sa

from modelyard.server.artifacts.transfer import ArtifactTransfer, check_held, entry
from modelyard.server.kernel.db import Database, Tx, insert
from modelyard.server.kernel.transfer import FileTable, In, Out, Scope, Target, columns_of, refuse
from modelyard.server.runs import tables

DATASETS = FileTable("run_datasets", columns_of(tables.run_datasets))
RUN_MODELS = FileTable("run_models", columns_of(tables.run_models))
MODELS = FileTable("logged_models", columns_of(tables.logged_models, "workspace_id", "deleted_at"))
MODEL_FILES = FileTable("logged_model_files", columns_of(tables.logged_model_files))
MODEL_METRICS = FileTable("logged_model_metrics", columns_of(tables.logged_model_metrics))
_MANY = 500

Change = Callable[[dict[str, Any]], dict[str, Any] | None]  # a row of the file -> a row here; None: not here


class LoggedTransfer:
    """They belong to runs, and stay or come with them: what is there already is left as it is."""

    tables = (DATASETS, MODELS, MODEL_FILES, MODEL_METRICS, RUN_MODELS)

    def __init__(self, db: Database, artifacts: ArtifactTransfer) -> None:
        self._db = db
        self._artifacts = artifacts

    def leave(self, tx: Tx, scope: Scope, out: Out) -> None:
        """Asked after the runs, so that of a part of a workspace it is known which have left."""
        models = tables.logged_models
        of_workspace = sa.select(models).where(
            models.c.workspace_id == scope.workspace_id, models.c.deleted_at.is_(None)
        )
        ids: set[str] = set()
        for row in tx.execute(of_workspace.order_by(models.c.created_at, models.c.id)):
            if _is_in(scope, out, row.experiment_id, row.source_run_id):
                ids.add(row.id)
                out.rows(MODELS, [MODELS.row(row._mapping)])
        for table, file_table in (
            (tables.logged_model_files, MODEL_FILES),
            (tables.logged_model_metrics, MODEL_METRICS),
        ):
            if table is tables.logged_model_files and not scope.with_files:
                continue
            for row in _in_order(tx, table, models, table.c.model_id == models.c.id, scope):
                if row.model_id in ids:
                    out.rows(file_table, [file_table.row(row._mapping)])
                    if table is tables.logged_model_files:
                        out.blobs[row.hash] = row.size
        runs = tables.runs
        for table, file_table in ((tables.run_datasets, DATASETS), (tables.run_models, RUN_MODELS)):
            for row in _in_order(tx, table, runs, table.c.run_id == runs.c.id, scope):
                if _is_in(scope, out, row.experiment_id, row.run_id):
                    out.rows(file_table, [file_table.row(row._mapping)])

    def come_in(self, given: In, target: Target) -> None:
        models = _model_ids(self._db, given, target)

        def of_run(row: dict[str, Any]) -> dict[str, Any] | None:
            if row["run_id"] in target.left:
                return None
            row["run_id"] = target.run_id(row["run_id"])
            if "model_id" in row:
                row["model_id"] = models.get(row["model_id"], row["model_id"])
            return row

        def model(row: dict[str, Any]) -> dict[str, Any] | None:
            experiment_id = target.experiment_ids.get(row["experiment_id"])
            if experiment_id is None:
                refuse(f"Logged model {str(row['id'])[:80]!r} belongs to an experiment that is not in it.")
            source = target.run_id(row["source_run_id"])
            return {
                **row, "id": models[row["id"]], "experiment_id": experiment_id, "source_run_id": source,
                "workspace_id": target.workspace_id,
            }  # fmt: skip

        def of_model(row: dict[str, Any]) -> dict[str, Any] | None:
            if row["model_id"] not in models:
                refuse(
                    f"Something belongs to logged model {str(row['model_id'])[:80]!r}, which is not in it."
                )
            row["model_id"] = models[row["model_id"]]
            if "run_id" in row:
                row["run_id"] = target.run_id(row["run_id"])
            else:
                check_held(given, [entry(row)])
            return row

        self._take(given, target, MODELS, tables.logged_models, model)
        self._take(given, target, MODEL_FILES, tables.logged_model_files, of_model)
        self._take(given, target, MODEL_METRICS, tables.logged_model_metrics, of_model)
        self._take(given, target, DATASETS, tables.run_datasets, of_run)
        self._take(given, target, RUN_MODELS, tables.run_models, of_run)

    def _take(
        self, given: In, target: Target, file_table: FileTable, table: sa.Table, change: Change
    ) -> None:
        for batch in _batches(_changed(given, file_table, table, change)):
            if target.is_rehearsal:
                continue

            def work(tx: Tx, batch: list[dict[str, Any]] = batch) -> None:
                if table is tables.logged_model_files:
                    self._artifacts.refer_to(tx, [entry(row) for row in batch], target.workspace_id)
                rows = _with_owner(tx, table, batch)
                if rows:
                    tx.execute(insert(tx, table).on_conflict_do_nothing(), rows)

            self._db.write(work)


def _is_in(scope: Scope, out: Out, experiment_id: str, run_id: str) -> bool:
    return scope.is_whole or run_id in out.run_ids or experiment_id in (scope.experiment_ids or ())


def _in_order(
    tx: Tx, table: sa.Table, owner: sa.Table, on: sa.ColumnElement[bool], scope: Scope
) -> Iterator[sa.Row[Any]]:
    """The rows of what belongs to the workspace's runs or models, with the experiment."""
    query = sa.select(table, owner.c.experiment_id).join(owner, on)
    query = query.where(owner.c.workspace_id == scope.workspace_id, owner.c.deleted_at.is_(None))
    return iter(tx.execute(query.order_by(*table.primary_key.columns)))


def _model_ids(db: Database, given: In, target: Target) -> dict[str, str]:
    """Id in the file -> id here: another one where another workspace has it, always the same."""
    ids = [str(row[0]) for row in given.rows(MODELS)]
    models = tables.logged_models
    foreign: set[str] = set()
    with db.read() as tx:
        for start in range(0, len(ids), _MANY):
            some = sa.select(models.c.id).where(
                models.c.id.in_(ids[start : start + _MANY]), models.c.workspace_id != target.workspace_id
            )
            foreign.update(row[0] for row in tx.execute(some))
    return {i: _other_id(target.workspace_id, i) if i in foreign else i for i in ids}


def _other_id(workspace_id: str, model_id: str) -> str:
    return "m-" + hashlib.sha256(f"{workspace_id} {model_id}".encode()).hexdigest()[:32]


def _changed(given: In, file_table: FileTable, table: sa.Table, change: Change) -> Iterator[dict[str, Any]]:
    needed = [c.name for c in table.columns if not c.nullable and c.name in file_table.columns]
    for row in map(file_table.mapping, given.rows(file_table)):
        missing = [name for name in needed if row[name] is None]
        if missing:
            refuse(f"A row of table {file_table.name!r} lacks its {missing[0]!r}.")
        here = change(row)
        if here is not None:
            yield here


def _batches(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == _MANY:
            yield batch
            batch = []
    if batch:
        yield batch


def _with_owner(tx: Tx, table: sa.Table, rows: list[dict[str, Any]]) -> list[Mapping[str, Any]]:
    """Those whose run or model is there: what belonged to one in the trash did not leave with it."""
    for key in table.foreign_keys:
        owner, column = key.column.table, key.parent.name
        query = sa.select(owner.c.id).where(owner.c.id.in_({row[column] for row in rows}))
        there = {row[0] for row in tx.execute(query)}
        rows = [row for row in rows if row[column] in there]
    return list(rows)
