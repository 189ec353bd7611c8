"""What an id names: a run, an experiment, or a version of a model; there or in the trash."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from modelyard.server.kernel.db import Tx
from modelyard.server.kernel.errors import NotFound
from modelyard.server.models import purge as model_purge
from modelyard.server.models import rules as model_rules
from modelyard.server.runs import experiments_store, store
from modelyard.server.runs import rules as run_rules


@dataclass(frozen=True)
class Target:
    """`row` is that of the slice which has it."""

    kind: str  # run | experiment | model
    id: str
    name: str
    row: Any

    @property
    def words(self) -> str:
        return f"{self.kind.capitalize()} {self.name!r}"


def find(tx: Tx, workspace_id: str, id_: str) -> Target:
    """By id, and an experiment that is not in the trash by its name too. Raises NotFound."""
    name, colon, version = id_.rpartition(":")
    if colon and version.isdecimal() and len(version) < 10 and not model_rules.name_problem(name):
        model = model_purge.by_id(tx, workspace_id, name, int(version))
        if model is not None:
            return Target("model", id_, id_, model)
    if run_rules.is_run_id(id_):
        run = store.by_id(tx, workspace_id, id_, in_trash=True)
        if run is not None:
            return Target("run", run.id, run.display_name, run)
        experiment = experiments_store.by_id(tx, workspace_id, id_, in_trash=True)
        experiment = experiment or experiments_store.by_name(tx, workspace_id, id_)
        if experiment is not None:
            return Target("experiment", experiment.id, experiment.name, experiment)
    raise NotFound(
        "no_such_thing",
        f"There is no run, experiment or model {id_[:80]!r} here, nor in the trash. Name a run or an experiment by its "
        "id, a model by NAME:VERSION.",
    )
