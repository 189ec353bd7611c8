"""The routes of experiments."""

from __future__ import annotations

from dataclasses import dataclass, field

from modelyard.server.kernel.auth import Permission
from modelyard.server.kernel.http import WORKSPACE, Call, Routes
from modelyard.server.runs.experiments import Experiments
from modelyard.wire.experiments import ExperimentCreate, ExperimentInfo, ExperimentList, ExperimentUpdate


@dataclass(frozen=True)
class ExperimentsQuery:
    """`view`: active, archived, all (but for the trash) or trash. `tag`: `k` or `k=v`; all that are given must hold."""

    view: str = "active"
    tag: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Force:
    force: bool = False


def add(r: Routes, experiments: Experiments) -> None:
    one = f"{WORKSPACE}/experiments/{{experiment:path}}"  # a name may hold slashes

    @r.post(f"{WORKSPACE}/experiments", Permission.CONTRIBUTE, status=201)
    def create_experiment(call: Call, body: ExperimentCreate) -> ExperimentInfo:
        """Create an experiment, or answer the one that has this name."""
        return experiments.get_or_create(call.workspace_id, body, call.principal.name)

    @r.get(f"{WORKSPACE}/experiments", Permission.READ)
    def list_experiments(call: Call, query: ExperimentsQuery) -> ExperimentList:
        """List experiments by name."""
        return ExperimentList(experiments.list(call.workspace_id, query.view, query.tag))

    @r.get(one, Permission.READ)
    def get_experiment(call: Call) -> ExperimentInfo:
        """Show an experiment, by name or id."""
        return experiments.get(call.workspace_id, call.path["experiment"])

    @r.patch(one, Permission.CONTRIBUTE)
    def update_experiment(call: Call, body: ExperimentUpdate) -> ExperimentInfo:
        """Rename, describe, tag, archive or reactivate an experiment."""
        return experiments.update(call.workspace_id, call.path["experiment"], body, call.principal.name)

    @r.delete(one, Permission.CONTRIBUTE)
    def delete_experiment(call: Call, query: Force) -> None:
        """Put an empty experiment into the trash; with `force` one whose runs are all over, and its runs."""
        experiments.trash(call.workspace_id, call.path["experiment"], query.force, call.principal.name)
