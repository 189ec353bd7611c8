"""MLflow's SQLite file, read by SQL without MLflow; of MLflow 1.30 as of 3.x."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import quote

from modelyard.importing.mlflow_places import Places
from modelyard.importing.mlflow_records import (
    Experiment,
    File,
    History,
    Model,
    Run,
    SourceError,
    Version,
    files_below,
)

_MANY = 500
_TABLES = {"experiments", "runs", "metrics", "params", "tags"}
# MLflow can't keep infinities in SQL, so it keeps these; a script that logged one meant infinity.
_LARGEST = sys.float_info.max


class SqlSource:
    def __init__(self, file: str, artifacts: str | None = None) -> None:
        if not os.path.isfile(file):
            raise SourceError(f"There is no file {file}.")
        self._file = file
        try:
            self._db = sqlite3.connect(f"file:{quote(os.path.abspath(file))}?mode=ro", uri=True)
            self._db.row_factory = sqlite3.Row
            found = {
                row[0] for row in self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            }
        except sqlite3.Error as error:
            raise SourceError(f"{file} can't be read as a SQLite file: {error}.") from error
        if not found >= _TABLES:
            raise SourceError(f"{file} is no database of MLflow's: it has no table {min(_TABLES - found)!r}.")
        self._tables = found
        self._places = Places(artifacts, os.path.dirname(os.path.abspath(file)))

    def close(self) -> None:
        self._db.close()

    def experiments(self) -> list[Experiment]:
        tags: dict[str, dict[str, str]] = {}
        if "experiment_tags" in self._tables:
            for row in self._db.execute("SELECT * FROM experiment_tags"):
                tags.setdefault(str(row["experiment_id"]), {})[row["key"]] = row["value"] or ""
        return [
            Experiment(
                str(row["experiment_id"]), row["name"], tags.get(str(row["experiment_id"]), {}),
                _of(row, "creation_time") or 0, _of(row, "last_update_time") or _of(row, "creation_time") or 0,
                row["lifecycle_stage"] == "deleted",
            )
            for row in self._db.execute("SELECT * FROM experiments ORDER BY experiment_id")
        ]  # fmt: skip

    def runs(self, experiment: Experiment, problem: Callable[[str, str], None]) -> Iterable[Run]:
        query = "SELECT * FROM runs WHERE experiment_id = ? ORDER BY start_time, run_uuid"
        rows = self._db.execute(query, (int(experiment.id),))
        while some := rows.fetchmany(_MANY):
            ids = [row["run_uuid"] for row in some]
            labels = {table: self._labels(table, ids) for table in ("tags", "params")}
            for row in some:
                yield Run(
                    id=row["run_uuid"],
                    experiment_id=experiment.id,
                    name=row["name"] or "",
                    user=row["user_id"] or "",
                    status=row["status"] or "",
                    start_ms=row["start_time"] or 0,
                    end_ms=row["end_time"],
                    deleted=row["lifecycle_stage"] == "deleted",
                    tags=labels["tags"].get(row["run_uuid"], {}),
                    params=labels["params"].get(row["run_uuid"], {}),
                    artifacts=row["artifact_uri"] or "",
                )

    def metrics(self, run: Run) -> Iterator[History]:
        """By the time at which they were logged; the table keeps no other order."""
        found: dict[str, History] = {}
        query = "SELECT key, timestamp, step, value, is_nan FROM metrics WHERE run_uuid = ? ORDER BY key, timestamp, step"
        for key, at, step, value, is_nan in self._db.execute(query, (run.id,)):
            one = found.setdefault(key, History(key, [], [], []))
            number = float("nan") if is_nan else float(value)
            if abs(number) == _LARGEST:
                number = float("inf") if number > 0 else float("-inf")
            one.times_ms.append(at)  # type: ignore[attr-defined]  # lists, made right here
            one.steps.append(step or 0)  # type: ignore[attr-defined]
            one.values.append(number)  # type: ignore[attr-defined]
        yield from found.values()

    def artifacts(self, run: Run) -> Iterator[File]:
        return files_below(self._places.directory(run.artifacts)) if run.artifacts else iter(())

    def models(self) -> Iterator[Model]:
        if "registered_models" not in self._tables:
            return
        for row in self._db.execute("SELECT * FROM registered_models ORDER BY name"):
            name = row["name"]
            yield Model(
                name=name,
                description=row["description"] or "",
                created_ms=row["creation_time"] or 0,
                updated_ms=row["last_updated_time"] or row["creation_time"] or 0,
                tags=dict(map(tuple, self._of_name("registered_model_tags", "key, value", name))),
                aliases=dict(map(tuple, self._of_name("registered_model_aliases", "alias, version", name))),
                versions=[
                    self._version(name, v) for v in self._of_name("model_versions", "*", name, "version")
                ],
            )

    def version_files(self, version: Version) -> Iterator[File]:
        return files_below(self._places.directory(self._followed(version.files)))

    def _followed(self, address: str) -> str:
        """`models:/m-…` names a logged model of MLflow 3, `runs:/…` a run's files."""
        scheme, _, rest = address.partition(":/")
        name, _, below = rest.strip("/").partition("/")
        found = None
        if scheme == "models" and "logged_models" in self._tables:
            found = self._one("SELECT artifact_location FROM logged_models WHERE model_id = ?", name)
        elif scheme == "runs":
            found = self._one("SELECT artifact_uri FROM runs WHERE run_uuid = ?", name)
        if found is None:
            return address
        return f"{found}/{below}" if below else found

    def _one(self, query: str, value: str) -> str | None:
        row = self._db.execute(query, (value,)).fetchone()
        return None if row is None else row[0]

    def _version(self, name: str, row: sqlite3.Row) -> Version:
        query = "SELECT key, value FROM model_version_tags WHERE name = ? AND version = ?"
        tags = (
            dict(self._db.execute(query, (name, row["version"])).fetchall())
            if "model_version_tags" in self._tables
            else {}
        )
        return Version(
            version=row["version"],
            description=row["description"] or "",
            user=row["user_id"] or "",
            stage=row["current_stage"] or "None",
            source=row["source"] or "",
            run_id=row["run_id"] or "",
            run_link=_of(row, "run_link") or "",
            created_ms=row["creation_time"] or 0,
            updated_ms=row["last_updated_time"] or row["creation_time"] or 0,
            tags=tags,
            files=_of(row, "storage_location") or row["source"] or "",
        )

    def _of_name(self, table: str, columns: str, name: str, order: str = "1") -> list[sqlite3.Row]:
        if table not in self._tables:
            return []
        query = f"SELECT {columns} FROM {table} WHERE name = ? ORDER BY {order}"  # noqa: S608  # constants of this module
        return self._db.execute(query, (name,)).fetchall()

    def _labels(self, table: str, ids: list[str]) -> dict[str, dict[str, str]]:
        marks = ", ".join("?" * len(ids))
        found: dict[str, dict[str, str]] = {}
        query = f"SELECT run_uuid, key, value FROM {table} WHERE run_uuid IN ({marks})"  # noqa: S608  # as above
        for run_id, key, value in self._db.execute(query, ids):
            found.setdefault(run_id, {})[key] = value or ""
        return found


def _of(row: sqlite3.Row, column: str) -> Any:
    """None for a column that this version of MLflow does not have."""
    return row[column] if column in row.keys() else None  # noqa: SIM118  # of the row, not of its values
