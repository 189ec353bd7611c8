"""A run that is kept on this machine's disk: its folder, and the story in it (wire/told.py) of what happened to it.

<directory>/.lock                 held (shared) by every program that keeps runs here
            blobs/<sha256>        contents of files and snapshots, once for all runs
            snapshots/<id>        the files of a snapshot, as the canonical text of a tree
            <run id>/story.jsonl  what happened, a line each, child runs included; held while a process is the run
                     journal/<run id>.jsonl   the metrics of the run, and of each child run
"""

from __future__ import annotations

import dataclasses
import os
import time
from typing import Any, Dict, Iterator, MutableMapping, NamedTuple, Optional, Tuple

from modelyard import errors
from modelyard.runs.journal import SUFFIX, Journal
from modelyard.wire import codec
from modelyard.wire.runs import RunCreate, RunInfo, RunStatus, RunStatusReport, RunUpdate
from modelyard.wire.told import Told

STORY = "story"
MAX_LINE_BYTES = 4 << 20  # a yard takes a story in pieces of 8 MiB
_SYNC_S = 1.0
FINAL = frozenset([RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELED])


class Folder(NamedTuple):
    """The folder of one run in a directory of runs."""

    directory: str
    run_id: str

    @property
    def path(self) -> str:
        return os.path.join(self.directory, self.run_id)

    @property
    def story(self) -> str:
        return os.path.join(self.path, STORY + SUFFIX)

    @property
    def journals(self) -> str:
        return os.path.join(self.path, "journal")

    def journal(self, run_id: str) -> str:
        return os.path.join(self.journals, run_id + SUFFIX)

    def blob(self, hash_: str) -> str:
        return os.path.join(self.directory, "blobs", hash_)

    def snapshot(self, snapshot_id: str) -> str:
        return os.path.join(self.directory, "snapshots", snapshot_id)


def folders(directory: str) -> Iterator[Folder]:
    """The runs kept in a directory, by name; the one run whose folder it is."""
    whole = os.path.abspath(directory)
    if os.path.isfile(os.path.join(whole, STORY + SUFFIX)):
        yield Folder(os.path.dirname(whole), os.path.basename(whole))
        return
    for name in sorted(os.listdir(whole)):
        if os.path.isfile(os.path.join(whole, name, STORY + SUFFIX)):
            yield Folder(whole, name)


class Story:
    """The story as it is written: by the process that is the run, and by what it forks."""

    def __init__(self, folder: Folder) -> None:
        os.makedirs(folder.path, mode=0o700, exist_ok=True)  # what a run logs is its user's, as in a yard
        os.makedirs(folder.journals, mode=0o700, exist_ok=True)
        self._run_id = folder.run_id
        self._synced = 0.0
        self._journal = Journal(folder.path, STORY)
        hold(self._journal.fileno(), exclusive=False, wait=True)  # a sync that looks holds it for a moment

    def tell(self, *lines: Told) -> None:
        """Add lines: a kill loses none, a power cut at most those of the last second, and never the end of the run."""
        texts = [encoded(line) for line in lines]
        if max(map(len, texts)) > MAX_LINE_BYTES:
            raise errors.UserErrorException(
                f"That is {max(map(len, texts))} bytes to be kept of run {lines[0].run_id} at once; at most "
                f"{MAX_LINE_BYTES} are. Upload a file instead."
            )
        self._journal.write(b"".join(texts))
        is_end = any(line.run_id == self._run_id and line.status is not None for line in lines)
        if is_end or time.monotonic() - self._synced > _SYNC_S:
            os.fsync(self._journal.fileno())
            self._synced = time.monotonic()


def encoded(line: Told) -> bytes:
    """Fields that say nothing are left out, as the wire reads them back."""
    shown = {f.name: getattr(line, f.name) for f in dataclasses.fields(line)}
    return codec.dumps({name: value for name, value in shown.items() if value is not None}) + b"\n"


def lines(file: str, start: int = 0) -> Iterator[Tuple[Told, int, int]]:
    """Each whole line from byte `start` on, and where it begins and ends. What breaks off in the middle is passed over:
    its writer was killed, or the disk was full, before anybody was told that it is kept."""
    with open(file, "rb") as stream:
        stream.seek(start)
        end = start
        for text in stream:
            if not text.endswith(b"\n"):
                return
            begin, end = end, end + len(text)
            try:
                yield codec.loads(Told, text), begin, end
            except ValueError:
                continue


