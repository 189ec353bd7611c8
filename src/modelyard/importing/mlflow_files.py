"""An `mlruns` folder: MLflow's file store, read without MLflow."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from modelyard.importing.mlflow_places import Places
from modelyard.importing.mlflow_records import (
    STATUSES,
    Broken,
    Experiment,
    File,
    History,
    Model,
    Run,
    SourceError,
    Version,
    files_below,
)

_TRASH = ".trash"
_MODELS = "models"
_META = "meta.yaml"


class FileSource:
    def __init__(self, folder: str, artifacts: str | None = None) -> None:
        self._folder = os.path.abspath(folder)
        if not any(os.path.isfile(os.path.join(path, _META)) for path in self._experiment_folders()):
            raise SourceError(f"{folder} is no mlruns folder: no folder in it has a {_META}.")
        self._places = Places(artifacts, os.path.dirname(self._folder))
        self._folder_of: dict[str, str] = {}  # run or experiment id -> its folder

    def experiments(self) -> list[Experiment]:
        found = []
        for path in self._experiment_folders():
            if not os.path.isfile(os.path.join(path, _META)):
                continue
            meta = _meta(path)
            experiment_id = str(meta.get("experiment_id", os.path.basename(path)))
            self._folder_of[experiment_id] = path
            created = _whole(meta.get("creation_time"), _mtime_ms(path))
            deleted = meta.get("lifecycle_stage") == "deleted" or f"{os.sep}{_TRASH}{os.sep}" in path
            found.append(
                Experiment(
                    experiment_id,
                    str(meta.get("name", experiment_id)),
                    _texts(os.path.join(path, "tags")),
                    created,
                    _whole(meta.get("last_update_time"), created),
                    deleted,
                )
            )
        return found

    def runs(self, experiment: Experiment, problem: Callable[[str, str], None]) -> Iterable[Run]:
        folder = self._folder_of[experiment.id]
        for name in sorted(os.listdir(folder)):
            path = os.path.join(folder, name)
            if name in ("tags", "datasets", _MODELS) or not os.path.isdir(path):
                continue
            try:
                run = self._run(path, experiment)
            except (Broken, OSError, UnicodeDecodeError) as error:
                problem(name, str(error))
                continue
            self._folder_of[run.id] = path
            yield run

    def metrics(self, run: Run) -> Iterator[History]:
        folder = os.path.join(self._folder_of[run.id], "metrics")
        for key, path in _named(folder):
            times: list[int] = []
            steps: list[int] = []
            values: list[float] = []
            for line in _lines(path):
                parts = line.split(" ")
                try:
                    times.append(int(parts[0]))
                    values.append(float(parts[1]))
                    steps.append(int(parts[2]) if len(parts) > 2 else 0)
                except (ValueError, IndexError) as error:
                    raise Broken(f"metric {key!r} has a line {line[:80]!r} that is none") from error
            if values:
                yield History(key, times, steps, values)

    def artifacts(self, run: Run) -> Iterator[File]:
        beside = os.path.join(self._folder_of[run.id], "artifacts")
        if run.artifacts and not (
            os.path.isdir(beside) and os.listdir(beside)
        ):  # of an experiment with a place of its own
            return files_below(self._places.directory(run.artifacts))
        return files_below(beside)

    def close(self) -> None:
        pass

    def models(self) -> Iterator[Model]:
        root = os.path.join(self._folder, _MODELS)
        for name in sorted(os.listdir(root)) if os.path.isdir(root) else ():
            path = os.path.join(root, name)
            if os.path.isfile(os.path.join(path, _META)):
                yield self._model(path)

    def version_files(self, version: Version) -> Iterator[File]:
        return files_below(self._places.directory(version.files))

    def _experiment_folders(self) -> list[str]:
        if not os.path.isdir(self._folder):
            raise SourceError(f"{self._folder} is no folder.")
        found = []
        for root in (self._folder, os.path.join(self._folder, _TRASH)):
            for name in sorted(os.listdir(root)) if os.path.isdir(root) else ():
                if name not in (_TRASH, _MODELS) and os.path.isdir(os.path.join(root, name)):
                    found.append(os.path.join(root, name))
        return found

    def _run(self, path: str, experiment: Experiment) -> Run:
        meta = _meta(path)
        run_id = str(meta.get("run_id") or meta.get("run_uuid") or "")
        status = meta.get("status")
        if not run_id or (status not in STATUSES and status not in STATUSES.values()):
            raise Broken(f"its {_META} lacks a run id or a status")
        tags = _texts(os.path.join(path, "tags"))
        end = meta.get("end_time")
        return Run(
            id=run_id,
            experiment_id=experiment.id,
            name=str(meta.get("run_name") or meta.get("name") or ""),
            user=str(meta.get("user_id") or ""),
            status=STATUSES.get(status, str(status)),  # type: ignore[arg-type]  # looked up above
            start_ms=_whole(meta.get("start_time"), _mtime_ms(path)),
            end_ms=None if end is None else _whole(end, 0),
            deleted=meta.get("lifecycle_stage") == "deleted",
            tags=tags,
            params=_texts(os.path.join(path, "params")),
            artifacts=str(meta.get("artifact_uri") or ""),
        )

    def _model(self, path: str) -> Model:
        meta = _meta(path)
        versions = []
        for name in os.listdir(path):
            if name.startswith("version-") and os.path.isfile(os.path.join(path, name, _META)):
                versions.append(self._version(os.path.join(path, name)))
        aliases = {key: _whole(text, 0) for key, text in _texts(os.path.join(path, "aliases")).items()}
        created = _whole(meta.get("creation_timestamp"), _mtime_ms(path))
        return Model(
            name=str(meta.get("name") or os.path.basename(path)),
            description=str(meta.get("description") or ""),
            created_ms=created,
            updated_ms=_whole(meta.get("last_updated_timestamp"), created),
            tags=_texts(os.path.join(path, "tags")),
            aliases=aliases,
            versions=sorted(versions, key=lambda v: v.version),
        )

    def _version(self, path: str) -> Version:
        meta = _meta(path)
        created = _whole(meta.get("creation_timestamp"), _mtime_ms(path))
        source = str(meta.get("source") or "")
        return Version(
            version=_whole(meta.get("version"), 0),
            description=str(meta.get("description") or ""),
            user=str(meta.get("user_id") or ""),
            stage=str(meta.get("current_stage") or "None"),
            source=source,
            run_id=str(meta.get("run_id") or ""),
            run_link=str(meta.get("run_link") or ""),
            created_ms=created,
            updated_ms=_whole(meta.get("last_updated_timestamp"), created),
            tags=_texts(os.path.join(path, "tags")),
            files=str(meta.get("storage_location") or source),
        )


def _meta(folder: str) -> dict[str, Any]:
    import yaml  # only where MLflow's files are read

    try:
        with open(os.path.join(folder, _META), encoding="utf-8") as file:
            found = yaml.safe_load(file)
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise Broken(f"its {_META} can't be read: {' '.join(str(error).split())[:200]}") from error
    if not isinstance(found, dict):
        raise Broken(f"its {_META} holds no mapping")
    return found


def _named(folder: str) -> Iterator[tuple[str, str]]:
    """Name and file of each; a name with slashes is a path."""
    for file in files_below(folder):
        yield file.path, os.path.join(folder, *file.path.split("/"))


def _texts(folder: str) -> dict[str, str]:
    found = {}
    for name, path in _named(folder):
        with open(path, encoding="utf-8") as file:
            found[name] = file.read()
    return found


def _lines(path: str) -> Iterator[str]:
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line.strip():
                yield line.strip()


def _whole(value: object, otherwise: int) -> int:
    try:
        return int(str(value))
    except ValueError:
        return otherwise


def _mtime_ms(path: str) -> int:
    return int(os.stat(path).st_mtime * 1000)
