"""Sends runs that were kept offline to a yard: each thing once, whoever sends it, however often it is broken off."""

from __future__ import annotations

import concurrent.futures
import contextlib
import hashlib
import json
import os
import shutil
import socket
import threading
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Set, Tuple

from modelyard import errors, snapshot
from modelyard.runs import contents, story
from modelyard.runs.journal import SUFFIX
from modelyard.runs.scope import Scope
from modelyard.runs.story import Folder
from modelyard.wire.artifacts import FileEntry, Offset, SnapshotCreate, SnapshotInfo
from modelyard.wire.metrics import JournalTaken
from modelyard.wire.runs import RunError, RunInfo, RunStatus, RunStatusReport
from modelyard.wire.told import StoryTaken, Told

_CHUNK_BYTES = 5 << 20  # a line has at most 4 MiB, a yard takes 8 MiB at once
_PIECE_LINES = 50  # the yard takes a piece in one transaction, and others wait for it
_AT_ONCE = 8
_TAIL_BYTES = 64 << 10
_KILLED = "The process that was this run ended without a word: it was killed, or its machine went down."


class Kept(NamedTuple):
    """One run of a directory, as it is there. `is_alive`: a process of this machine is the run. `sent`: where all of it
    is by now, empty for nowhere."""

    folder: Folder
    info: RunInfo
    is_alive: bool
    sent: str
    size_bytes: int


class Sent(NamedTuple):
    """What became of one run in one pass. `is_over`: it has ended, and the yard has all of it."""

    run_id: str
    status: RunStatus
    sent_bytes: int
    is_over: bool
    passed_over: List[str]


def look(folder: Folder) -> Kept:
    """Raises UserErrorException for a folder whose story has no beginning."""
    runs, _ = _replayed(folder)
    root = runs.get(folder.run_id)
    if root is None:
        raise _no_run(folder)
    memory = _Memory(folder, "")
    is_alive = _is_alive(folder)
    is_sent = memory.has(_sizes(folder)) and (is_alive or root.status in story.FINAL)
    size_bytes = sum(_sizes(folder).values())
    return Kept(folder, root, is_alive, memory.where if is_sent else "", size_bytes)


def send(
    scope: Scope, folder: Folder, experiment: str = "", again: bool = False, ended: bool = False
) -> Sent:
    """Send what the yard lacks of one run and its children.

    `experiment` stands in the place of the run's own. `again`: ask the yard even where all was sent before, and send a run
    that was deleted there anew. `ended`: a run without an end, of another machine, is over.
    Raises Conflict for a run id that another run has, and what the yard refuses.
    """
    with _alone(folder):
        _end(folder, ended)
        if not _whole_lines(folder.story):
            raise _no_run(folder)
        return _Sending(scope, folder, experiment, again).all()


def forget(folder: Folder) -> None:
    """Take a run's folder away, and the contents that no other run of the directory names."""
    shutil.rmtree(folder.path, ignore_errors=True)
    lock = story.open_lock(folder.directory)
    try:
        if story.hold(lock, exclusive=True):  # else a program keeps runs here, and may be about to name some
            _clear(folder.directory)
    finally:
        os.close(lock)


def _no_run(folder: Folder) -> errors.UserErrorException:
    return errors.UserErrorException(
        f"{folder.path} holds no run: {folder.story} does not begin with one. Take the folder away."
    )


