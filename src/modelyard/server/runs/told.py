"""Takes in runs that were kept offline, as their own machines tell of them afterwards: each line once, whoever sends it.

A told run has its teller's times, and nobody gives signs of life for it: it stays as it was last told of.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math

import msgspec

from modelyard.server.kernel.clock import Clock
from modelyard.server.kernel.db import Database, Tx
from modelyard.server.kernel.errors import Conflict, Invalid, ProblemError
from modelyard.server.runs import metrics_store, news, rules, store
from modelyard.server.runs.creation import Creation, Place, is_within, no_such_run
from modelyard.server.runs.files import RunFiles
from modelyard.server.runs.journal import check_stream, known_prefix
from modelyard.wire.artifacts import Offset
from modelyard.wire.runs import RunCreate
from modelyard.wire.told import StoryTaken, Told

MAX_CHUNK_BYTES = 8 * 1024 * 1024
_LATEST = 253_402_300_799.0  # the last second of the year 9999, which is what dates can show
_MOST_TOLD = 20  # problems of one chunk
_SHOWN_BYTES = 100
_KIND = "told"  # of the stream that says how far a run is told

_decoder = msgspec.json.Decoder(Told)


class ToldRuns:
    def __init__(self, db: Database, clock: Clock, creation: Creation, files: RunFiles) -> None:
        self._db = db
        self._clock = clock
        self._creation = creation
        self._files = files

    def held(self, workspace_id: str, run_id: str, source: str) -> Offset:
        """How many bytes of this story are in; 0 where the run is not known. Raises Conflict for a run of another."""
        check_stream(source)
        with self._db.read() as tx:
            return Offset(_held(tx, workspace_id, run_id, source))

    def take(
        self, place: Place, run_id: str, source: str, offset: int, chunk: bytes, experiment: str = ""
    ) -> StoryTaken:
        """Take in whole lines that begin at `offset` of the story; durable when this returns.

        `experiment` stands in the place of the one that the story names. Raises Invalid, Conflict `run_id_taken` for an id
        that another run has, Conflict `stream_gap`; then nothing was taken.
        """
        check_stream(source)
        if not chunk.endswith(b"\n"):
            raise Invalid(
                "story_not_whole_lines", "A piece of a story is whole lines: end it with a line feed."
            )
        if not rules.is_run_id(run_id):
            raise no_such_run(run_id)

        def write(tx: Tx) -> StoryTaken:
            held = _held(tx, place.workspace_id, run_id, source)
            skip = known_prefix(held, offset, len(chunk))
            if skip == len(chunk):
                return StoryTaken(held)
            if skip and chunk[skip - 1 : skip] != b"\n":
                raise Invalid(
                    "story_not_whole_lines", f"Byte {held} of {source!r} is inside a line of this piece."
                )
            lines, problems = _decode(chunk[skip:])
            if held == 0:
                lines = self._begin(tx, place, run_id, lines, experiment)
            for line in lines:
                try:
                    self._apply(tx, place, run_id, line)
                except ProblemError as error:
                    problems.append(error.detail)
            _warn(tx, run_id, problems)
            end = offset + len(chunk)
            metrics_store.set_stream_size(tx, run_id, _KIND, source, end, self._clock.now())
            return StoryTaken(end, problems[:_MOST_TOLD])

        return self._db.write(write)

    def _begin(self, tx: Tx, place: Place, run_id: str, lines: list[Told], experiment: str) -> list[Told]:
        """Create the run of the story; answers the lines that are left."""
        first = lines[0] if lines else None
        if (
            first is None
            or first.create is None
            or first.run_id != run_id
            or first.create.parent_id is not None
        ):
            raise Invalid(
                "bad_story", f"The story of run {run_id!r} must begin with the line that creates it."
            )
        create = dataclasses.replace(first.create, experiment=experiment or first.create.experiment)
        self._create(tx, place, create, first.at)
        return lines[1:]

    def _create(self, tx: Tx, place: Place, body: RunCreate, at: float) -> None:
        if body.spec is not None:
            raise Invalid(
                "bad_story", f"Run {body.run_id!r} has a script to start; only a run that was is told of."
            )
        request = hashlib.sha256(msgspec.json.encode(body, order="deterministic")).hexdigest()
        self._creation.tell(tx, place, body, request, _checked_time(at))

    def _apply(self, tx: Tx, place: Place, story_of: str, line: Told) -> None:
        """Raises ProblemError, before anything is changed."""
        at = _checked_time(line.at)
        if line.create is not None:
            parent = line.create.parent_id
            if not parent or not is_within(tx, place.workspace_id, story_of, parent):
                raise Invalid("bad_story", f"Run {line.create.run_id[:80]!r} is not below run {story_of!r}.")
            self._create(tx, place, dataclasses.replace(line.create, experiment=""), at)  # its parent's
            return
        row = store.by_id(tx, place.workspace_id, line.run_id) if rules.is_run_id(line.run_id) else None
        if row is None or not is_within(tx, place.workspace_id, story_of, line.run_id):
            raise no_such_run(line.run_id)
        now, actor = self._clock.now(), place.principal.name
        if line.update is not None:
            news.check_update(line.update)
            news.update(tx, row, line.update, now, actor)
        if line.status is not None:
            news.check_report(line.status)
            news.report(tx, row, dataclasses.replace(line.status, at=at), now, actor, lease_until=None)
        if line.files is not None:
            self._files.put(tx, row, line.files, actor, at=at)


def _held(tx: Tx, workspace_id: str, run_id: str, source: str) -> int:
    row = store.anywhere(tx, run_id) if rules.is_run_id(run_id) else None
    if row is None:
        return 0
    held = metrics_store.stream_size(tx, run_id, _KIND, source) if row.workspace_id == workspace_id else 0
    if held and row.deleted_at is not None:
        raise Conflict(
            "run_id_in_trash",
            f"Run {run_id!r} lies in the trash. Restore it with 'modelyard trash restore {run_id}' to go on, or delete it "
            f"for good with 'modelyard trash empty {run_id}'.",
        )
    if not held:
        raise Conflict(
            "run_id_taken",
            f"Run id {run_id!r} is taken by another run of this yard, so this one can't be kept under it.",
        )
    return held


def _decode(chunk: bytes) -> tuple[list[Told], list[str]]:
    """The lines, and what is wrong with each that is none. One that breaks off was never told, as in a journal."""
    lines: list[Told] = []
    problems: list[str] = []
    for text in chunk.split(b"\n"):
        if not text.strip():
            continue
        try:
            lines.append(_decoder.decode(text))
        except msgspec.ValidationError as error:
            shown = text[:_SHOWN_BYTES].decode("utf-8", "backslashreplace")
            problems.append(f"A line of the story is not understood: {error}: {shown}")
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
    return lines, problems


def _checked_time(at: float) -> float:
    if not (math.isfinite(at) and 0 <= at <= _LATEST):
        raise Invalid("bad_time", f"{at} is no time: it must be Unix seconds, from 0 to {_LATEST:.0f}.")
    return at


def _warn(tx: Tx, run_id: str, problems: list[str]) -> None:
    row = store.anywhere(tx, run_id)
    assert row is not None
    new = [one for one in dict.fromkeys(problems[:_MOST_TOLD]) if one not in row.warnings]
    if new:
        store.change(tx, row, warnings=[*row.warnings, *new])
