"""Takes in points that callers send by the call: many calls share one write, and each is answered after its commit."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import NamedTuple

from modelyard.server.kernel import events
from modelyard.server.kernel.clock import Clock
from modelyard.server.kernel.db import Database, Tx
from modelyard.server.kernel.errors import Conflict, Invalid, ProblemError
from modelyard.server.runs import append_store, changes, folding, rules, series_store
from modelyard.server.runs.creation import no_such_run
from modelyard.server.runs.metrics_store import NewPoints
from modelyard.server.runs.summaries import Summary

Sample = tuple[str, float, int, int | None]  # name, value, Unix milliseconds, step

_MOST = 2**63
_EXACT = 2**53  # beyond it a float no longer holds every whole number
_LONGEST_KEY = 255
_KEYS_KEPT_S = 86_400.0


def topic(run_id: str) -> str:
    """Of those who wait for points of a run."""
    return f"metrics:{run_id}"


def tell(tx: Tx, run_ids: Sequence[str]) -> None:
    """Summaries of these runs have changed."""
    changes.mark(tx, run_ids)
    events.touch(tx, *map(topic, run_ids))


class _Chunk(NamedTuple):
    """Points of one metric, in the order in which they came."""

    steps: Sequence[int | None]
    times_ms: Sequence[int]
    values: Sequence[float]


@dataclass
class _Call:
    """What one caller sent, and whether it failed. `workspace_id` empty: the caller knows that the run is its own."""

    workspace_id: str
    run_id: str
    chunks: dict[str, _Chunk]
    key: str = ""
    body: str = ""
    answer: asyncio.Future[None] | None = None
    error: ProblemError | None = None
    twin: _Call | None = None  # the same call, which came in time for the same write


def write(tx: Tx, run_id: str, samples: Iterable[Sample]) -> None:
    """Keep the samples as points of the run, with whatever else is in this transaction.

    Raises NotFound, Conflict for a run in the trash, Invalid for samples that no run can keep.
    """
    call = _Call("", run_id, _grouped(samples))
    _store(tx, [call], 0.0)
    if call.error is not None:
        raise call.error


class Appender:
    """`append` for many callers at once. The calls that wait while the database is busy go into its next write."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: list[_Call] = []

    async def append(
        self, workspace_id: str, run_id: str, samples: Iterable[Sample], *, key: str = "", body: str = ""
    ) -> None:
        """Keep the samples as points of the run; durable when this returns.

        `key`, `body`: the sender's name for this call and a hash of what it sent; the same again is kept once.
        Raises NotFound; Conflict for a run in the trash, and for another body under the same key; Invalid for samples
        that no run can keep. Then nothing of this call was kept.
        """
        if len(key) > _LONGEST_KEY:
            raise Invalid("bad_idempotency_key", f"An Idempotency-Key has at most {_LONGEST_KEY} characters.")
        answer = asyncio.get_running_loop().create_future()
        call = _Call(workspace_id, run_id, _grouped(samples), key, body, answer)
        with self._lock:
            self._waiting.append(call)
            is_first = len(self._waiting) == 1
        if is_first:
            self._ask(answer.get_loop())
        await answer

    def forget_keys(self) -> None:
        """Take away the keys that are older than a day."""
        before = self._clock.now() - _KEYS_KEPT_S
        self._db.write(lambda tx: append_store.forget_keys(tx, before))

    def _ask(self, loop: asyncio.AbstractEventLoop) -> None:
        taken: list[_Call] = []  # once, though the write may be run again

        def work(tx: Tx) -> None:
            if not taken:
                with self._lock:
                    taken.extend(self._waiting)
                    self._waiting.clear()
            _store(tx, taken, self._clock.now())

        def decided(done: Future[None]) -> None:
            loop.call_soon_threadsafe(_answer, taken, done.exception())

        try:
            self._db.submit(work).add_done_callback(decided)
        except ProblemError as error:
            with self._lock:
                taken.extend(self._waiting)
                self._waiting.clear()
            _answer(taken, error)


def _answer(calls: list[_Call], failed: BaseException | None) -> None:
    for call in calls:
        assert call.answer is not None
        if call.answer.done():  # its caller has gone away
            continue
        error = failed or call.error
        if error is None:
            call.answer.set_result(None)
        else:
            call.answer.set_exception(error)


def _grouped(samples: Iterable[Sample]) -> dict[str, _Chunk]:
    """By metric. Raises Invalid for what no run can keep."""
    by_name: dict[str, list[Sample]] = {}
    for sample in samples:
        of_name = by_name.get(sample[0])
        if of_name is None:
            by_name[sample[0]] = [sample]
        else:
            of_name.append(sample)
    chunks: dict[str, _Chunk] = {}
    count = 0
    for name, some in by_name.items():
        _, values, times_ms, steps = zip(*some, strict=True)
        _check(name, times_ms, steps)
        chunks[name] = _Chunk(steps, times_ms, values)
        count += len(some)
    if count > rules.MAX_POINTS:
        raise Invalid(
            "too_many_points",
            f"{count} points are over the limit of {rules.MAX_POINTS} a call. Send them in several.",
            limit=rules.MAX_POINTS,
        )
    return chunks


