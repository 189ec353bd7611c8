"""Runs: what was asked for, what became of it, and everything that is kept about it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Dict, List, Optional

from modelyard.wire.environments import EnvironmentSpec


def run_id_stem(experiment: str) -> str:
    """The experiment's name as far as a run id can hold it: MLflow's clients make experiments of any name."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", experiment)[:200].lstrip("_-") or "run"


class RunStatus(str, Enum):
    """Status names as azureml-core v1 reports them from `Run.get_status()`."""

    NOT_STARTED = "NotStarted"
    QUEUED = "Queued"
    PREPARING = "Preparing"
    PROVISIONING = "Provisioning"
    STARTING = "Starting"
    RUNNING = "Running"
    NOT_RESPONDING = "NotResponding"
    FINALIZING = "Finalizing"
    CANCEL_REQUESTED = "CancelRequested"
    COMPLETED = "Completed"
    FAILED = "Failed"
    CANCELED = "Canceled"


@dataclass(frozen=True)
class RunSpec:
    """Everything a node needs to start the user's script; kept whole, so that a run can be repeated.

    Either `script` with `arguments`, or `command` (argument list; a string given by the user was split by
    shell rules in the SDK). `max_duration_s` None means no limit. `environment` None means user-managed
    with the Python that runs the yard. `framework`, `communicator`, `node_count`, `recorded` keep v1's
    run configuration as given.
    """

    script: str = ""
    arguments: List[str] = field(default_factory=list)
    command: List[str] = field(default_factory=list)
    target: str = "local"
    snapshot_id: Optional[str] = None
    environment: Optional[EnvironmentSpec] = None
    variables: Dict[str, str] = field(default_factory=dict)
    max_duration_s: Optional[float] = None
    framework: str = "Python"
    communicator: str = "None"
    node_count: int = 1
    recorded: Dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RunCreate:
    """`spec` given: the run is queued for a node. Not given: the caller itself is the run (start_logging,
    child runs), which starts NotStarted or, with `started`, Running. `run_id` is chosen by the caller, so that
    a repeated request answers the same run instead of making a second one."""

    run_id: str
    experiment: str
    spec: Optional[RunSpec] = None
    parent_id: Optional[str] = None
    type: str = "azureml.scriptrun"
    display_name: str = ""
    description: str = ""
    tags: Dict[str, str] = field(default_factory=dict)
    properties: Dict[str, str] = field(default_factory=dict)
    started: bool = False
    snapshot_id: Optional[str] = None
    user: str = ""


@dataclass(frozen=True)
class RunError:
    """`line` is the user's own failing line, e.g. `train.py:42: ValueError: …`, where one is known."""

    code: str  # UserError | EnvironmentError | TimedOut | LostRunHost | SystemError
    message: str
    line: str = ""
    traceback: str = ""


@dataclass(frozen=True)
class RunInfo:
    """What the yard knows of a run. `version` grows with every change; times are Unix seconds."""

    id: str
    number: int  # 1, 2, 3 … within the experiment
    experiment: str
    experiment_id: str
    type: str
    status: RunStatus
    status_reason: str  # one sentence for a person: why it is in this status
    display_name: str
    description: str
    parent_id: Optional[str]
    root_id: str
    tags: Dict[str, str]
    properties: Dict[str, str]
    created_at: float
    version: int  # grows with every change; wait for a larger one
    user: str = ""
    started_at: Optional[float] = None
    ended_at: Optional[float] = None
    snapshot_id: Optional[str] = None
    spec: Optional[RunSpec] = None
    node: str = ""
    exit_code: Optional[int] = None
    error: Optional[RunError] = None
    warnings: List[str] = field(default_factory=list)
    environment_hash: str = ""
    environment_lock: List[str] = field(default_factory=list)
    machine: Dict[str, Any] = field(default_factory=dict)
    child_count: int = 0
    params: Dict[str, str] = field(default_factory=dict)
    archived_at: Optional[float] = None
    deleted_at: Optional[float] = None  # since when the run lies in the trash
    synced_at: Optional[float] = (
        None  # since when the yard knows of a run kept offline; its times are its machine's
    )


@dataclass(frozen=True)
class RunPage:
    """`next` is the cursor of the following page, None at the end."""

    items: List[RunInfo]
    next: Optional[str] = None


@dataclass(frozen=True)
class RunUpdate:
    """Tags may be set again and removed; a property or parameter that exists may not be given another value (409).
    `archived` False brings an archived run back, with the runs below it."""

    set_tags: Dict[str, str] = field(default_factory=dict)
    remove_tags: List[str] = field(default_factory=list)
    add_properties: Dict[str, str] = field(default_factory=dict)
    add_params: Dict[str, str] = field(default_factory=dict)
    display_name: Optional[str] = None
    description: Optional[str] = None
    snapshot_id: Optional[str] = None
    archived: Optional[bool] = None


@dataclass(frozen=True)
class RunStatusReport:
    """The run host, or the script itself, tells the run's next status."""

    status: RunStatus
    reason: str = ""
    exit_code: Optional[int] = None
    error: Optional[RunError] = None
    at: Optional[float] = None  # when it happened, where that differs from when it is told
    machine: Dict[str, Any] = field(default_factory=dict)
    environment_hash: str = ""
    environment_lock: List[str] = field(default_factory=list)
    warnings: List[str] = field(default_factory=list)


@dataclass(frozen=True)
class ChildrenCreate:
    """Many child runs at once; `run_ids` are the caller's choice, `tag_key`/`tag_values` as in v1's create_children."""

    run_ids: List[str]
    tag_key: str = ""
    tag_values: List[str] = field(default_factory=list)


@dataclass(frozen=True)
class RunList:
    """Runs, whole and in order."""

    items: List[RunInfo]


@dataclass(frozen=True)
class Heartbeat:
    """The one who runs the run is alive. Answered with whether somebody asked to cancel."""

    pid: int = 0


@dataclass(frozen=True)
class HeartbeatAnswer:
    """What the run host has to know: whether somebody asked to cancel, and the status the yard has."""

    cancel_requested: bool
    status: RunStatus
