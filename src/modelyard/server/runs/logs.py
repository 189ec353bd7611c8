"""The logs of runs while they grow: appended by offset, read by whoever follows."""

from __future__ import annotations

from dataclasses import dataclass

from modelyard.server.artifacts import paths
from modelyard.server.kernel import events
from modelyard.server.kernel.clock import Clock
from modelyard.server.kernel.db import Database, Tx
from modelyard.server.kernel.errors import Invalid
from modelyard.server.kernel.events import Hub
from modelyard.server.runs import files_store, lifecycle, metrics_store, rules, store
from modelyard.server.runs.creation import no_such_run
from modelyard.server.runs.files import RunFiles, log_topic
from modelyard.server.runs.journal import known_prefix
from modelyard.wire.artifacts import Offset

MAX_CHUNK_BYTES = 8 * 1024 * 1024
_MAX_ANSWER = 4 * 1024 * 1024


@dataclass(frozen=True)
class LogPiece:
    """`offset`: where the next piece begins. `is_complete`: there will be no next piece."""

    data: bytes
    offset: int
    is_complete: bool


class RunLogs:
    def __init__(self, db: Database, clock: Clock, hub: Hub, files: RunFiles) -> None:
        self._db = db
        self._clock = clock
        self._hub = hub
        self._files = files

    def append(self, workspace_id: str, run_id: str, path: str, offset: int, chunk: bytes) -> Offset:
        """Append bytes that begin at `offset`; those held already are passed over. Raises Conflict `stream_gap`."""
        paths.check(path)
        if len(path) > rules.MAX_STREAM_NAME:
            raise Invalid("bad_path", f"The path of a log has at most {rules.MAX_STREAM_NAME} characters.")

        def write(tx: Tx) -> Offset:
            if not rules.is_run_id(run_id) or not store.exists(tx, workspace_id, run_id):
                raise no_such_run(run_id)
            kept = files_store.files.by_paths(tx, run_id, [path]).get(path)
            if kept is not None:
                return Offset(max(offset + len(chunk), kept.size))  # the whole of it is here as a file
            held = metrics_store.stream_size(tx, run_id, "log", path)
            new = chunk[known_prefix(held, offset, len(chunk)) :]
            if not new:
                return Offset(held)
            files_store.add_chunk(tx, run_id, path, held, new)
            metrics_store.set_stream_size(tx, run_id, "log", path, held + len(new), self._clock.now())
            events.touch(tx, log_topic(run_id, path))
            return Offset(held + len(new))

        return self._db.write(write)

    def read(self, workspace_id: str, run_id: str, path: str, offset: int) -> LogPiece:
        """What is there from `offset` on, 4 MiB at most. Raises NotFound once the run is over without such a log."""
        with self._db.read() as tx:
            row = store.by_id(tx, workspace_id, run_id) if rules.is_run_id(run_id) else None
            if row is None:
                raise no_such_run(run_id)
            is_over = store.info(row).status in lifecycle.FINAL
            live = files_store.log(tx, run_id, path)
            data = b"" if live is None else files_store.read_log(tx, run_id, path, offset, _MAX_ANSWER)
        if live is not None:
            end = offset + len(data)
            return LogPiece(data, end, is_over and end >= live.size)
        entry = self._files.find(workspace_id, run_id, path)
        if entry is None:
            if is_over:
                self._files.under(workspace_id, run_id, path)  # raises, naming what there is
            return LogPiece(b"", offset, is_over)
        data = (
            self._files.read(entry, offset, min(_MAX_ANSWER, entry.size - offset))
            if offset < entry.size
            else b""
        )
        end = offset + len(data)
        return LogPiece(data, end, end >= entry.size)

    async def wait(
        self, workspace_id: str, run_id: str, path: str, offset: int, wait_s: float
    ) -> LogPiece | None:
        """As `read`, as soon as there is something to say; None when that takes longer than `wait_s`."""

        def look() -> LogPiece | None:
            piece = self.read(workspace_id, run_id, path, offset)
            return piece if piece.data or piece.is_complete else None

        return await self._hub.wait_for({run_id, log_topic(run_id, path)}, look, wait_s)
