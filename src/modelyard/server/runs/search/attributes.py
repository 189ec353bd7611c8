"""The columns that every run has, under the names that people and MLflow give them."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from enum import Enum


class Holds(Enum):
    TEXT = "text"
    NUMBER = "number"
    TIME = "time"


@dataclass(frozen=True)
class AttributeKind:
    holds: Holds
    meaning: str
    also: tuple[str, ...] = ()  # other names of it


_T, _N, _AT = Holds.TEXT, Holds.NUMBER, Holds.TIME

ATTRIBUTES: dict[str, AttributeKind] = {
    "run_id": AttributeKind(_T, "the run's id", ("id", "run id", "run_uuid")),
    "run_name": AttributeKind(_T, "the name people see", ("name", "display_name", "run name")),
    "status": AttributeKind(_T, "its status, in our words (Completed) or MLflow's (FINISHED)"),
    "mlflow_status": AttributeKind(_T, "its status in MLflow's words alone"),
    "start_time": AttributeKind(
        _AT, "when it started; of a run that has not, when it was created", ("created", "started_at")
    ),
    "end_time": AttributeKind(_AT, "when it ended", ("ended_at",)),
    "created_at": AttributeKind(_AT, "when it was created"),
    "duration": AttributeKind(_N, "seconds from start to end"),
    "experiment": AttributeKind(_T, "the experiment's name", ("experiment_name",)),
    "experiment_id": AttributeKind(_T, "the experiment's id"),
    "number": AttributeKind(_N, "1, 2, 3 … within the experiment", ("nr",)),
    "type": AttributeKind(_T, "the run's type, such as azureml.scriptrun"),
    "parent": AttributeKind(_T, "id of the run it is a child of", ("parent_id", "parent_run_id")),
    "target": AttributeKind(_T, "the compute target it was submitted to"),
    "node": AttributeKind(_T, "the node that runs or ran it"),
    "user_id": AttributeKind(_T, "who asked for it", ("user",)),
    "exit_code": AttributeKind(_N, "the script's exit code"),
    "description": AttributeKind(_T, "its description"),
    "artifact_uri": AttributeKind(_T, "where MLflow finds its files"),
    "dataset_name": AttributeKind(_T, "the name of a data set it read"),
    "dataset_digest": AttributeKind(_T, "the digest of a data set it read"),
    "dataset_context": AttributeKind(_T, "what it read a data set for, such as training"),
}

_NAMES = {name: name for name in ATTRIBUTES}
_NAMES.update((other, name) for name, kind in ATTRIBUTES.items() for other in kind.also)


def find(name: str) -> str | None:
    """The attribute that goes by this name, in any case."""
    return _NAMES.get(name.lower())


def near(name: str) -> list[str]:
    """Names that look like this one."""
    return difflib.get_close_matches(name.lower(), _NAMES, 3, 0.6)