class _Sending:
    """One run on its way."""

    def __init__(self, scope: Scope, folder: Folder, experiment: str, again: bool) -> None:
        self._scope = scope
        self._folder = folder
        self._experiment = experiment
        self._again = again
        self._memory = _Memory.of(folder, scope)
        self._source = _source(folder)
        self._lock = threading.Lock()  # of the sums below: journals go several at once
        self._sent_bytes = 0
        self._passed_over: List[str] = []
        self._held: Dict[str, int] = {} if again else dict(self._memory.sizes)  # of journals, by run

    def all(self) -> Sent:
        sizes = _sizes(self._folder)
        runs, _ = _replayed(self._folder)
        status = runs[self._folder.run_id].status
        if self._again or not self._memory.has(sizes):
            self._tell()
            self._send_journals()
            self._memory.write(sizes, status)
        return Sent(self._folder.run_id, status, self._sent_bytes, status in story.FINAL, self._passed_over)

    def _tell(self) -> None:
        """Send the story on from where the yard has it; all metrics go before the line that says the run has ended."""
        at = end = self._held_story()
        pending: List[Told] = []
        for line, begin, end in story.lines(self._folder.story, at):
            is_end = line.status is not None and line.status.status in story.FINAL
            if is_end and line.run_id == self._folder.run_id:
                at, pending = self._send_story(pending, at, begin), []
                self._send_journals()
            if line.create is not None:
                self._held.setdefault(line.run_id, 0)
            pending.append(line)
            if len(pending) >= _PIECE_LINES or end - at >= story.MAX_LINE_BYTES:
                at, pending = self._send_story(pending, at, end), []
        self._send_story(pending, at, end)

    def _held_story(self) -> int:
        held = self._request("GET", "told", self._folder.run_id, {"source": self._source}, Offset).offset
        if not held and self._memory.sizes and not self._again:
            raise errors.UserErrorException(
                f"Run {self._folder.run_id} was sent to workspace {self._scope.workspace!r} before and is not there any "
                "more: somebody has deleted it. `modelyard sync --again` sends it anew; take the folder "
                f"{self._folder.path} away to forget it.",
                code="run_was_deleted",
            )
        return int(held)

    def _send_story(self, lines: List[Told], begin: int, end: int) -> int:
        """Send the bytes of these lines, the contents they name first; answers `end`."""
        if end > begin:
            self._bring(lines)
            query = {"source": self._source, "experiment": self._experiment or None}
            piece = _piece(self._folder.story, begin, end - begin)
            self._send_piece("told", self._folder.run_id, query, begin, piece)
        return end

    def _bring(self, lines: List[Told]) -> None:
        entries = [entry for line in lines if line.files is not None for entry in line.files.entries]
        self._upload(entries)
        for snapshot_id in dict.fromkeys(filter(None, map(_snapshot_of, lines))):
            try:
                held = contents.snapshot(self._folder, snapshot_id)
            except FileNotFoundError:
                continue  # the yard names it when it meets the line
            self._upload(held)
            with contextlib.suppress(errors.RequestRefused):  # contents are gone: the yard names it, too
                self._scope.client.request(
                    "POST",
                    self._scope.path("snapshots"),
                    SnapshotCreate(held),
                    kind=SnapshotInfo,
                    idempotent=True,
                )

    def _upload(self, entries: List[FileEntry]) -> None:
        files = {e.hash: e for e in entries if os.path.exists(self._folder.blob(e.hash))}
        if files:
            # Named by their hashes: the paths of different runs may be in each other's way.
            sources = [(hash_, self._folder.blob(hash_)) for hash_ in files]
            sent = snapshot.upload(self._scope.client, lambda rest: self._scope.path() + rest, sources)
            self._sent_bytes += sent.uploaded_bytes

    def _send_journals(self) -> None:
        """Several at once: many child runs have little to say each, and the yard commits what comes together together."""
        unsent = [
            run_id
            for run_id, size in _sizes(self._folder).items()
            if run_id and size > self._held.get(run_id, -1)
        ]
        with concurrent.futures.ThreadPoolExecutor(_AT_ONCE) as pool:
            for _ in pool.map(self._send_journal, unsent):
                pass  # raises what sending one has raised

    def _held_journal(self, run_id: str) -> int:
        if run_id not in self._held:
            try:
                answer = self._request("GET", "journal", run_id, {"source": run_id}, Offset)
            except errors.NotFound:  # a child that the yard could not keep, which sending says
                answer = Offset(0)
            self._held[run_id] = answer.offset
        return self._held[run_id]

    def _send_journal(self, run_id: str) -> None:
        file = self._folder.journal(run_id)
        if not _size(file):
            return
        query = {"source": run_id}
        while True:
            begin = self._held_journal(run_id)
            piece = _piece(file, begin, _CHUNK_BYTES)
            piece = piece[: piece.rfind(b"\n") + 1]
            if not piece:
                return
            try:
                self._held[run_id] = self._send_piece("journal", run_id, query, begin, piece)
            except errors.Conflict as error:
                if error.code != "stream_gap":
                    raise
                self._held[run_id] = int(error.extra["offset"])  # what we remember is not what the yard has
            except errors.NotFound:
                if run_id == self._folder.run_id:
                    raise
                self._passed_over.append(
                    f"The yard has no child run {run_id!r}, so its metrics are not kept."
                )
                return

    def _send_piece(self, kind: str, run_id: str, query: Dict[str, Any], begin: int, piece: bytes) -> int:
        answer = StoryTaken if kind == "told" else JournalTaken
        taken = self._request("POST", kind, run_id, {**query, "offset": begin}, answer, piece)
        with self._lock:
            self._sent_bytes += len(piece)
            self._passed_over += taken.passed_over
        return int(taken.offset)

    def _request(
        self,
        method: str,
        what: str,
        run_id: str,
        query: Dict[str, Any],
        kind: Any,
        content: Optional[bytes] = None,
    ) -> Any:
        return self._scope.client.request(
            method,
            self._scope.run_path(run_id, what),
            query=query,
            kind=kind,
            content=content,
            content_type="application/x-ndjson" if content is not None else None,
            idempotent=True,
        )