def _check(name: str, times_ms: Sequence[int], steps: Sequence[int | None]) -> None:
    if not name:
        raise Invalid("bad_metric_name", "A metric needs a name.")
    if len(name) > rules.MAX_KEY or "\0" in name:
        rules.check_text(f"The name {name[:80]!r} of a metric", name, rules.MAX_KEY)
    known = [step for step in steps if step is not None] if None in steps else steps
    for what, numbers in (("time", times_ms), ("step", known)):
        if numbers and not (min(numbers) >= -_MOST and max(numbers) < _MOST):  # type: ignore[type-var, operator]  # no None among them
            raise Invalid("bad_number", f"A {what} of metric {name!r} has more than 64 bits.")


def _store(tx: Tx, calls: Sequence[_Call], now: float) -> None:
    """One look at the runs, one at their metrics, one statement for all points and one for all summaries."""
    runs = append_store.runs(tx, {call.run_id for call in calls})
    for call in calls:
        call.error = _refusal(call, runs.get(call.run_id))
    good = _not_sent_before(tx, [call for call in calls if call.error is None and call.chunks])
    keys = list({(call.run_id, name): None for call in good for name in call.chunks})
    if not keys:
        return
    known = series_store.find(tx, False, keys)
    if len(known) < len(keys):
        good = _with_room(tx, good, known)
    for call in calls:
        if call.twin is not None:
            call.error = call.twin.error
    append_store.keep_keys(tx, [(call.run_id, call.key, call.body, now) for call in good if call.key])
    arrived = NewPoints()
    for call in good:
        for name, chunk in call.chunks.items():
            summary = known[call.run_id, name]
            values = chunk.values
            kinds = set(map(type, values))
            if kinds != {float}:
                if kinds != {int} or max(map(abs, values)) > _EXACT:
                    summary.whole = False
                values = list(map(float, values))
            else:
                summary.whole = False
            summary.kind = "m"
            summary.saw(chunk.times_ms)
            summary.take(chunk.steps, chunk.times_ms, values)
            arrived.add(summary.id, summary.count, chunk.steps, chunk.times_ms, values)
            summary.count += len(values)
    arrived.store(tx)
    series_store.write(tx, known.values())
    tell(tx, list({call.run_id: None for call in good}))
    folding.want(tx, known.values(), {run_id for run_id, run in runs.items() if run.is_over})


def _refusal(call: _Call, run: append_store.KnownRun | None) -> ProblemError | None:
    if run is None or call.workspace_id not in ("", run.workspace_id):
        return no_such_run(call.run_id)
    if run.is_deleted:
        return Conflict(
            "run_in_trash",
            f"Run {call.run_id!r} is in the trash. Restore it before anything is logged to it.",
        )
    return None


def _not_sent_before(tx: Tx, calls: list[_Call]) -> list[_Call]:
    keyed = [call for call in calls if call.key]
    if not keyed:
        return calls
    before = append_store.keys(tx, [(call.run_id, call.key) for call in keyed])
    now: dict[tuple[str, str], _Call] = {}
    fresh = []
    for call in calls:
        if call.key:
            of = (call.run_id, call.key)
            call.twin = now.get(of)
            body = call.twin.body if call.twin is not None else before.get(of)
            if body is not None:
                if body != call.body:
                    call.error, call.twin = _another_body(call.key), None
                continue
            now[of] = call
        fresh.append(call)
    return fresh


def _another_body(key: str) -> ProblemError:
    return Conflict(
        "idempotency_key_reused",
        f"Idempotency-Key {key!r} came with another body before. Choose a new key for new points.",
    )


def _with_room(tx: Tx, calls: list[_Call], known: dict[series_store.Key, Summary]) -> list[_Call]:
    """Those whose new metrics the run can still keep; these are added to `known`."""
    room: dict[str, int] = {}
    new: dict[series_store.Key, None] = {}
    fitting = []
    for call in calls:
        run_id = call.run_id
        missing = [(run_id, n) for n in call.chunks if (run_id, n) not in known and (run_id, n) not in new]
        if missing and run_id not in room:
            room[run_id] = rules.MAX_METRICS - series_store.count(tx, run_id)
        if missing and len(missing) > room[run_id]:
            call.error = Conflict(
                "too_many_metrics",
                f"Run {run_id!r} keeps at most {rules.MAX_METRICS} metrics, so {missing[0][1]!r} is not kept. Log values "
                "of one kind under one name, with a step.",
                limit=rules.MAX_METRICS,
            )
            continue
        if missing:
            room[run_id] -= len(missing)
            new.update(dict.fromkeys(missing))
        fitting.append(call)
    known.update(series_store.add(tx, False, list(new)))
    return fitting