def open_lock(directory: str) -> int:
    """The file by which programs hold a directory of runs, made with it where it is new."""
    os.makedirs(directory, mode=0o700, exist_ok=True)
    ignore = os.path.join(directory, ".gitignore")
    if not os.path.exists(ignore):
        with open(ignore, "w", encoding="utf-8") as file:
            file.write("*\n")  # in a project these files are neither source nor part of a snapshot
    return os.open(os.path.join(directory, ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def hold(descriptor: int, exclusive: bool, wait: bool = False) -> bool:
    """Hold the lock of an open file until it is closed; False where somebody else holds it."""
    try:
        import fcntl  # not on every system; there nobody can tell whether a run's process lives
    except ImportError:
        return not exclusive
    kind = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
    try:
        fcntl.flock(descriptor, kind | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True


def begun(create: RunCreate, at: float, parent: Optional[RunInfo], number: int) -> RunInfo:
    """A run as it is right after the line that creates it."""
    return RunInfo(
        id=create.run_id,
        number=number,
        experiment=parent.experiment if parent is not None else create.experiment,
        experiment_id=parent.experiment_id if parent is not None else create.experiment,
        type=create.type,
        status=RunStatus.RUNNING if create.started else RunStatus.NOT_STARTED,
        status_reason="",
        display_name=create.display_name or create.run_id,
        description=create.description,
        parent_id=create.parent_id,
        root_id=parent.root_id if parent is not None else create.run_id,
        tags=dict(create.tags),
        properties=dict(create.properties),
        created_at=at,
        version=1,
        user=create.user,
        started_at=at if create.started else None,
        snapshot_id=create.snapshot_id,
    )


def updated(info: RunInfo, update: RunUpdate, at: float) -> RunInfo:
    """Raises Conflict for another value of a property or parameter, as the yard does."""
    _check_once("Property", "properties", info, info.properties, update.add_properties)
    _check_once("Parameter", "parameters", info, info.params, update.add_params)
    tags = {**info.tags, **update.set_tags}
    changes: Dict[str, Any] = {
        "tags": {k: v for k, v in tags.items() if k not in update.remove_tags},
        "properties": {**info.properties, **update.add_properties},
        "params": {**info.params, **update.add_params},
    }
    for name in ("display_name", "description", "snapshot_id"):
        if getattr(update, name) is not None:
            changes[name] = getattr(update, name)
    if update.archived is not None:
        changes["archived_at"] = at if update.archived else None
    return dataclasses.replace(info, version=info.version + 1, **changes)


def _check_once(
    what: str, all_of_them: str, info: RunInfo, held: Dict[str, str], new: Dict[str, str]
) -> None:
    for key, value in new.items():
        if held.get(key, value) != value:
            raise errors.Conflict(
                f"{what} {key!r} of run {info.id!r} is {held[key][:200]!r} and can't be changed: {all_of_them} are written "
                "once. Use a tag for what changes.",
                code="{}_is_immutable".format("property" if what == "Property" else "param"),
                status=409,
            )


def reported(info: RunInfo, report: RunStatusReport, at: float) -> RunInfo:
    """Raises Conflict for a run that is over."""
    if info.status in FINAL:
        if report.status is info.status:
            return info
        raise errors.Conflict(
            f"Run {info.id!r} is {info.status.value}; it can't become {report.status.value} any more.",
            code="run_is_final",
            status=409,
        )
    changes: Dict[str, Any] = {"status": report.status, "status_reason": report.reason}
    if report.status is RunStatus.RUNNING and info.started_at is None:
        changes["started_at"] = at
    if report.status in FINAL:
        changes["ended_at"] = max(at, info.started_at or info.created_at)
    if report.error is not None:
        changes["error"] = report.error
    if report.machine:
        changes["machine"] = {**info.machine, **report.machine}
    if report.environment_lock:
        changes["environment_lock"] = list(report.environment_lock)
    return dataclasses.replace(info, version=info.version + 1, **changes)


def replay(runs: MutableMapping[str, RunInfo], line: Told) -> None:
    """Bring `runs` (by id, parents before their children) up to what the line says. Raises Conflict."""
    if line.create is not None:
        parent = runs.get(line.create.parent_id or "")
        runs[line.run_id] = begun(line.create, line.at, parent, len(runs) + 1)
        if parent is not None:
            runs[parent.id] = dataclasses.replace(runs[parent.id], child_count=parent.child_count + 1)
    elif line.update is not None:
        runs[line.run_id] = updated(runs[line.run_id], line.update, line.at)
    elif line.status is not None:
        runs[line.run_id] = reported(runs[line.run_id], line.status, line.at)
        if line.status.status in FINAL:
            _end_children(runs, runs[line.run_id])


def _end_children(runs: MutableMapping[str, RunInfo], parent: RunInfo) -> None:
    """A child lives in its parent's process and ends with it, as in the yard."""
    if not parent.child_count:
        return
    for info in list(runs.values()):
        if info.parent_id == parent.id and info.status not in FINAL:
            not_started = info.status is RunStatus.NOT_STARTED
            runs[info.id] = dataclasses.replace(
                info,
                status=RunStatus.CANCELED if not_started else parent.status,
                status_reason=f"Its parent run {parent.id} ended as {parent.status.value}.",
                ended_at=parent.ended_at,
                version=info.version + 1,
            )
            _end_children(runs, runs[info.id])
