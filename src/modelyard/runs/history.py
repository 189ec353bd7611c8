"""The runs of a workspace, looked at as one mapping that is read as it is used."""

from __future__ import annotations

from typing import Any, Iterator, Mapping

from modelyard import errors
from modelyard.runs import details
from modelyard.runs.run import Run, rehydrate
from modelyard.runs.scope import Scope


class Runs(Mapping[str, Any]):
    """Run id -> run, newest first, child runs included. A workspace may have millions, so nothing is read ahead
    but a page, and `len` counts by reading all of them."""

    def __init__(self, workspace: Any) -> None:
        self._workspace = workspace
        self._scope = Scope(workspace._client, workspace.name)

    def __getitem__(self, run_id: str) -> Any:
        try:
            return Run.get(self._workspace, run_id)
        except errors.NotFound:
            raise KeyError(run_id) from None

    def __iter__(self) -> Iterator[str]:
        return (info.id for info in details.listing(self._scope, include_children=True))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def values(self) -> Any:
        """The runs themselves, a page a request."""
        return (rehydrate(self._scope, info) for info in details.listing(self._scope, include_children=True))

    def items(self) -> Any:
        return ((run.id, run) for run in self.values())
