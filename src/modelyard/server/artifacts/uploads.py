"""Files that come in parts, in any order and from several connections at once.

Each part is a blob, durable when its request is answered, so an upload can be gone on with after any interruption, of
the sender or of the yard. Putting the parts together makes one blob of them; asked for again, the answer is the same.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from starlette.concurrency import iterate_in_threadpool, run_in_threadpool

from modelyard.server.artifacts import uploads_store
from modelyard.server.artifacts.service import ArtifactService
from modelyard.server.kernel.clock import Clock
from modelyard.server.kernel.db import Database
from modelyard.server.kernel.errors import Conflict, Invalid, NotFound
from modelyard.server.kernel.ids import new_id

MAX_PARTS = 10_000
_KEPT_S = 7 * 86_400.0  # what nobody went on with for a week is forgotten


class Uploads:
    def __init__(self, db: Database, clock: Clock, artifacts: ArtifactService) -> None:
        self._db = db
        self._clock = clock
        self._artifacts = artifacts
        uploads_store.hold(artifacts.garbage.holders)

    def begin(self, workspace_id: str, target: str) -> str:
        """The id of a new upload; `target` says what it is for."""
        upload_id, now = new_id(), self._clock.now()

        def write(tx: Any) -> None:
            uploads_store.remove_older(tx, workspace_id, now - _KEPT_S)
            uploads_store.add(tx, upload_id, workspace_id, target, now)

        self._db.write(write)
        return upload_id

    async def put(self, workspace_id: str, upload_id: str, number: int, stream: AsyncIterator[bytes]) -> str:
        """Take in a part, in place of one of the same number; answers its hash. Raises NotFound, Invalid, Conflict."""
        if not 1 <= number <= MAX_PARTS:
            raise Invalid("bad_part", f"Parts are numbered 1 to {MAX_PARTS}, not {number}.")
        await run_in_threadpool(self._open, workspace_id, upload_id)
        hash_, size = await self._artifacts.receive_one(workspace_id, stream)

        def write(tx: Any) -> None:
            if uploads_store.get(tx, workspace_id, upload_id) is None:
                raise _no_such(upload_id)
            uploads_store.put_part(tx, upload_id, number, hash_, size)

        await run_in_threadpool(self._db.write, write)
        return hash_

    async def join(
        self, workspace_id: str, upload_id: str, target: str, expected: Sequence[tuple[int, str]]
    ) -> tuple[str, int]:
        """Make one blob of the parts that are expected, by number and hash; answers hash and size.

        Raises NotFound, and Conflict when other parts are here than were expected.
        """
        done, hashes = await run_in_threadpool(self._checked, workspace_id, upload_id, target, expected)
        if done is not None:
            return done

        def pieces() -> Iterator[bytes]:
            for hash_ in hashes:
                yield from self._artifacts.read(hash_)

        hash_, size = await self._artifacts.receive_one(workspace_id, iterate_in_threadpool(pieces()))
        await run_in_threadpool(self._db.write, lambda tx: uploads_store.finish(tx, upload_id, hash_, size))
        return hash_, size

    def abort(self, workspace_id: str, upload_id: str) -> None:
        """Forget it with its parts. Raises NotFound."""
        self._row(workspace_id, upload_id)
        self._db.write(lambda tx: uploads_store.remove(tx, upload_id))

    def _checked(
        self, workspace_id: str, upload_id: str, target: str, expected: Sequence[tuple[int, str]]
    ) -> tuple[tuple[str, int] | None, list[str]]:
        """What it was put together to already, or the hashes of its parts in order."""
        row = self._row(workspace_id, upload_id)
        if row.target != target:
            raise Invalid("other_upload", f"Upload {upload_id!r} is not for {target!r}.")
        if row.hash is not None:
            return (row.hash, row.size), []
        with self._db.read() as tx:
            there = {part.number: part.hash for part in uploads_store.parts(tx, upload_id)}
        wanted = dict(expected)
        if there != wanted:
            wrong = sorted(n for n in {*there, *wanted} if there.get(n) != wanted.get(n))
            raise Conflict(
                "upload_incomplete",
                f"Upload {upload_id!r} holds {len(there)} parts, {len(wanted)} were expected; part {wrong[0]} is missing "
                "or another one. Send it again.",
                parts=wrong[:100],
            )
        return None, [there[number] for number in sorted(there)]

    def _open(self, workspace_id: str, upload_id: str) -> None:
        if self._row(workspace_id, upload_id).hash is not None:
            raise Conflict("upload_ended", f"Upload {upload_id!r} was put together already.")

    def _row(self, workspace_id: str, upload_id: str) -> uploads_store.Row:
        with self._db.read() as tx:
            row = uploads_store.get(tx, workspace_id, upload_id)
        if row is None:
            raise _no_such(upload_id)
        return row


def _no_such(upload_id: str) -> NotFound:
    return NotFound(
        "no_such_upload", f"There is no upload {upload_id[:80]!r}; it was ended or is a week old."
    )
