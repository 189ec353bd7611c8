"""Follows the metrics of a run: server-sent events with every point once, across reconnects and restarts.

The id of an event is the position after it: how many records of each series were told. It comes back as
`Last-Event-ID` and needs no memory here: records are numbered for good.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool

from modelyard.server.kernel.db import Database, Tx
from modelyard.server.kernel.errors import Invalid, NotFound
from modelyard.server.kernel.events import Hub
from modelyard.server.runs import appending, lifecycle, rules, series_store, store
from modelyard.server.runs.creation import no_such_run
from modelyard.server.runs.series import plain
from modelyard.server.runs.summaries import Summary
from modelyard.wire.metrics import Series, TailPiece
from modelyard.wire.runs import RunStatus

_MOST = 10_000  # records of one series in one event
_MOST_TOGETHER = 50_000
_SIGN_OF_LIFE_S = 15.0  # proxies close what is silent for long
_LONGEST_POSITION = 1_000_000

_encode = msgspec.json.Encoder().encode

Position = dict[int, int]  # series id -> records told


@dataclass(frozen=True)
class _News:
    items: list[Series]
    position: Position
    is_over: bool  # the run has ended and all was told


class Tail:
    def __init__(self, db: Database, hub: Hub) -> None:
        self._db = db
        self._hub = hub

    async def follow(
        self,
        workspace_id: str,
        run_id: str,
        *,
        names: Collection[str],
        system: bool,
        past: bool,
        position: str,
    ) -> AsyncIterator[bytes]:
        """Events until the run is over. Raises NotFound, and Invalid for a position that is none of ours."""
        told = _parsed(position)

        def look() -> _News | None:
            with self._db.read() as tx:
                return _news(tx, workspace_id, run_id, names, system, told)

        def now() -> Position:
            with self._db.read() as tx:
                _status(tx, workspace_id, run_id)
                return {s.id: s.count for s in _series(tx, run_id, names, system)}

        # Asked once here, so that a run that is not there is a 404 and no broken stream.
        there = await run_in_threadpool(now)
        if not past and not position:
            told.update(there)
        return self._events(run_id, look, told)

    async def _events(self, run_id: str, look: Any, told: Position) -> AsyncIterator[bytes]:
        if told:
            yield _event("position", told, b"{}")  # who is cut off before the first point goes on from here
        while True:
            try:
                news = await self._hub.wait_for({appending.topic(run_id), run_id}, look, _SIGN_OF_LIFE_S)
            except NotFound:  # deleted meanwhile
                news = _News([], {}, is_over=True)
            if news is None:
                yield b": no news\n\n"
                continue
            told.update(news.position)
            if news.items:
                yield _event("points", told, _encode(TailPiece(news.items)))
            if news.is_over:
                yield _event("end", told, b"{}")
                return


def _news(
    tx: Tx, workspace_id: str, run_id: str, names: Collection[str], system: bool, told: Position
) -> _News | None:
    """None when there is nothing to tell."""
    # Heavy, and not needed before somebody follows a run.
    from modelyard.server.runs import series_reader

    status = _status(tx, workspace_id, run_id)
    items: list[Series] = []
    position: Position = {}
    room = _MOST_TOGETHER
    is_all = True
    for summary in _series(tx, run_id, names, system):
        start = told.get(summary.id, 0)
        stop = min(summary.count, start + min(_MOST, room))
        is_all = is_all and stop == summary.count
        if stop <= start:
            continue
        room -= stop - start
        position[summary.id] = stop
        points = series_reader.read(tx, summary.id, start, stop)
        if len(points):
            items.append(plain(run_id, summary, points, stop))
    is_over = is_all and status in lifecycle.FINAL
    return _News(items, position, is_over) if position or is_over else None


def _status(tx: Tx, workspace_id: str, run_id: str) -> RunStatus:
    if not rules.is_run_id(run_id) or not store.exists(tx, workspace_id, run_id):
        raise no_such_run(run_id)
    status = store.status(tx, run_id)
    assert status is not None
    return status


def _series(tx: Tx, run_id: str, names: Collection[str], system: bool) -> list[Summary]:
    if not names:
        return [s for s in series_store.of_run(tx, run_id, system) if not system or s.kind == "s"]
    keys = [(run_id, name) for name in names if "\0" not in name]
    return list(series_store.find(tx, system, keys).values())


def _event(kind: str, told: Position, data: bytes) -> bytes:
    return b"event: %s\nid: %s\ndata: %s\n\n" % (kind.encode(), _text(told).encode(), data)


def _text(position: Position) -> str:
    return ".".join(f"{series_id:x}-{count:x}" for series_id, count in position.items())


def _parsed(text: str) -> Position:
    try:
        pairs = [pair.split("-") for pair in text[:_LONGEST_POSITION].split(".") if pair]
        return {int(series_id, 16): int(count, 16) for series_id, count in pairs}
    except ValueError:
        raise Invalid(
            "bad_position", f"Last-Event-ID {text[:80]!r} is not the id of an event of a tail."
        ) from None
