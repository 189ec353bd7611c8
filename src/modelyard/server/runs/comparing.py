"""Puts runs beside each other: reads what is kept of them and says what differs, within bounds."""

from __future__ import annotations

import dataclasses
import difflib
import io
from collections.abc import Iterable, Sequence
from typing import Any

from modelyard.server.artifacts.service import ArtifactService
from modelyard.server.kernel.auth import Kind, Principal
from modelyard.server.kernel.db import Database
from modelyard.server.kernel.errors import Forbidden, Invalid, NotFound
from modelyard.server.runs import comparison, inputs_store, rules, series_store, store
from modelyard.server.runs.creation import is_within, no_such_run
from modelyard.server.runs.inputs_store import Inputs
from modelyard.server.runs.summaries import Summary
from modelyard.wire.artifacts import FileEntry
from modelyard.wire.comparison import ComparedFile, ComparedRun, Comparison, RunsCompare
from modelyard.wire.runs import RunInfo

MAX_RUNS = 100
_MAX_NAMES = 2_000  # of one section
_MAX_FILES = 500
# Comparing line by line costs the square of the lines that differ.
_MAX_DIFF_BYTES = 256 * 1024  # of one file
_MAX_DIFF_LINES = 5_000
_MAX_DIFFS_BYTES = 1024 * 1024  # of all files together
_MAX_DIFFS = 200  # pairs of files read


class RunComparison:
    def __init__(self, db: Database, artifacts: ArtifactService) -> None:
        self._db = db
        self._artifacts = artifacts

    def compare(self, workspace_id: str, principal: Principal, body: RunsCompare) -> Comparison:
        """What differs between the runs. Raises Invalid, NotFound; Forbidden for a run that asks beyond itself."""
        run_ids = list(dict.fromkeys(body.run_ids))
        if not 2 <= len(run_ids) <= MAX_RUNS:
            raise Invalid(
                "bad_run_count", f"Name 2 to {MAX_RUNS} different runs to compare; these are {len(run_ids)}."
            )
        if principal.kind not in (Kind.OWNER, Kind.RUN):
            raise Forbidden("not_allowed", f"{principal.name} may not compare runs.")
        infos, summaries, inputs = self._read(workspace_id, principal, run_ids)
        specs = [info.spec for info in infos]
        sections: dict[str, list[Any]] = {
            name: comparison.differences(of_runs, body.all)
            for name, of_runs in {
                "run": [comparison.about(i) for i in infos],
                "params": [i.params for i in infos],
                "arguments": [comparison.arguments(s) for s in specs],
                "tags": [comparison.tags(i) for i in infos],
                "configuration": [comparison.configuration(s) for s in specs],
                "environment": [comparison.environment(i) for i in infos],
                "packages": [comparison.packages(i.environment_lock) for i in infos],
                "git": [comparison.git(i) for i in infos],
                "data": [comparison.data(i.spec, inputs[i.id].datasets) for i in infos],
                "machine": [comparison.flat(i.machine) for i in infos],
            }.items()
        }
        sections["metrics"] = comparison.metrics(summaries)
        sections["code"] = self._code(infos, body)
        left_out = {}
        for name, found in sections.items():
            most = _MAX_FILES if name == "code" else _MAX_NAMES
            if len(found) > most:
                left_out[name] = len(found) - most
                del found[most:]
        return Comparison(runs=[_shown(i) for i in infos], **sections, left_out=left_out)

    def _read(
        self, workspace_id: str, principal: Principal, run_ids: Sequence[str]
    ) -> tuple[list[RunInfo], list[list[Summary]], dict[str, Inputs]]:
        infos, summaries = [], []
        with self._db.read() as tx:
            for run_id in run_ids:
                row = store.by_id(tx, workspace_id, run_id) if rules.is_run_id(run_id) else None
                if row is None:
                    raise no_such_run(run_id)
                if principal.kind is Kind.RUN and not is_within(tx, workspace_id, principal.subject, run_id):
                    raise Forbidden(
                        "other_run",
                        f"{principal.name} may compare only itself and its child runs, not {run_id!r}.",
                    )
                infos.append(store.info(row))
                summaries.append(series_store.of_run(tx, run_id, system=False))
            inputs = {run_id: Inputs() for run_id in run_ids} | inputs_store.of_runs(tx, run_ids)
        return infos, summaries, inputs

    def _code(self, infos: Sequence[RunInfo], body: RunsCompare) -> list[ComparedFile]:
        trees = [self._artifacts.tree(i.snapshot_id) if i.snapshot_id else [] for i in infos]
        if body.diff is not None:
            return [self._whole_diff(comparison.files(trees, everything=True), trees, body.diff)]
        found = comparison.files(trees, body.all)
        shown = _Budget(_MAX_DIFFS, _MAX_DIFFS_BYTES)
        return [
            self._with_diffs(file, trees, shown) if position < _MAX_FILES else file
            for position, file in enumerate(found)
        ]

    def _whole_diff(
        self, files: Sequence[ComparedFile], trees: Sequence[Sequence[FileEntry]], path: str
    ) -> ComparedFile:
        for file in files:
            if file.path == path:
                return self._with_diffs(file, trees, _Budget(MAX_RUNS, 100 * _MAX_DIFFS_BYTES))
        near = difflib.get_close_matches(path, [f.path for f in files], 1)
        raise NotFound(
            "no_such_file",
            f"No snapshot of these runs has a file {path[:200]!r}."
            + (f" Did you mean {near[0]!r}?" if near else ""),
        )

    def _with_diffs(
        self, file: ComparedFile, trees: Sequence[Sequence[FileEntry]], left: _Budget
    ) -> ComparedFile:
        first = file.hashes[0]
        others = {h for h in file.hashes[1:] if h != first}
        if not others:
            return dataclasses.replace(file, diffs=[""] * (len(trees) - 1))
        if max(size or 0 for size in file.sizes) > _MAX_DIFF_BYTES:
            return dataclasses.replace(file, not_shown=f"over {_MAX_DIFF_BYTES // 1024} KiB")
        if left.pairs < len(others) or left.size_bytes <= 0:
            return dataclasses.replace(file, not_shown="too many differences: ask for this file alone")
        lines = {h: self._lines(h) for h in {first, *others} if h is not None}
        if any(found is None for found in lines.values()):
            return dataclasses.replace(file, not_shown="not a text")
        if max(len(found or ()) for found in lines.values()) > _MAX_DIFF_LINES:
            return dataclasses.replace(file, not_shown=f"over {_MAX_DIFF_LINES} lines")
        before = None if first is None else lines[first]
        made = {h: comparison.diff(file.path, before, None if h is None else lines[h]) for h in others}
        left.take(made.values())
        return dataclasses.replace(file, diffs=[made.get(h, "") for h in file.hashes[1:]])

    def _lines(self, hash_: str) -> list[str] | None:
        content = b"".join(self._artifacts.read(hash_))
        if b"\0" in content:
            return None
        try:
            return io.StringIO(content.decode("utf-8")).readlines()
        except UnicodeDecodeError:
            return None


@dataclasses.dataclass
class _Budget:
    """What one answer may still show."""

    pairs: int
    size_bytes: int

    def take(self, diffs: Iterable[str]) -> None:
        for one in diffs:
            self.pairs -= 1
            self.size_bytes -= len(one)


def _shown(info: RunInfo) -> ComparedRun:
    return ComparedRun(
        info.id, info.display_name, info.experiment, info.number, info.status.value, info.created_at,
        comparison.duration_s(info),
    )  # fmt: skip
