"""Brings what MLflow kept into a workspace: run by run, so that what is broken costs nothing else, and what is there is not
read again."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from modelyard import errors
from modelyard._client import Client, path
from modelyard.importing.file import WorkspaceFileMade, row_of, run_row
from modelyard.importing.mlflow_records import (
    Broken,
    Experiment,
    File,
    History,
    Model,
    Run,
    Source,
    SourceError,
    Version,
)
from modelyard.server.kernel.errors import ProblemError
from modelyard.server.models.transfer import MODELS, NAMES
from modelyard.server.runs import rules
from modelyard.server.runs.loading import RunRecord, SeriesRecord, summarised
from modelyard.server.runs.tracking import TYPE
from modelyard.server.runs.transfer import EXPERIMENTS
from modelyard.wire.artifacts import FileEntry
from modelyard.wire.runs import RunStatus
from modelyard.wire.search import RunQuery, RunsFound
from modelyard.wire.transfer import ImportReport
from modelyard.wire.trees import path_problem

# What one file brings at most: it is sent whole, and what it holds is what an interruption costs.
_RUNS = 200
_POINTS = 500_000
_BYTES = 128 << 20

_STATUSES = {
    "FINISHED": RunStatus.COMPLETED, "FAILED": RunStatus.FAILED, "KILLED": RunStatus.CANCELED, "RUNNING": RunStatus.CANCELED,
    "SCHEDULED": RunStatus.CANCELED,
}  # fmt: skip
_NOTE, _NAME, _PARENT = "mlflow.note.content", "mlflow.runName", "mlflow.parentRunId"


@dataclass
class Outcome:
    """What became of everything, and what could not be read: its name and why."""

    counts: dict[str, Counter[str]] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)
    known: int = 0  # runs that were there and needed no reading
    broken: list[tuple[str, str]] = field(default_factory=list)

    def add(self, report: ImportReport) -> None:
        for count in report.counts:
            mine = self.counts.setdefault(count.kind, Counter())
            for fate in ("added", "same", "skipped", "replaced", "renamed"):
                mine[fate] += getattr(count, fate)
            self.others += [f"{count.kind} {name}" for name in count.others]


@dataclass(frozen=True)
class Wanted:
    """`experiments`: only these, by name or id. `deleted`: what MLflow has deleted too, which goes to the trash."""

    experiments: Sequence[str] = ()
    deleted: bool = False
    merge: str = "skip"


class MlflowImport:
    def __init__(
        self, source: Source, client: Client, workspace: str, wanted: Wanted, tell: Callable[[str], None]
    ) -> None:
        self._source = source
        self._client = client
        self._workspace = workspace
        self._wanted = wanted
        self._tell = tell
        self._outcome = Outcome()
        self._file = WorkspaceFileMade()
        self._parents: dict[str, str] = {}  # run -> the run above it, of those that were seen

    def run(self) -> Outcome:
        """Everything. Raises SourceError when the source can't be read; what came before is kept."""
        try:
            for experiment in self._experiments():
                self._take_experiment(experiment)
            self._send()
            if not self._wanted.experiments:
                self._take_models()
        finally:
            self._file.close()
        return self._outcome

    def _experiments(self) -> list[Experiment]:
        every = self._source.experiments()
        wanted = set(self._wanted.experiments)
        unknown = wanted - {e.id for e in every} - {e.name for e in every}
        if unknown:
            names = ", ".join(repr(e.name) for e in every[:20])
            raise SourceError(f"The source has no experiment {min(unknown)!r}. It has: {names}.")
        return [
            e
            for e in every
            if (not wanted or {e.id, e.name} & wanted) and (self._wanted.deleted or not e.deleted)
        ]

    def _take_experiment(self, experiment: Experiment) -> None:
        runs = [
            run
            for run in self._source.runs(experiment, self._broken)
            if self._wanted.deleted or not run.deleted
        ]
        runs.sort(key=lambda run: (run.start_ms, run.id))  # parents before their children
        known = {run.id for run in runs} | set(self._parents)
        for run in runs:
            parent = run.tags.get(_PARENT, "")
            self._parents[run.id] = parent if parent in known and parent != run.id else ""
        row = _experiment_row(experiment)
        self._file.add_experiment(row)
        for start in range(0, len(runs), _RUNS):
            some = runs[start : start + _RUNS]
            there = self._there([run.id for run in some])
            for number, run in enumerate(some, start + 1):
                self._tell(f"{experiment.name}: run {number} of {len(runs)}")
                if self._is_known(run, there.get(run.id)):
                    self._outcome.known += 1
                    continue
                self._take_run(run, experiment, row, number)

    def _take_run(
        self, run: Run, experiment: Experiment, experiment_row: dict[str, Any], number: int
    ) -> None:
        try:
            record = self._record(run, experiment, experiment_row["id"], number)
        except (Broken, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            self._broken(run.id, _words(error))  # whatever is wrong with one run of someone else's store
            return
        self._file.add_run(record, experiment_row)
        if self._file.runs >= _RUNS or self._file.points >= _POINTS or self._file.size_bytes >= _BYTES:
            self._send()

    def _record(self, run: Run, experiment: Experiment, experiment_id: str, number: int) -> RunRecord:
        series = [series_of(history) for history in self._source.metrics(run)]
        files: list[tuple[FileEntry, float]] = []
        try:
            for entry in self._kept(run.id, self._source.artifacts(run)):
                files.append((entry, run.start_ms / 1000))
        except Broken as error:
            self._broken(run.id, f"without its files: {error}")
        return RunRecord(self._columns(run, experiment, experiment_id, number, series), series, files)

    def _columns(
        self,
        run: Run,
        experiment: Experiment,
        experiment_id: str,
        number: int,
        series: Sequence[SeriesRecord],
    ) -> dict[str, Any]:
        status = _STATUSES.get(run.status)
        if status is None:
            raise Broken(f"it has a status {run.status!r}, which MLflow does not know")
        tags = dict(run.tags)
        description, name = tags.pop(_NOTE, ""), tags.pop(_NAME, "")
        parent = self._parents.get(run.id, "")
        if parent:
            tags.pop(_PARENT, None)
        _check(run, description, tags)
        end, reason = run.end_ms, ""
        if run.status in ("RUNNING", "SCHEDULED"):
            reason = f"It was {run.status} in MLflow when it was imported."
            end = max([run.start_ms, *(int(s.summary["last_at"] * 1000) for s in series)])
        deleted_with = run.id if run.deleted else experiment_id if experiment.deleted else None
        return run_row(
            id=run.id,
            experiment_id=experiment_id,
            number=number,
            type=TYPE,
            status=status.value,
            status_reason=reason,
            display_name=run.name or name or run.id,
            description=description,
            parent_id=parent or None,
            root_id=self._root(run.id),
            tags=tags,
            params=run.params,
            user=run.user,
            created_at=run.start_ms / 1000,
            started_at=run.start_ms / 1000,
            ended_at=(run.start_ms if end is None else end) / 1000,
            deleted_at=(experiment.updated_ms if end is None else end) / 1000 if deleted_with else None,
            deleted_with=deleted_with,
        )

    def _root(self, run_id: str) -> str:
        seen = {run_id}
        while (above := self._parents.get(run_id, "")) and above not in seen:
            seen.add(above)
            run_id = above
        return run_id

    def _take_models(self) -> None:
        for model in self._source.models():
            self._tell(f"model {model.name}")
            file = self._file
            versions = []
            for version in model.versions:
                label = f"{model.name}:{version.version}"
                entries: list[FileEntry] = []
                try:
                    if version.files:
                        entries = list(self._kept(label, self._source.version_files(version)))
                except (Broken, OSError) as error:
                    self._broken(label, f"without its files: {_words(error)}")
                versions.append((_version_row(model, version), entries))
            file.add_model(_name_row(model), model.tags, model.aliases, versions)
            self._send()

    def _kept(self, owner: str, files: Iterable[File]) -> Iterator[FileEntry]:
        for file in files:
            problem = path_problem(file.path)
            if problem:
                self._broken(owner, f"without its file {file.path[:200]!r}: the path {problem}")
                continue
            yield self._file.keep(file.path, file.read())

    def _there(self, run_ids: Sequence[str]) -> dict[str, Any]:
        """Those of these runs that the workspace has."""
        words = ", ".join(f"'{run_id}'" for run_id in run_ids if run_id.isalnum())
        if not words:
            return {}
        query = RunQuery(filter=f"run_id IN ({words})", view="all", limit=len(run_ids), metrics=[])
        found: RunsFound = self._client.request(
            "POST",
            path("workspaces", self._workspace, "runs", "search"),
            query,
            kind=RunsFound,
            idempotent=True,
        )
        return {item.run.id: item.run for item in found.items}

    def _is_known(self, run: Run, there: Any) -> bool:
        """Whether the run is here as it ended there: MLflow's runs do not change after that but by hand."""
        if there is None or run.end_ms is None or self._wanted.merge != "skip":
            return False
        is_same_end = there.ended_at is not None and abs(there.ended_at * 1000 - run.end_ms) < 1
        return bool(is_same_end and there.status is _STATUSES.get(run.status))

    def _send(self) -> None:
        file, self._file = self._file, WorkspaceFileMade()
        try:
            report = file.send(self._client, self._workspace, self._wanted.merge, "MLflow")
        except errors.AzureMLException as error:
            if error.status != 422 or file.runs == 0:
                raise
            raise SourceError(str(error.message or error)) from error
        finally:
            file.close()
        self._outcome.add(report)

    def _broken(self, name: str, why: str) -> None:
        self._outcome.broken.append((name, why))


def _check(run: Run, description: str, tags: dict[str, str]) -> None:
    """Raises Broken for a run that the yard would refuse, and with it all that is sent beside it."""
    try:
        rules.check_run_id(run.id)
        for what, labels in (("tag", tags), ("parameter", run.params)):
            rules.check_labels(what, labels, rules.MAX_PROPERTY_VALUE)
        for what, text in (("name", run.name), ("user", run.user), ("description", description)):
            rules.check_text(f"The {what}", text, rules.MAX_PROPERTY_VALUE)
    except ProblemError as error:
        raise Broken(error.detail) from error


def series_of(history: History) -> SeriesRecord:
    import numpy  # heavy, and only here

    from modelyard.server.runs.arrays import Arrays, numbered

    if "\0" in history.key or not 0 < len(history.key) <= 255:
        raise Broken(f"a metric has the name {history.key[:80]!r}, which can't be kept")
    count = len(history.values)
    points = Arrays(
        numbered(0, count),
        numpy.array(history.steps, numpy.int64),
        numpy.ones(count, numpy.bool_),
        numpy.array(history.times_ms, numpy.int64),
        numpy.array(history.values, numpy.float64),
    )
    return summarised(history.key, points)


def _experiment_row(experiment: Experiment) -> dict[str, Any]:
    tags = dict(experiment.tags)
    description = tags.pop(_NOTE, "")
    # The same for the same experiment, so that one in the trash is found again.
    id_ = str(
        uuid.uuid5(uuid.NAMESPACE_URL, f"mlflow:{experiment.id}:{experiment.name}:{experiment.created_ms}")
    )
    at = experiment.updated_ms / 1000 if experiment.deleted else None
    return row_of(
        EXPERIMENTS, id=id_, name=experiment.name, tags=tags, description=description,
        created_at=experiment.created_ms / 1000, deleted_at=at, deleted_with=id_ if experiment.deleted else None,
        last_number=0, updated_at=experiment.updated_ms / 1000,
    )  # fmt: skip


def _name_row(model: Model) -> dict[str, Any]:
    return row_of(
        NAMES, name=model.name, last_version=max((v.version for v in model.versions), default=0), registered=True,
        description=model.description, created_at=model.created_ms / 1000, updated_at=model.updated_ms / 1000,
    )  # fmt: skip


def _version_row(model: Model, version: Version) -> dict[str, Any]:
    recorded = {"run_link": version.run_link} if version.run_link else {}
    return row_of(
        MODELS, name=model.name, version=version.version, request_id=f"mlflow:{model.name}:{version.version}",
        description=version.description, tags=version.tags, properties={}, framework="Custom", framework_version="",
        created_at=version.created_ms / 1000, user=version.user, run_id=version.run_id or None, experiment=None,
        recorded=recorded, stage=version.stage, source=version.source, updated_at=version.updated_ms / 1000,
    )  # fmt: skip


def _words(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
