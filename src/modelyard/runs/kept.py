"""A yard that is a directory: answers what a run asks of one, and keeps the run on this machine's disk (runs/story.py).

Run, Experiment and Workspace speak to it as to any yard, so a script runs unchanged; `modelyard sync` sends what it keeps.
"""

from __future__ import annotations

import os
import re
import time
import urllib.parse
from collections import ChainMap
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple

from modelyard import errors
from modelyard._client import Answer, Client, Content
from modelyard.runs import contents, story
from modelyard.runs.journal import Journal
from modelyard.runs.sending import Sender
from modelyard.runs.story import Folder, Story
from modelyard.wire import codec
from modelyard.wire.artifacts import (
    BlobQuery,
    BlobsMissing,
    BlobsStored,
    FileEntry,
    FileInfo,
    FileList,
    FilesAdd,
    SnapshotCreate,
    SnapshotInfo,
)
from modelyard.wire.experiments import ExperimentInfo
from modelyard.wire.metrics import MetricPoints, MetricsAnswer, RunMetrics, SeriesAnswer, SeriesQuery
from modelyard.wire.runs import (
    ChildrenCreate,
    RunCreate,
    RunInfo,
    RunList,
    RunStatus,
    RunStatusReport,
    RunUpdate,
)
from modelyard.wire.told import Told
from modelyard.wire.workspaces import WorkspaceInfo, WorkspaceList

if TYPE_CHECKING:
    from modelyard._transport import Connections

_CHILD = "azureml.childrun"
_FILES_A_LINE = 2_000
_PAGE = 10_000  # points of a metric, as a yard answers them
_LOOK_S = 0.5
_ALL = "/api/v1/workspaces"
_ONE = _ALL + "/(?P<workspace>[^/]+)"
_RUN = _ONE + "/runs/(?P<run>[^/]+)"
_LABELS = ("subscription_id", "resource_group", "location", "sku", "friendly_name", "description")


