"""Environment builds as the yard sees them: told when one begins and ends, its log sent while it grows."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from modelyard.node.link import Away, Link, Pause, Refused
from modelyard.node.streams import Stream
from modelyard.wire.environments import BuildReport, BuildStatus, EnvironmentSpec

log = logging.getLogger(__name__)

_LOOK_S = 0.2
_LAST_WORDS_S = 60.0  # how long the end of a build is told while the yard is away


class Built(Protocol):
    """An environment that is ready to run in."""

    interpreter: str
    variables: dict[str, str]
    lock: list[str]
    python_version: str
    content_hash: str
    notes: list[str]


class Builder(Protocol):
    """Makes environments; see modelyard.node.environments.builder."""

    def content_hash(self, spec: EnvironmentSpec) -> str: ...

    def is_ready(self, spec: EnvironmentSpec) -> bool: ...

    def ensure(self, spec: EnvironmentSpec, log: Callable[[str], None]) -> Any: ...


class Builds:
    """Environments of this node. Many callers may ask for one at once: it is built, and told, once."""

    def __init__(self, builder: Builder, directory: Path, node: str, link: Link) -> None:
        self._builder = builder
        self._directory = directory
        self._route = f"/api/v1/nodes/{node}/builds/"
        self._link = link
        self._lock = threading.Lock()
        self._telling: set[str] = set()

    def is_ready(self, spec: EnvironmentSpec) -> bool:
        return self._builder.is_ready(spec)

    def ensure(self, spec: EnvironmentSpec, say: Callable[[str], None]) -> Built:
        """Build, or wait for whoever builds it, or find it ready. `say` gets the lines of the build log.

        Raises modelyard.node.environments.builder.BuildFailed, OSError.
        """
        if self._builder.is_ready(spec):
            return self._builder.ensure(spec, say)  # type: ignore[no-any-return]  # a Protocol over another module
        digest = self._builder.content_hash(spec)
        with self._lock:
            first = digest not in self._telling
            self._telling.add(digest)
        if not first:
            return self._builder.ensure(spec, say)  # type: ignore[no-any-return]
        teller = _Teller(self._link, self._route + digest, self._directory / f"{digest}.log")
        teller.start()
        began = time.monotonic()
        report = BuildReport(BuildStatus.FAILED, error="The build was broken off.")
        try:
            built = self._builder.ensure(spec, say)
            report = BuildReport(BuildStatus.SUCCEEDED, built.python_version, list(built.lock))
            return built  # type: ignore[no-any-return]
        except (RuntimeError, OSError, ValueError) as error:
            report = BuildReport(BuildStatus.FAILED, error=str(error))
            raise
        finally:
            with self._lock:
                self._telling.discard(digest)
            teller.end(report, time.monotonic() - began)


class _Teller:
    """A thread that tells one build. The build itself never waits for the yard."""

    def __init__(self, link: Link, route: str, file: Path) -> None:
        self._link = link
        self._route = route
        self._stream = Stream(file, route + "/log", {}, whole_lines=False)
        self._file = file
        self._before = _inode(file)  # of a build before this one, whose log the yard has had
        self._is_growing = False
        self._end = threading.Event()
        self._report: BuildReport | None = None
        self._thread = threading.Thread(target=self._run, name="build-log", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def end(self, report: BuildReport, duration_s: float) -> None:
        self._report = BuildReport(
            report.status, report.python_version, report.lock, report.error, round(duration_s, 3)
        )
        self._end.set()

    def _pump(self) -> bool:
        if not self._is_growing:
            if _inode(self._file) in (0, self._before):
                return False
            self._stream.append(self._link)
            self._is_growing = True
        return self._stream.changed and self._stream.pump(self._link)

    def _run(self) -> None:
        pause = Pause(self._end)
        first: BuildReport | None = BuildReport(BuildStatus.BUILDING)
        deadline = 0.0
        never = threading.Event()
        while True:
            ending = self._end.is_set()
            if ending and not deadline:
                deadline = time.monotonic() + _LAST_WORDS_S
                pause = Pause(never)
            try:
                if first is not None:
                    self._link.request("POST", self._route, first)
                    first = None
                busy = self._pump()
                if ending and not busy:
                    self._link.request("POST", self._route, self._report)
                    return
                if not busy:
                    self._end.wait(_LOOK_S)
            except Away as error:
                if deadline and time.monotonic() > deadline:
                    log.warning("the yard was not told of a build's end: %s", error)
                    return
                pause.wait()
            except Refused as error:
                log.warning("the yard does not take this build's log: %s", error)
                return


def _inode(file: Path) -> int:
    try:
        return os.stat(file).st_ino
    except OSError:
        return 0
