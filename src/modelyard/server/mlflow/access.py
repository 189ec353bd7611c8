"""Which runs a caller may touch, and what is said of one that is not there: in MLflow's protocol the body names the run."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator

from starlette.concurrency import run_in_threadpool

from modelyard.server.kernel.auth import Identity
from modelyard.server.kernel.errors import Conflict, NotFound, ProblemError
from modelyard.server.kernel.http import Call
from modelyard.server.mlflow import errors
from modelyard.server.runs.search.service import FoundRun
from modelyard.server.runs.service import RunService


class RunAccess:
    """`runs`, and who may do what with them: a run's token opens itself and the runs below it."""

    def __init__(self, runs: RunService, identity: Identity) -> None:
        self.runs = runs
        self._identity = identity

    def check(self, call: Call, run_id: str) -> None:
        """Raises PERMISSION_DENIED."""
        self._identity.require_run(call.principal, call.workspace_id, run_id)

    def found(self, call: Call, run_id: str) -> FoundRun:
        """Also one in the trash. Raises RESOURCE_DOES_NOT_EXIST, PERMISSION_DENIED."""
        self.check(call, run_id)
        try:
            return self.runs.found(call.workspace_id, run_id)
        except NotFound:
            raise _no_such_run(run_id) from None

    @contextlib.contextmanager
    def active(self, call: Call, run_id: str) -> Iterator[None]:
        """A block that changes the run: if it is not there, MLflow's words say so."""
        self.check(call, run_id)
        try:
            yield
        except NotFound as error:
            raise self._missing(call, run_id, error) from None

    @contextlib.asynccontextmanager
    async def changing(self, call: Call, run_id: str) -> AsyncIterator[None]:
        """`active`, for handlers that are not in a thread."""
        if not self._identity.is_own_run(call.principal, run_id):
            await run_in_threadpool(self.check, call, run_id)
        try:
            yield
        except (NotFound, Conflict) as error:
            raise await run_in_threadpool(self._missing, call, run_id, error) from None

    def _missing(self, call: Call, run_id: str, error: ProblemError) -> Exception:
        """What to say where a run that is to be changed was not found."""
        if error.code not in ("no_such_run", "run_in_trash"):
            return error
        try:
            self.runs.found(call.workspace_id, run_id)
        except NotFound:
            return _no_such_run(run_id)
        return errors.invalid(f"The run {run_id} must be in the 'active' state. Current state is deleted.")


def _no_such_run(run_id: str) -> errors.Refusal:
    return errors.not_found(f"Run with id={run_id[:300]} not found")