class KeptRuns(Client):
    """The client of a directory. Reading is of runs that this process began."""

    def __init__(self, directory: str, reason: str = "") -> None:
        self.directory = os.path.abspath(directory)
        super().__init__("http://offline", "")
        self.url = "file://" + self.directory  # where a person finds the run
        self.sender = _KeptHere(self)
        self._reason = reason
        self._runs: Dict[str, RunInfo] = {}
        self._files: Dict[str, Dict[str, FileInfo]] = {}
        self._stories: Dict[str, Story] = {}  # by root run
        self._lock_file: Optional[int] = None

    @property
    def is_local(self) -> bool:
        return True

    @property
    def _here(self) -> Folder:
        return Folder(self.directory, "")

    def folder(self, run_id: str) -> Folder:
        return Folder(self.directory, self._known(run_id).root_id)

    def raw(
        self,
        method: str,
        path: str,
        body: Any = None,
        query: Optional[Mapping[str, Any]] = None,
        content: Optional[Content] = None,
        content_type: Optional[str] = None,
        headers: Optional[Mapping[str, str]] = None,
        idempotent: Optional[bool] = None,
        content_length: Optional[int] = None,
        timeout_s: Optional[float] = None,
        patience_s: Optional[float] = None,
    ) -> Answer:
        for verb, pattern, answer in _ROUTES:
            found = pattern.match(path) if verb == method else None
            if found:
                said = answer(self, found, _Asked(body, query or {}, content))
                return said if isinstance(said, Answer) else Answer(200, {}, codec.dumps(said))
        raise self._offline(f"{method} {path}")

    def download(
        self,
        path: str,
        target: str,
        query: Optional[Mapping[str, Any]] = None,
        timeout_s: Optional[float] = None,
    ) -> int:
        content = self.raw("GET", path).body
        os.makedirs(os.path.dirname(os.path.abspath(target)), exist_ok=True)
        with open(target, "wb") as file:
            file.write(content)
        return len(content)

    def close(self) -> None:
        """Nothing is open that another thread would not need."""

    def _new_wire(self) -> Connections:
        raise self._offline("This")

    def _offline(self, what: str) -> errors.RunEnvironmentException:
        return errors.RunEnvironmentException(
            f"{what} needs a yard, and this run is kept offline in {self.directory}{self._reason}. "
            "`modelyard sync` sends it to a yard later.",
            code="offline",
        )

    def _known(self, run_id: str) -> RunInfo:
        try:
            return self._runs[run_id]
        except KeyError:
            raise errors.NotFound(
                f"This program keeps no run {run_id!r} in {self.directory}.", code="no_such_run", status=404
            ) from None

    def _tell(self, run_id: str, *told: Told) -> RunInfo:
        """Say that something happened, once it was seen to be possible."""
        changed: Dict[str, RunInfo] = {}
        after = ChainMap(changed, self._runs)
        for line in told:
            story.replay(after, line)
        root = after[run_id].root_id
        writer = self._stories.get(root)
        if writer is None:
            self._hold_directory()
            writer = self._stories[root] = Story(Folder(self.directory, root))
        writer.tell(*told)
        self._runs.update(changed)
        return self._runs[run_id]

    def _hold_directory(self) -> None:
        """Contents that nothing names are cleared away only while no program holds the directory."""
        if self._lock_file is None:
            try:
                self._lock_file = story.open_lock(self.directory)
            except OSError as error:
                raise errors.UserErrorException(
                    f"Runs can't be kept in {self.directory}: {error.strerror or error}. Name a directory that can be "
                    "written to: MODELYARD_OFFLINE_DIR, or Workspace.offline(directory).",
                    inner_exception=error,
                ) from error
            story.hold(self._lock_file, exclusive=False, wait=True)

    # What is asked, a method each. `found` holds the parts of the path.

    def _workspaces(self, found: Any, asked: _Asked) -> WorkspaceList:
        return WorkspaceList([_workspace("default")])

    def _workspace(self, found: Any, asked: _Asked) -> WorkspaceInfo:
        return _workspace(found["workspace"])

    def _experiment(self, found: Any, asked: _Asked) -> ExperimentInfo:
        name = asked.body.name if asked.body is not None else found["experiment"]
        return ExperimentInfo(name, name, {}, "", time.time())

    def _missing(self, found: Any, asked: _Asked) -> BlobsMissing:
        query: BlobQuery = asked.body
        self._hold_directory()
        return BlobsMissing(
            [h for h in dict.fromkeys(query.hashes) if not os.path.exists(self._here.blob(h))]
        )

    def _blobs(self, found: Any, asked: _Asked) -> BlobsStored:
        self._hold_directory()
        content = asked.content
        return contents.keep_frames(self._here, content() if callable(content) else [content or b""])

    def _make_snapshot(self, found: Any, asked: _Asked) -> SnapshotInfo:
        create: SnapshotCreate = asked.body
        self._hold_directory()
        return _snapshot_info(contents.keep_snapshot(self._here, create.entries), create.entries)

    def _snapshot(self, found: Any, asked: _Asked) -> SnapshotInfo:
        try:
            return _snapshot_info(found["snapshot"], contents.snapshot(self._here, found["snapshot"]))
        except FileNotFoundError:
            raise errors.NotFound(
                f"There is no snapshot {found['snapshot']!r} in {self.directory}.",
                code="no_such_snapshot",
                status=404,
            ) from None

    def _create(self, found: Any, asked: _Asked) -> RunInfo:
        create: RunCreate = asked.body
        if create.spec is not None:
            raise errors.RunEnvironmentException(
                f"Run {create.run_id} can't be submitted: it would be kept offline in {self.directory}{self._reason}, "
                "where nothing runs it. Run the script yourself, or start a yard with `modelyard up`.",
                code="offline",
            )
        if create.run_id in self._runs or os.path.exists(Folder(self.directory, create.run_id).story):
            raise errors.Conflict(
                f"Run id {create.run_id!r} is taken in {self.directory}.", code="run_id_taken", status=409
            )
        told = [Told(time.time(), create.run_id, create=create)]
        if create.parent_id is None:
            told.append(Told(told[0].at, create.run_id, status=_surroundings()))
        else:
            self._open_parent(create.parent_id)
        return self._tell(create.run_id, *told)

    def _open_parent(self, run_id: str) -> RunInfo:
        parent = self._known(run_id)
        if parent.status in story.FINAL:
            raise errors.Conflict(
                f"Run {run_id!r} is {parent.status.value}; it can have no new child runs.",
                code="run_is_final",
                status=409,
            )
        return parent

    def _create_children(self, found: Any, asked: _Asked) -> RunList:
        body: ChildrenCreate = asked.body
        parent, at = self._open_parent(found["run"]), time.time()
        told = []
        for position, run_id in enumerate(body.run_ids):
            tags = {body.tag_key: body.tag_values[position]} if body.tag_key else {}
            create = RunCreate(run_id, "", parent_id=parent.id, type=_CHILD, tags=tags)
            told.append(Told(at, run_id, create=create))
        self._tell(parent.id, *told)
        return RunList([self._runs[run_id] for run_id in body.run_ids])

    def _run(self, found: Any, asked: _Asked) -> RunInfo:
        info = self._known(found["run"])
        wait_s = asked.query.get("wait_s", 0.0)
        if wait_s and info.version <= asked.query.get("wait_version", 0):
            time.sleep(min(wait_s, _LOOK_S))
        return self._known(info.id)

    def _children(self, found: Any, asked: _Asked) -> RunList:
        wanted = {self._known(found["run"]).id}
        below = []
        for info in self._runs.values():  # parents come before their children
            if info.parent_id in wanted:
                below.append(info)
                if asked.query.get("recursive"):
                    wanted.add(info.id)
        return RunList(below)

    def _update(self, found: Any, asked: _Asked) -> RunInfo:
        update: RunUpdate = asked.body
        self._known(found["run"])
        return self._tell(found["run"], Told(time.time(), found["run"], update=update))

    def _status(self, found: Any, asked: _Asked) -> RunInfo:
        report: RunStatusReport = asked.body
        info = self._known(found["run"])
        if info.status in story.FINAL and info.status is report.status:
            return info
        return self._tell(info.id, Told(time.time(), info.id, status=report))

    def _cancel(self, found: Any, asked: _Asked) -> RunInfo:
        report = RunStatusReport(RunStatus.CANCELED, reason="Cancelled by its owner.")
        return self._status(found, asked._replace(body=report))

    def _add_files(self, found: Any, asked: _Asked) -> FileList:
        add: FilesAdd = asked.body
        info, held = self._known(found["run"]), self._files.setdefault(found["run"], {})
        for entry in add.entries:
            if not add.overwrite and entry.path in held and held[entry.path].hash != entry.hash:
                raise errors.Conflict(
                    f"Run {info.id!r} has a file {entry.path!r} already, with other content. Choose another path.",
                    code="file_exists",
                    status=409,
                )
        at = time.time()
        parts = [add.entries[i : i + _FILES_A_LINE] for i in range(0, len(add.entries), _FILES_A_LINE)]
        self._tell(info.id, *(Told(at, info.id, files=FilesAdd(part, add.overwrite)) for part in parts))
        added = [FileInfo(e.path, e.size, at, e.hash) for e in add.entries]
        held.update((one.path, one) for one in added)
        return FileList(added)

    def _list_files(self, found: Any, asked: _Asked) -> FileList:
        held = self._files.get(self._known(found["run"]).id, {})
        return FileList([held[path] for path in sorted(held)])

    def _file(self, found: Any, asked: _Asked) -> Answer:
        path = urllib.parse.unquote(found["path"])
        held = self._files.get(self._known(found["run"]).id, {}).get(path)
        if held is None:
            raise errors.NotFound(
                f"Run {found['run']!r} has no file {path!r}.", code="no_such_file", status=404
            )
        with open(self.folder(found["run"]).blob(held.hash or ""), "rb") as file:
            return Answer(200, {}, file.read())

    def _metrics(self, found: Any, asked: _Asked) -> MetricsAnswer:
        wanted = [self._known(found["run"])]
        if asked.query.get("recursive"):
            wanted += self._children(found, asked).items
        name = asked.query.get("name")
        return MetricsAnswer(
            [
                RunMetrics(info.id, contents.metrics(self.folder(info.id).journal(info.id), name))
                for info in wanted
            ]
        )

    def _points(self, found: Any, asked: _Asked) -> MetricPoints:
        name, after = urllib.parse.unquote(found["metric"]), asked.query.get("after", 0)
        journal = self.folder(found["run"]).journal(found["run"])
        return contents.points(journal, name, after, asked.query.get("limit", _PAGE))

    def _series(self, found: Any, asked: _Asked) -> SeriesAnswer:
        query: SeriesQuery = asked.body
        items = [
            one for run in query.runs for one in contents.series(self.folder(run).journal(run), run, query)
        ]
        return SeriesAnswer(items)


