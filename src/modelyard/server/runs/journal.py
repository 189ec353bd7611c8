"""Takes in the journals of runs: each record once, whatever is sent again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import msgspec

from modelyard.server.kernel.db import Database, Tx
from modelyard.server.kernel.errors import Conflict, Invalid
from modelyard.server.runs import (
    append_store,
    appending,
    folding,
    metrics_store,
    records,
    rules,
    series_store,
    store,
)
from modelyard.server.runs.creation import no_such_run
from modelyard.server.runs.metrics_store import NewPoints
from modelyard.server.runs.records import NONFINITE, Number, Other, System
from modelyard.server.runs.summaries import Summary
from modelyard.wire.artifacts import Offset
from modelyard.wire.metrics import JournalTaken

MAX_CHUNK_BYTES = 8 * 1024 * 1024

_EXACT = 2**53  # beyond it a float no longer holds every whole number
_MOST_TOLD = 20  # problems of one chunk


class Journal:
    def __init__(self, db: Database) -> None:
        self._db = db

    def held(self, workspace_id: str, run_id: str, source: str) -> Offset:
        """How many bytes of this source are in."""
        check_stream(source)
        with self._db.read() as tx:
            if not rules.is_run_id(run_id) or not store.exists(tx, workspace_id, run_id):
                raise no_such_run(run_id)
            return Offset(metrics_store.stream_size(tx, run_id, "journal", source))

    def take(self, workspace_id: str, run_id: str, source: str, offset: int, chunk: bytes) -> JournalTaken:
        """Take in whole lines that begin at `offset` of the source; durable when this returns.

        What is held already is not taken again. What no run can keep is told and costs none of the rest: the sender
        can't change what a script has written. Raises Conflict `stream_gap`, Invalid, NotFound; then nothing was taken.
        """
        check_stream(source)
        if not chunk:
            return JournalTaken(self.held(workspace_id, run_id, source).offset)
        if not chunk.endswith(b"\n"):
            raise Invalid(
                "journal_not_whole_lines", "A journal chunk must end with a line feed: send whole lines."
            )
        if not rules.is_run_id(run_id):
            raise no_such_run(run_id)
        decoded = records.decode(chunk)  # outside the transaction: the writer has other work to do

        def write(tx: Tx) -> JournalTaken:
            run = append_store.runs(tx, [run_id]).get(run_id)
            if run is None or run.workspace_id != workspace_id or run.is_deleted:
                raise no_such_run(run_id)
            held = metrics_store.stream_size(tx, run_id, "journal", source)
            skip = known_prefix(held, offset, len(chunk))
            if skip == len(chunk):
                return JournalTaken(held)
            if skip and chunk[skip - 1 : skip] != b"\n":
                raise Invalid(
                    "journal_not_whole_lines", f"Byte {held} of {source!r} is inside a line of this chunk."
                )
            found, problems = records.decode(chunk[skip:]) if skip else decoded
            groups = group(found)
            told = list(problems)
            over = [run_id] if run.is_over else []
            for system in (False, True):
                told += _store(tx, run_id, system, groups[system], over)
            appending.tell(tx, [run_id])
            metrics_store.set_stream_size(tx, run_id, "journal", source, offset + len(chunk), 0.0)
            return JournalTaken(offset + len(chunk), told[:_MOST_TOLD])

        return self._db.write(write)


def known_prefix(held: int, offset: int, size: int) -> int:
    """How many bytes at the beginning of a chunk are held already. Raises Conflict when bytes are missing before it."""
    if offset > held:
        raise Conflict(
            "stream_gap",
            f"The yard holds {held} bytes of this stream; a chunk at {offset} leaves a gap.",
            offset=held,
        )
    return min(held - offset, size)


def check_stream(name: str) -> None:
    if not name:
        raise Invalid("bad_source", "The stream needs a name: give source=…")
    rules.check_text("The name of the stream", name, rules.MAX_STREAM_NAME)


Groups = tuple[dict[str, list[Number | Other]], dict[str, list[Number | Other]]]


def group(decoded: Sequence[Number | System | Other]) -> Groups:
    """By metric: those of the user, those of the machine."""
    user: defaultdict[str, list[Number | Other]] = defaultdict(list)
    machine: defaultdict[str, list[Number | Other]] = defaultdict(list)
    if System in set(map(type, decoded)):
        for record in decoded:
            (machine if type(record) is System else user)[record.n].append(record)
    else:
        for record in decoded:
            user[record.n].append(record)
    return user, machine


def _store(
    tx: Tx, run_id: str, system: bool, groups: dict[str, list[Number | Other]], over: list[str]
) -> list[str]:
    """Answers what of it no run can keep."""
    problems = [f"Metric {name!r} has a NUL character in its name." for name in groups if "\0" in name]
    keys = [(run_id, name) for name in groups if "\0" not in name]
    if not keys:
        return problems
    known = series_store.find(tx, system, keys)
    new = [key for key in keys if key not in known]
    if new:
        room = max(0, rules.MAX_METRICS - series_store.count(tx, run_id))
        if len(new) > room:
            problems.append(
                f"A run keeps at most {rules.MAX_METRICS} metrics, so {new[room][1]!r} is not kept. Log values of one "
                "kind under one name, with a step."
            )
        known.update(series_store.add(tx, system, new[:room]))
    arrived = NewPoints()
    for summary in known.values():
        _store_series(tx, summary, groups[summary.name], arrived)
    arrived.store(tx)
    series_store.write(tx, known.values())
    folding.want(tx, known.values(), over)
    return problems


def _store_series(tx: Tx, summary: Summary, given: Sequence[Number | Other], arrived: NewPoints) -> None:
    last = given[-1]
    summary.kind = str(last.__struct_config__.tag)
    descriptions = [r.d for r in given]
    if any(descriptions):
        summary.description = next(d for d in reversed(descriptions) if d)
    times = [r.t for r in given]
    summary.saw(times)
    first = summary.count
    summary.count += len(given)
    numbers = (
        [r for r in given if isinstance(r, Number)] if set(map(type, given)) - {Number, System} else given
    )
    if len(numbers) == len(given):
        plain: list[Number] = given  # type: ignore[assignment]  # all of them are, as was just counted
        kinds = set(map(type, [r.v for r in plain]))
        if kinds == {float} or (kinds == {int} and all(-_EXACT <= r.v <= _EXACT for r in plain)):  # type: ignore[operator]  # no string among them
            # The common case, by C loops: finite numbers all.
            values: list[float] = [r.v for r in plain]  # type: ignore[misc]  # as was just seen
            steps = [r.s for r in plain]
            arrived.add(summary.id, first, steps, times, values)
            summary.whole = summary.whole and kinds == {int}
            summary.take(steps, times, values)
            return
    _store_mixed(tx, summary, first, given, arrived)


def _store_mixed(
    tx: Tx, summary: Summary, first: int, given: Sequence[Number | Other], arrived: NewPoints
) -> None:
    """NaN, infinities, strings, huge whole numbers, lists, rows, tables, images and documents."""
    values: list[metrics_store.ValueRow] = []
    numbers: list[tuple[int | None, int, float]] = []
    for seq, record in enumerate(given, first):
        step = record.s if isinstance(record, Number) else None
        number = _as_float(record)
        if number is not None:
            summary.whole = summary.whole and isinstance(record.v, int)
            numbers.append((step, record.t, number))
            arrived.add(summary.id, seq, [step], [record.t], [number])
            continue
        if isinstance(record.v, int):
            numbers.append((step, record.t, float(record.v)))
        summary.nonfinite = summary.nonfinite or bool(record.f)
        text = msgspec.json.encode(record.v).decode("utf-8")
        values.append((summary.id, seq, str(record.__struct_config__.tag), step, record.t, text))
    if values:
        metrics_store.add_values(tx, values)
        summary.values_count += len(values)
    if numbers:
        summary.take(*zip(*numbers, strict=True))


def _as_float(record: Number | Other) -> float | None:
    """The number as it goes among the points; None for what does not."""
    value = record.v
    if not isinstance(record, Number):
        return None
    if isinstance(value, str):
        return NONFINITE.get(value) if record.f else None
    if isinstance(value, int) and not -_EXACT <= value <= _EXACT:
        return None
    return float(value)  # type: ignore[arg-type]  # a number: strings went above
