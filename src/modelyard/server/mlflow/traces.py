"""What the yard does with MLflow's traces: keeps them, with their spans, and finds them again."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from modelyard.server.artifacts.file_holders import FileHolders
from modelyard.server.artifacts.service import ArtifactService
from modelyard.server.kernel.clock import Clock
from modelyard.server.kernel.db import Database, Tx
from modelyard.server.mlflow import errors, traces_store
from modelyard.server.mlflow.traces_store import Trace, files
from modelyard.server.runs import rules

STATES = ("STATE_UNSPECIFIED", "OK", "ERROR", "IN_PROGRESS")
_LATEST_MS = 253_402_300_799_000  # the last second of the year 9999, which is what dates can show


class Traces(FileHolders):
    def __init__(self, db: Database, clock: Clock, artifacts: ArtifactService) -> None:
        super().__init__(db, clock, artifacts, files, _find, "Trace")

    def put(self, workspace_id: str, trace: Trace) -> Trace:
        """A new trace, or more of one that is there. Raises INVALID_PARAMETER_VALUE."""
        rules.check_text("The trace's id", trace.id, 255)
        _check(trace)

        def write(tx: Tx) -> Trace:
            known = traces_store.by_id(tx, workspace_id, trace.id)
            if known is None:
                if traces_store.exists(tx, trace.id):
                    raise errors.invalid(f"Trace ID '{trace.id}' is taken. Choose another.")
                traces_store.add(tx, workspace_id, trace)
                return trace
            merged = dataclasses.replace(
                trace,
                trace_metadata={**known.trace_metadata, **trace.trace_metadata},
                tags={**known.tags, **trace.tags},
                run_ids=known.run_ids,
            )
            _check(merged)
            traces_store.change(tx, merged)
            return merged

        return self._db.write(write)

    def get(self, workspace_id: str, trace_id: str) -> Trace:
        """Raises RESOURCE_DOES_NOT_EXIST."""
        with self._db.read() as tx:
            return _find(tx, workspace_id, trace_id)

    def change(self, workspace_id: str, trace_id: str, change: Callable[[Trace], Trace]) -> Trace:
        """`change` answers the trace as it is to be. Raises RESOURCE_DOES_NOT_EXIST, INVALID_PARAMETER_VALUE."""

        def write(tx: Tx) -> Trace:
            changed = change(_find(tx, workspace_id, trace_id))
            _check(changed)
            traces_store.change(tx, changed)
            return changed

        return self._db.write(write)

    def of_experiments(self, workspace_id: str, experiment_ids: Sequence[str]) -> list[Trace]:
        """The newest first."""
        with self._db.read() as tx:
            return traces_store.of_experiments(tx, workspace_id, experiment_ids)

    def delete(
        self, workspace_id: str, experiment_id: str, trace_ids: Sequence[str], before_ms: int | None, most: int | None
    ) -> int:  # fmt: skip
        """These, or the oldest from before a moment; answers how many."""

        def write(tx: Tx) -> int:
            found = traces_store.of_experiments(tx, workspace_id, [experiment_id])
            if trace_ids:
                gone = [trace.id for trace in found if trace.id in trace_ids]
            else:
                gone = [t.id for t in reversed(found) if before_ms is None or t.started_ms <= before_ms][
                    :most
                ]
            traces_store.remove(tx, gone)
            return len(gone)

        return self._db.write(write)


def _find(tx: Tx, workspace_id: str, trace_id: str) -> Trace:
    found = traces_store.by_id(tx, workspace_id, trace_id) if "\0" not in trace_id else None
    if found is None:
        raise errors.not_found(f"Trace with ID '{trace_id[:200]}' not found.")
    return found


def _check(trace: Trace) -> None:
    if not 0 <= trace.started_ms < _LATEST_MS or not 0 <= (trace.duration_ms or 0) < _LATEST_MS:
        raise errors.invalid("A trace begins and ends between the years 1970 and 9999.")
    if trace.state not in STATES:
        raise errors.invalid(
            f"Invalid state '{trace.state[:80]}' of a trace. It is one of {', '.join(STATES)}."
        )
    for what, given in (("tag", trace.tags), ("metadata", trace.trace_metadata)):
        _check_labels(what, given)
    for text in (trace.request_preview, trace.response_preview, trace.client_request_id):
        rules.check_text("A text of the trace", text)


def _check_labels(what: str, given: Mapping[str, str]) -> None:
    rules.check_labels(what, given, rules.MAX_TAG_VALUE)
    rules.check_count(f"{what} of a trace", given)