class _Asked(NamedTuple):
    """What came with a request."""

    body: Any
    query: Mapping[str, Any]
    content: Optional[Content]


class _KeptHere(Sender):
    """Nothing is sent: a record is where it belongs once it is written. Runs end with the process, as with any yard."""

    def __init__(self, yard: KeptRuns) -> None:
        super().__init__()
        self._yard = yard

    def open(self, scope: Any, run_id: str) -> Journal:
        return Journal(self._yard.folder(run_id).journals, run_id)

    def flush(self, run_id: str, timeout_s: float) -> None:
        pass

    def _start(self) -> None:
        self._end_with_process()


_K = KeptRuns
_ROUTES: List[Tuple[str, Any, Callable[[KeptRuns, Any, _Asked], Any]]] = [
    (verb, re.compile(pattern + r"\Z"), answer)
    for verb, pattern, answer in (
        ("GET", _ALL, _K._workspaces),
        ("GET", _ONE, _K._workspace),
        ("POST", _ONE + "/experiments", _K._experiment),
        ("GET", _ONE + "/experiments/(?P<experiment>[^/]+)", _K._experiment),
        ("POST", _ONE + "/blobs/missing", _K._missing),
        ("POST", _ONE + "/blobs", _K._blobs),
        ("POST", _ONE + "/snapshots", _K._make_snapshot),
        ("GET", _ONE + "/snapshots/(?P<snapshot>[0-9a-f]+)", _K._snapshot),
        ("POST", _ONE + "/runs", _K._create),
        ("GET", _RUN, _K._run),
        ("PATCH", _RUN, _K._update),
        ("POST", _RUN + "/status", _K._status),
        ("POST", _RUN + "/cancel", _K._cancel),
        ("POST", _RUN + "/children", _K._create_children),
        ("GET", _RUN + "/children", _K._children),
        ("POST", _RUN + "/files", _K._add_files),
        ("GET", _RUN + "/files", _K._list_files),
        ("GET", _RUN + "/files/(?P<path>.+)", _K._file),
        ("POST", _ONE + "/metric-series", _K._series),
        ("GET", _RUN + "/metrics", _K._metrics),
        ("GET", _RUN + "/metrics/(?P<metric>.+)/points", _K._points),
    )
]


def _workspace(name: str) -> WorkspaceInfo:
    return codec.from_json(
        WorkspaceInfo, {"id": name, "name": name, **dict.fromkeys(_LABELS, ""), "tags": {}, "created_at": 0.0}
    )


def _snapshot_info(snapshot_id: str, entries: List[FileEntry]) -> SnapshotInfo:
    return SnapshotInfo(snapshot_id, len(entries), sum(e.size for e in entries), time.time(), entries)


def _surroundings() -> RunStatusReport:
    """What an offline run is executed by: nobody else will ever tell."""
    from modelyard import machine  # starts processes to look for graphics cards, once a run

    return RunStatusReport(RunStatus.RUNNING, machine=machine.record(), environment_lock=machine.packages())
