"""Sends what grows while a run goes on (journals and logs) to the yard, by offset, so that nothing counts twice."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, field
from pathlib import Path

from modelyard.node import records
from modelyard.node.link import Link, Refused, Stale, workspace_path
from modelyard.node.records import RunDir
from modelyard.wire.metrics import JournalTaken

log = logging.getLogger(__name__)

_CHUNK = 1024 * 1024
_LONGEST_LINE = 64 * 1024 * 1024
_MOST_PASSED_OVER = 10  # lines of one journal, as warnings of the run
_MOST_LOGS = 500  # live at the same time; all are collected as files at the end
SYSTEM_JOURNAL = "system.jsonl"


@dataclass
class Stream:
    """One growing file and the append-only stream it feeds. `base`: where in the stream this file begins, which is
    not 0 after the file was truncated or replaced; `held`: what the yard has, None until asked."""

    path: Path
    route: str
    query: dict[str, str]
    whole_lines: bool
    held: int | None = 0
    base: int = 0
    inode: int = 0
    is_own: bool = True  # of the run itself, not of a child run
    closed: bool = False
    passed_over: list[str] = field(
        default_factory=list
    )  # what the yard said it could not keep, the first of it

    def pump(self, link: Link) -> bool:
        """Send the next piece. True if there was one. Raises Away, Stale, Refused."""
        try:
            with open(self.path, "rb") as file:
                status = os.fstat(file.fileno())
                if self.held is None:
                    self.held = self._post(link, 0, b"")
                self._look_for_restart(status)
                if self.base + status.st_size <= self.held:
                    return False
                piece = self._piece(file.fileno(), self.held - self.base)
        except FileNotFoundError:
            return False
        if not piece:
            return False
        offset = self.held
        try:
            self.held = self._post(link, offset, piece)
        except Refused as error:
            if error.code != "stream_gap" or not isinstance(error.extra.get("offset"), int):
                raise
            self.held = int(error.extra["offset"])
            if self.held < self.base:  # the yard lost what came before this file; it can't be had again
                self.base = self.held
        return True

    @property
    def changed(self) -> bool:
        """Whether the file has bytes the yard lacks, by a look at its size alone."""
        try:
            status = os.stat(self.path)
        except OSError:
            return False
        if self.held is None or (self.inode and self.inode != status.st_ino):
            return True
        return self.base + status.st_size != self.held

    def append(self, link: Link) -> None:
        """Let this file go on from wherever the yard's stream ends by now. Raises as `pump`."""
        self.base = self.held = self._post(link, 0, b"")

    def _look_for_restart(self, status: os.stat_result) -> None:
        assert self.held is not None
        replaced = self.inode and self.inode != status.st_ino
        if replaced or self.base + status.st_size < self.held:
            self.base = self.held
        self.inode = status.st_ino

    def _piece(self, descriptor: int, position: int) -> bytes:
        size = _CHUNK
        while True:
            piece = os.pread(descriptor, size, position)
            if not self.whole_lines:
                return piece
            end = piece.rfind(b"\n") + 1
            if end or len(piece) < size or size >= _LONGEST_LINE:
                return piece[:end]
            size *= 4

    def _post(self, link: Link, offset: int, piece: bytes) -> int:
        taken = link.ask(JournalTaken, "POST", self.route, piece, {**self.query, "offset": offset})
        self.passed_over = (self.passed_over + taken.passed_over)[:_MOST_PASSED_OVER]
        return taken.offset


class Shipper:
    """All streams of one run. `known`: the yard may hold parts already (after a restart), so it is asked first."""

    def __init__(self, directory: RunDir, workspace: str, link: Link, known: bool = False) -> None:
        self._directory = directory
        self._workspace = workspace
        self._link = link
        self._known = known
        self._streams: dict[Path, Stream] = {}
        self._bases: dict[str, int] = records.read_object(directory.path / "streams.json")
        self._refused: list[str] = []

    @property
    def warnings(self) -> list[str]:
        """What was not sent on or not kept, and why."""
        lines = [f"{s.path.name}: {said}" for s in self._streams.values() for said in s.passed_over]
        return [*self._refused, *lines]

    def discover(self) -> None:
        """Look for files that began since the last look."""
        with_journals = self._directory.journal
        if with_journals.is_dir():
            for entry in os.scandir(with_journals):
                if entry.name.endswith(".jsonl") and entry.is_file(follow_symlinks=False):
                    self._add_journal(Path(entry.path))
        for root in (self._directory.node_logs, self._directory.user_logs):
            self._add_logs(root, self._directory.path)
        self._add_logs(self._directory.code / "logs", self._directory.code)

    def pump(self) -> bool:
        """Send one piece of every stream that has one. True if anything was sent. Raises Away, Stale."""
        busy = False
        for stream in list(self._streams.values()):
            if stream.closed or not stream.changed:
                continue
            base = stream.base
            try:
                busy |= stream.pump(self._link)
            except Stale:
                raise
            except Refused as error:
                if error.status == 404 and stream.is_own:
                    raise
                stream.closed = True
                self._refused.append(f"{stream.path.name} was not sent on: {error.detail}")
                log.warning("stream %s is refused: %s", stream.path, error.detail)
            except PermissionError as error:
                stream.closed = True
                self._refused.append(f"{stream.path.name} can't be read: {error.strerror}")
            if stream.base != base:
                self._bases[str(stream.path)] = stream.base
                records.write(self._directory.path / "streams.json", self._bases, durable=False)
        return busy

    def _add(self, path: Path, route: str, query: dict[str, str], whole_lines: bool) -> None:
        held = None if self._known else 0
        self._streams[path] = Stream(path, route, query, whole_lines, held, self._bases.get(str(path), 0))

    def _add_journal(self, path: Path) -> None:
        if path in self._streams:
            return
        # `<run id>.jsonl`, perhaps with a writer's mark between, as run ids hold no dot; a child run's goes to the child.
        run_id = self._directory.run_id if path.name == SYSTEM_JOURNAL else path.name.partition(".")[0]
        route = workspace_path(self._workspace, "runs", run_id, "journal")
        self._add(path, route, {"source": path.name[: -len(".jsonl")]}, whole_lines=True)
        self._streams[path].is_own = run_id == self._directory.run_id

    def _add_logs(self, root: Path, relative_to: Path) -> None:
        for directory, _, names in os.walk(root):
            for name in names:
                path = Path(directory, name)
                if path in self._streams or len(self._streams) >= _MOST_LOGS:
                    continue
                if path.is_symlink() or not path.is_file():
                    continue
                relative = path.relative_to(relative_to).as_posix()
                route = workspace_path(self._workspace, "runs", self._directory.run_id, "logs", relative)
                self._add(path, route, {}, whole_lines=False)
