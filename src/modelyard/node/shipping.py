"""The run host's threads that send what the script writes, and measure the machine while it does."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Callable

from modelyard.node.link import Away, Link, Pause, Refused, Stale
from modelyard.node.records import RunDir
from modelyard.node.reporter import Reporter
from modelyard.node.sampling import Sampler
from modelyard.node.streams import SYSTEM_JOURNAL, Shipper

log = logging.getLogger(__name__)

_BUSY_S = 0.02  # between looks while the script writes
_IDLE_S = 0.1  # and when it has been silent for a while
_DISCOVER_S = 0.5
_FIRST_DISCOVERY_S = 5.0  # a new run's files are found at every look for this long
_SETTLE_S = 0.1
_FIRST_SAMPLE_S = 1.0
_SAMPLE_S = 10.0
_SHORTEST_WINDOW_S = (
    0.05  # the kernel counts processor time in ticks of 10 ms: a shorter look may see none pass
)


class Shipping:
    """Sends journals and logs on, in a thread, until `finish`."""

    def __init__(
        self, directory: RunDir, workspace: str, link: Link, reporter: Reporter, known: bool
    ) -> None:
        self._shipper = Shipper(directory, workspace, link, known)
        self._reporter = reporter
        self._finish = threading.Event()
        self._deadline = float("inf")
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="shipping", daemon=True)

    @property
    def warnings(self) -> list[str]:
        return self._shipper.warnings

    def start(self) -> None:
        self._thread.start()

    def finish(self, deadline: float) -> None:
        """Wait until everything written so far is sent. Raises Away at `deadline` (time.monotonic), or Stale."""
        self._deadline = deadline
        self._finish.set()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        began = time.monotonic()
        discover_at = 0.0
        interval_s = _BUSY_S
        pause = Pause(self._finish)
        last = threading.Event()
        while True:
            ending = self._finish.is_set()
            now = time.monotonic()
            try:
                if ending or now >= discover_at:
                    self._shipper.discover()
                    discover_at = now + (_DISCOVER_S if now - began > _FIRST_DISCOVERY_S else 0.0)
                busy = self._shipper.pump()
                pause.reset()
            except (Away, OSError) as error:  # the yard is away, or the disk here is full
                if time.monotonic() > self._deadline:
                    self._error = Away(str(error))
                    return
                log.info("%s", error)
                if ending:
                    pause = Pause(last)  # `finish` is set: wait all the same
                pause.wait()
                continue
            except Refused as error:
                if isinstance(error, Stale) and self._reporter.renew():
                    continue
                self._error = error
                self._reporter.gone(error)
                return
            if busy:
                interval_s = _BUSY_S
                if not ending:
                    self._finish.wait(interval_s)
                continue
            if ending:
                return
            interval_s = min(interval_s * 1.3, _IDLE_S)
            self._finish.wait(interval_s)


class SystemMetrics:
    """Writes a sample of the machine to the run's own journal every few seconds, the first one soon."""

    def __init__(self, directory: RunDir, members: Callable[[], set[int]]) -> None:
        self._directory = directory
        self._members = members
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="system-metrics", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End; a run too short for a sample gets one now."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        # Not in the script's very first moment, which should have the machine to itself.
        self._stop.wait(_SETTLE_S)
        sampler = Sampler(self._directory.path, self._members)
        is_over = self._stop.wait(_FIRST_SAMPLE_S)
        if is_over:
            time.sleep(_SHORTEST_WINDOW_S)
        self._sample(sampler)
        while not is_over:
            is_over = self._stop.wait(_SAMPLE_S)
            if not is_over:
                self._sample(sampler)

    def _sample(self, sampler: Sampler) -> None:
        now_ms = int(time.time() * 1000)
        try:
            values = sampler.sample()
            records = [{"k": "s", "n": name, "v": value, "t": now_ms} for name, value in values.items()]
            lines = [json.dumps(record, separators=(",", ":")) + "\n" for record in records]
            _append(self._directory.journal / SYSTEM_JOURNAL, "".join(lines).encode())
        except OSError as error:
            log.warning("no system metrics this time: %s", error)


def _append(path: os.PathLike[str], content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, content)
    finally:
        os.close(descriptor)
