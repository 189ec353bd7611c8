"""The routes of runs."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool

from modelyard.server.kernel import chunks
from modelyard.server.kernel.auth import Permission
from modelyard.server.kernel.http import WORKSPACE, Call, Routes
from modelyard.server.runs import (
    api_experiments,
    api_metrics,
    api_search,
    api_streams,
    told,
)
from modelyard.server.runs.creation import Place
from modelyard.server.runs.service import RunService
from modelyard.wire.artifacts import Offset
from modelyard.wire.comparison import Comparison, RunsCompare
from modelyard.wire.runs import (
    ChildrenCreate,
    Heartbeat,
    HeartbeatAnswer,
    RunCreate,
    RunInfo,
    RunList,
    RunStatusReport,
    RunUpdate,
)
from modelyard.wire.told import StoryTaken

_MAX_WAIT_S = 60.0


@dataclass(frozen=True)
class Wait:
    """Answer when the version is above `wait_version`, or after `wait_s` seconds (at most 60)."""

    wait_version: int = 0
    wait_s: float = 0.0


@dataclass(frozen=True)
class Recursive:
    recursive: bool = False


@dataclass(frozen=True)
class StoryOffset:
    """`source` names the story, `offset` says at which of its bytes the body begins. `experiment`: in this one, whatever
    the story says."""

    source: str = ""
    offset: int = 0
    experiment: str = ""


@dataclass(frozen=True)
class StorySource:
    source: str = ""


def routes(runs: RunService) -> Routes:
    r = Routes("runs")
    api_experiments.add(r, runs.experiments)
    one = f"{WORKSPACE}/runs/{{run_id}}"

    @r.post(f"{WORKSPACE}/runs", Permission.RUN_CREATE, status=201)
    def create(call: Call, body: RunCreate) -> RunInfo:
        """Create a run; the same request again answers the same run."""
        return runs.create(_place(call), body)

    @r.get(one, Permission.RUN_READ)
    async def get(call: Call, query: Wait) -> RunInfo:
        """Show a run; with `wait_s`, as soon as it has changed."""
        run_id = call.path["run_id"]
        if query.wait_s > 0:
            wait_s = min(query.wait_s, _MAX_WAIT_S)
            changed = await runs.wait(call.workspace_id, run_id, query.wait_version, wait_s)
            if changed is not None:
                return changed
        return await run_in_threadpool(runs.get, call.workspace_id, run_id)

    @r.patch(one, Permission.RUN_WRITE)
    def update(call: Call, body: RunUpdate) -> RunInfo:
        """Change tags and texts of a run, add properties, archive or reactivate it."""
        return runs.update(call.workspace_id, call.path["run_id"], body, call.principal.name)

    @r.delete(one, Permission.CONTRIBUTE)
    def delete(call: Call) -> None:
        """Put a run that is over into the trash, with the runs below it."""
        runs.trash(call.workspace_id, call.path["run_id"], call.principal.name)

    api_search.add(r, runs)
    _add_life(r, runs, one)
    _add_more(r, runs, one)
    _add_told(r, runs, one)
    api_streams.add(r, runs)
    api_metrics.add(r, runs)
    return r


def _add_life(r: Routes, runs: RunService, one: str) -> None:
    @r.post(f"{one}/status", Permission.RUN_WRITE)
    def report(call: Call, body: RunStatusReport) -> RunInfo:
        """Tell a run's next status."""
        return runs.report(call.workspace_id, call.path["run_id"], body, call.principal.name)

    @r.post(f"{one}/heartbeat", Permission.RUN_WRITE)
    def heartbeat(call: Call, body: Heartbeat) -> HeartbeatAnswer:
        """Tell that whoever runs the run is alive."""
        return runs.heartbeat(call.workspace_id, call.path["run_id"])

    @r.post(f"{one}/cancel", Permission.RUN_WRITE)
    def cancel(call: Call) -> RunInfo:
        """Cancel a run and the runs below it."""
        return runs.cancel(call.workspace_id, call.path["run_id"], call.principal.name)


def _add_more(r: Routes, runs: RunService, one: str) -> None:
    @r.post(f"{WORKSPACE}/runs/compare", Permission.READ)
    def compare(call: Call, body: RunsCompare) -> Comparison:
        """Put runs beside each other: parameters, metrics, packages, code …; what is equal is left out."""
        return runs.comparison.compare(call.workspace_id, call.principal, body)

    @r.post(f"{one}/rerun", Permission.CONTRIBUTE, status=201)
    def rerun(call: Call) -> RunInfo:
        """Run it again from its record: snapshot, locked environment, arguments."""
        return runs.rerun(_place(call), call.path["run_id"])

    @r.post(f"{one}/children", Permission.RUN_WRITE, status=201)
    def create_children(call: Call, body: ChildrenCreate) -> RunList:
        """Create many child runs at once."""
        return RunList(runs.create_children(_place(call), call.path["run_id"], body))

    @r.get(f"{one}/children", Permission.RUN_READ)
    def children(call: Call, query: Recursive) -> RunList:
        """List the runs below a run."""
        return RunList(runs.children(call.workspace_id, call.path["run_id"], query.recursive))


def _add_told(r: Routes, runs: RunService, one: str) -> None:
    @r.post(f"{one}/told", Permission.CONTRIBUTE, raw_body="application/x-ndjson")
    async def tell(call: Call, query: StoryOffset) -> StoryTaken:
        """Take in a piece of the story of a run that was kept offline, whole lines of JSON; durable when answered.

        The first line creates the run, with the times of its machine. Lines that no run can keep are named in
        `passed_over` and cost none of the others.
        """
        offset = chunks.check_offset(query.offset)
        chunk = await chunks.read(call, told.MAX_CHUNK_BYTES)
        return await run_in_threadpool(
            runs.told.take, _place(call), call.path["run_id"], query.source, offset, chunk, query.experiment
        )

    @r.get(f"{one}/told", Permission.CONTRIBUTE)
    def held_story(call: Call, query: StorySource) -> Offset:
        """How many bytes of a story are held; 0 for a run that is not here."""
        return runs.told.held(call.workspace_id, call.path["run_id"], query.source)


def _place(call: Call) -> Place:
    return Place(call.workspace_id, call.path["workspace"], call.principal)