class _Memory:
    """What was sent of a run, and where to, as remembered beside it: so that a run that is all sent costs no request."""

    def __init__(self, folder: Folder, where: str) -> None:
        self._file = os.path.join(folder.path, "sent.json")
        self._where = where
        self.where = ""
        self.sizes: Dict[str, int] = {}
        self.status = ""
        try:
            with open(self._file, encoding="utf-8") as file:
                kept = json.load(file)
            if where in ("", kept["where"]):
                self.where, self.sizes, self.status = kept["where"], dict(kept["sizes"]), kept["status"]
        except (OSError, ValueError, KeyError, TypeError):
            pass  # nothing was sent yet, or it can't be read: the yard knows

    @classmethod
    def of(cls, folder: Folder, scope: Scope) -> _Memory:
        return cls(folder, f"{scope.client.url} {scope.workspace}")

    def has(self, sizes: Dict[str, int]) -> bool:
        return self.sizes == sizes

    def write(self, sizes: Dict[str, int], status: RunStatus) -> None:
        with contents.replacing(self._file) as file:
            kept = {"where": self._where, "sizes": sizes, "status": status.value}
            file.write(json.dumps(kept).encode("utf-8"))


def _snapshot_of(line: Told) -> Optional[str]:
    told = line.create or line.update
    return told.snapshot_id if told is not None else None


def _source(folder: Folder) -> str:
    """The name of the story: that of its first line, so that each copy of the folder has the same."""
    with open(folder.story, "rb") as file:
        return hashlib.sha256(file.readline()).hexdigest()[:32]


def _replayed(folder: Folder) -> Tuple[Dict[str, RunInfo], float]:
    """The runs as the story leaves them, and when its last line was told."""
    runs: Dict[str, RunInfo] = {}
    at = 0.0
    for line, _, _ in story.lines(folder.story):
        with contextlib.suppress(
            errors.Conflict, KeyError
        ):  # two processes of a run may contradict each other
            story.replay(runs, line)
        at = max(at, line.at)
    return runs, at


def _size(file: str) -> int:
    try:
        return os.path.getsize(file)
    except OSError:
        return 0


def _sizes(folder: Folder) -> Dict[str, int]:
    """Bytes of each journal by its run, and of the story under no name."""
    found = {"": _size(folder.story)}
    for entry in os.scandir(folder.journals):
        if entry.name.endswith(SUFFIX):
            found[entry.name[: -len(SUFFIX)]] = entry.stat().st_size
    return found


def _piece(file: str, begin: int, size: int) -> bytes:
    with open(file, "rb") as stream:
        stream.seek(begin)
        return stream.read(size)


def _whole_lines(file: str) -> int:
    """Where the last whole line ends; 0 where there is none."""
    end = _size(file)
    while end:
        begin = max(0, end - _TAIL_BYTES)
        found = _piece(file, begin, end - begin).rfind(b"\n") + 1
        if found:
            return begin + found
        end = begin
    return 0


@contextlib.contextmanager
def _alone(folder: Folder) -> Iterator[None]:
    """One sync of a run at a time on this machine; more would only do the same work twice."""
    lock = os.open(os.path.join(folder.path, ".sync"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        story.hold(lock, exclusive=True, wait=True)
        yield
    finally:
        os.close(lock)


def _is_alive(folder: Folder) -> bool:
    file = os.open(folder.story, os.O_RDWR)
    try:
        return not story.hold(file, exclusive=True)
    finally:
        os.close(file)


def _end(folder: Folder, ended: bool) -> None:
    """Write the end of a run whose process is gone. What broke off after the last whole line goes."""
    file = os.open(folder.story, os.O_RDWR | os.O_APPEND)
    try:
        if not story.hold(file, exclusive=True):
            return
        runs, at = _replayed(folder)
        root = runs.get(folder.run_id)
        if root is None or root.status in story.FINAL:
            return
        if not ended and root.machine.get("hostname") != socket.gethostname():
            return
        report = RunStatusReport(RunStatus.FAILED, _KILLED, error=RunError("LostRunHost", _KILLED))
        os.ftruncate(file, _whole_lines(folder.story))
        at = max([at, *(_last_record(folder.journal(run_id)) for run_id in runs)])
        os.write(file, story.encoded(Told(at, root.id, status=report)))
        os.fsync(file)
    finally:
        os.close(file)


def _last_record(journal: str) -> float:
    """Unix time of the last metric; 0 where there is none."""
    size = _size(journal)
    tail = _piece(journal, max(0, size - _TAIL_BYTES), _TAIL_BYTES) if size else b""
    for line in reversed(tail.split(b"\n")[:-1]):
        with contextlib.suppress(ValueError, KeyError, TypeError):
            return float(json.loads(line.decode("utf-8"))["t"]) / 1000
    return 0.0


def _clear(directory: str) -> None:
    """Take away contents that no run of the directory names."""
    named: Set[str] = set()
    for folder in story.folders(directory):
        for line, _, _ in story.lines(folder.story):
            snapshot_id = _snapshot_of(line)
            if snapshot_id:
                named.add(snapshot_id)
                with contextlib.suppress(OSError):
                    named.update(entry.hash for entry in contents.snapshot(folder, snapshot_id))
            if line.files is not None:
                named.update(entry.hash for entry in line.files.entries)
    for kind in ("blobs", "snapshots"):
        with contextlib.suppress(FileNotFoundError):
            for name in os.listdir(os.path.join(directory, kind)):
                if name not in named:
                    os.unlink(os.path.join(directory, kind, name))
