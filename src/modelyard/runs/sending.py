"""Sends the journals of interactive runs from a thread of this process, and keeps those runs alive.

Chunks go by offset, so a chunk sent twice counts once. At the normal end of the interpreter what is left is
sent, and a run that was left open ends: Completed, or Failed when the program died of an exception. (v1 left
it Running for ever.)
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
from typing import Any, Callable, Dict, List, Optional

from modelyard import errors
from modelyard.runs.journal import Journal
from modelyard.runs.scope import Scope
from modelyard.wire.metrics import JournalTaken
from modelyard.wire.runs import Heartbeat, HeartbeatAnswer

_SEND_EVERY_S = 0.2
_HEARTBEAT_EVERY_S = 5.0
_CHUNK_BYTES = 4 << 20
_EXIT_PATIENCE_S = 20.0


class _Stream:
    """One journal on its way to the yard."""

    def __init__(self, scope: Scope, run_id: str, journal: Journal) -> None:
        self.scope = scope
        self.run_id = run_id
        self.journal = journal
        self.held = 0
        self.lock = threading.Lock()
        self.refused: Optional[errors.AzureMLException] = None

    def send(self, patience_s: float) -> bool:
        """Send one chunk; True while more is left. Raises YardUnavailable, and what the yard refuses."""
        with self.lock:
            size = self.journal.size()
            if self.held >= size:
                return False
            with open(self.journal.path, "rb") as file:
                file.seek(self.held)
                chunk = file.read(_CHUNK_BYTES)
            end = chunk.rfind(b"\n") + 1
            if end == 0:
                return False
            answer = self.scope.client.request(
                "POST",
                self.scope.run_path(self.run_id, "journal"),
                query={"source": self.journal.source, "offset": self.held},
                content=chunk[:end],
                content_type="application/x-ndjson",
                kind=JournalTaken,
                idempotent=True,
                patience_s=patience_s,
            )
            self.held = answer.offset
            for problem in answer.passed_over:
                _say(f"a metric of run {self.run_id} is not kept: {problem}")
            return self.held < size


class Sender:
    """The one sender of this process."""

    def __init__(self) -> None:
        self._streams: List[_Stream] = []
        self._owned: Dict[str, Any] = {}  # run id -> its Run, for those this process must end
        self._heartbeats: Dict[str, float] = {}
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopping = False
        self._thread: Optional[threading.Thread] = None
        self._directory = ""
        self._ends_in = 0  # the process at whose end the runs end; a fork of it ends none
        self._crash: Optional[BaseException] = None

    def open(self, scope: Scope, run_id: str) -> Journal:
        """A new journal of `run_id` whose records are sent from now on."""
        with self._lock:
            if not self._directory:
                import tempfile  # only interactive runs keep their journal here

                self._directory = tempfile.mkdtemp(prefix="modelyard-journal-")
            source = f"{run_id}.{os.urandom(4).hex()}"
            journal = Journal(self._directory, source)
            self._streams.append(_Stream(scope, run_id, journal))
            self._start()
        return journal

    def own(self, run: Any) -> None:
        """This process is the run: send heartbeats for it, and end it with the process."""
        with self._lock:
            self._owned[run.id] = run
            self._start()

    def disown(self, run_id: str) -> None:
        with self._lock:
            self._owned.pop(run_id, None)

    def flush(self, run_id: str, timeout_s: float) -> None:
        """Send all that was logged to `run_id` so far. Raises YardUnavailable after `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        for stream in [s for s in self._streams if s.run_id == run_id]:
            if stream.refused is not None:
                raise stream.refused
            while stream.send(patience_s=max(0.0, deadline - time.monotonic())):
                pass

    def _start(self) -> None:
        if self._thread is None:
            self._end_with_process()
            self._thread = threading.Thread(target=self._loop, name="modelyard-sender", daemon=True)
            self._thread.start()

    def _end_with_process(self) -> None:
        """At the end of this process the runs that it is end too."""
        if self._ends_in != os.getpid():
            self._ends_in = os.getpid()
            _watch_for_crash(self)
            atexit.register(self._at_exit)

    def _loop(self) -> None:
        while not self._stopping:
            self._wake.wait(_SEND_EVERY_S)
            for stream in list(self._streams):
                self._quietly(stream, lambda stream=stream: self._send_all(stream))  # type: ignore[misc]  # bound now
            now = time.monotonic()
            for run in list(self._owned.values()):
                if run._info().parent_id is not None:
                    continue  # a child lives as long as its parent
                if now - self._heartbeats.get(run.id, 0.0) >= _HEARTBEAT_EVERY_S:
                    self._heartbeats[run.id] = now
                    self._quietly(None, lambda run=run: _beat(run))  # type: ignore[misc]  # bound now

    def _send_all(self, stream: _Stream) -> None:
        while stream.refused is None and stream.send(patience_s=0.0) and not self._stopping:
            pass

    def _quietly(self, stream: Optional[_Stream], act: Callable[[], None]) -> None:
        try:
            act()
        except errors.YardUnavailable:
            pass  # the next round tries again; flush and the end of the process say so aloud
        except errors.AzureMLException as error:
            if stream is not None and 400 <= (error.status or 0) < 500 and error.status != 429:
                stream.refused = error
                _say(f"metrics of run {stream.run_id} are refused: {error}")

    def _at_exit(self) -> None:
        if os.getpid() != self._ends_in:
            return
        self._stopping = True
        self._wake.set()
        for stream in self._streams:
            try:
                self.flush(stream.run_id, _EXIT_PATIENCE_S)
            except errors.AzureMLException as error:
                _say(f"metrics of run {stream.run_id} may be lost: {error}")
        for run in reversed(list(self._owned.values())):  # children first
            try:
                if self._crash is not None:
                    run.fail(error_details=self._crash)
                else:
                    run.complete()
            except errors.AzureMLException as error:
                _say(f"run {run.id} could not be ended: {error}")
        if self._directory:
            import shutil  # loaded by tempfile before

            shutil.rmtree(self._directory, ignore_errors=True)


def _say(what: str) -> None:
    print("modelyard: " + what, file=sys.stderr)  # noqa: T201  # a thread has nobody to raise to


def _beat(run: Any) -> None:
    scope = run._scope
    scope.client.request(
        "POST",
        scope.run_path(run.id, "heartbeat"),
        Heartbeat(pid=os.getpid()),
        kind=HeartbeatAnswer,
        idempotent=True,
        patience_s=0.0,
    )


def _watch_for_crash(sender: Sender) -> None:
    """Learn whether the program dies of an exception. At a prompt or in a notebook an error ends nothing."""
    if hasattr(sys, "ps1") or sys.flags.interactive:
        return
    previous = sys.excepthook

    def note(kind: Any, value: Any, traceback: Any) -> None:
        sender._crash = value
        previous(kind, value, traceback)

    sys.excepthook = note


_sender: Optional[Sender] = None


def sender() -> Sender:
    """The sender of this process. What a forked child writes to its parent's journals, the parent sends."""
    global _sender  # noqa: PLW0603  # one a process is the point
    if _sender is None:
        _sender = Sender()
    return _sender


def _forget_thread() -> None:
    if _sender is not None:
        _sender._lock = threading.Lock()
        _sender._owned.clear()
        _sender._directory = ""
        _sender._thread = None
        for stream in _sender._streams:
            stream.lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_thread)
