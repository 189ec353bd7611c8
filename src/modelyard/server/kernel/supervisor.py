"""Keeps the background loops of the yard running, one thread each, and shows how they are doing."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from modelyard.server.kernel.clock import Clock

log = logging.getLogger(__name__)

_BACKOFF_S = (0.5, 1, 2, 5, 10, 30)


@dataclass
class LoopState:
    """`last_ok_at` is when a round last ended well; the age of it is the loop's lag."""

    name: str
    rounds: int = 0
    failures: int = 0
    last_ok_at: float = 0.0
    last_error: str = ""


class Supervisor:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._stop = threading.Event()
        self._threads: list[tuple[threading.Thread, threading.Event]] = []
        self.states: dict[str, LoopState] = {}

    def add(
        self, name: str, round_: Callable[[], None], *, every_s: float, wake: threading.Event | None = None
    ) -> None:
        """Call `round_` now and then at least every `every_s`, sooner when `wake` is set.

        A round that raises is logged and tried again after a growing pause; it never ends the loop.
        """
        state = self.states[name] = LoopState(name, last_ok_at=self._clock.now())
        wake = wake or threading.Event()
        thread = threading.Thread(
            target=self._run, args=(state, round_, every_s, wake), name=name, daemon=True
        )
        self._threads.append((thread, wake))

    def start(self) -> None:
        for thread, _ in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for _, wake in self._threads:
            wake.set()
        for thread, _ in self._threads:
            if thread.is_alive():
                thread.join(timeout=10)

    def _run(
        self, state: LoopState, round_: Callable[[], None], every_s: float, wake: threading.Event
    ) -> None:
        in_a_row = 0
        while not self._stop.is_set():
            wake.clear()
            try:
                round_()
            except (
                Exception
            ) as error:  # the supervisor is where anything unforeseen ends up, named and retried
                state.failures += 1
                state.last_error = f"{type(error).__name__}: {error}"
                log.exception("loop %s failed", state.name)
                self._stop.wait(_BACKOFF_S[min(in_a_row, len(_BACKOFF_S) - 1)])
                in_a_row += 1
                continue
            in_a_row = 0
            state.rounds += 1
            state.last_ok_at = self._clock.now()
            wake.wait(every_s)
