"""Endpoints: web services that keep a registered model's entry script running behind an address."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Dict, List, Optional

from modelyard.wire.environments import EnvironmentSpec


class ServiceState(str, Enum):
    """v1's web service states."""

    TRANSITIONING = "Transitioning"
    HEALTHY = "Healthy"
    UNHEALTHY = "Unhealthy"
    FAILED = "Failed"
    STOPPED = "Stopped"


@dataclass(frozen=True)
class ServiceSpec:
    """One revision of a web service: what its scoring processes run.

    `models` are `name:version` ids, in the order given. `snapshot_id` is the tree of the source directory and
    `entry_script` a path inside it. An empty `entry_script` asks for no-code deployment by the model's framework.
    """

    models: List[str]
    entry_script: str
    snapshot_id: str
    environment: Optional[EnvironmentSpec] = None
    replicas: int = 1
    port: int = 0  # 0: the yard chooses a free one and keeps it
    auth_enabled: bool = False
    scoring_timeout_s: float = 60.0
    max_body_bytes: int = 100 * 1024 * 1024
    variables: Dict[str, str] = field(default_factory=dict)
    recorded: Dict[str, Any] = field(default_factory=dict)  # cpu_cores, memory_gb … as given
    generation: int = (
        0  # raised by the yard where the processes have to start anew though nothing else has changed
    )


@dataclass(frozen=True)
class EndpointCreate:
    """A web service to deploy. `overwrite`: as a new revision of the one of this name; empty keys: random ones."""

    name: str
    spec: ServiceSpec
    compute_type: str = "LOCAL"  # v1's LOCAL | ACI | AKS, kept for what `Webservice` shows
    description: str = ""
    tags: Dict[str, str] = field(default_factory=dict)
    properties: Dict[str, str] = field(default_factory=dict)
    primary_key: str = ""
    secondary_key: str = ""
    overwrite: bool = False


@dataclass(frozen=True)
class ServiceError:
    """Why a revision is not healthy. `line` is the user's failing line, `score.py:12: KeyError: …`."""

    code: str  # InitFailed | EnvironmentFailed | Crashed | PortTaken | Lost
    message: str
    line: str = ""
    traceback: str = ""


@dataclass(frozen=True)
class EndpointInfo:
    """A web service as people see it."""

    id: str
    name: str
    compute_type: str
    state: ServiceState
    state_reason: str
    description: str
    tags: Dict[str, str]
    properties: Dict[str, str]
    scoring_uri: str
    swagger_uri: str
    auth_enabled: bool
    revision: int  # the revision asked for last
    active_revision: Optional[int]  # the one that answers requests now
    spec: ServiceSpec
    created_at: float
    updated_at: float
    version: int  # grows with every change; wait for a larger one
    error: Optional[ServiceError] = None
    replicas_ready: int = 0
    telemetry: Dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class EndpointList:
    """Web services by name."""

    items: List[EndpointInfo]


@dataclass(frozen=True)
class EndpointUpdate:
    """A given `spec` makes a new revision, which takes over when it is healthy. `reload` starts the current
    one anew in the same way."""

    spec: Optional[ServiceSpec] = None
    reload: bool = False
    description: Optional[str] = None
    set_tags: Dict[str, str] = field(default_factory=dict)
    remove_tags: List[str] = field(default_factory=list)
    add_properties: Dict[str, str] = field(default_factory=dict)
    auth_enabled: Optional[bool] = None


@dataclass(frozen=True)
class EndpointKeys:
    """Either key opens the web service, so that one can be changed while the other is in use."""

    primary: str
    secondary: str


@dataclass(frozen=True)
class KeyRegenerate:
    """`key` is `primary` or `secondary`; `value` empty asks for a random one."""

    key: str
    value: str = ""


@dataclass(frozen=True)
class ServiceAssignment:
    """What a node is to keep running for one endpoint. `stop`: end it."""

    workspace: str
    endpoint: str
    endpoint_id: str
    revision: int
    spec: ServiceSpec
    port: int
    keys: List[str] = field(default_factory=list)  # accepted bearer keys; empty with auth off
    model_trees: Dict[str, str] = field(default_factory=dict)  # model id -> tree id
    stop: bool = False
    host: str = "127.0.0.1"  # the address to listen on
    model_frameworks: Dict[str, str] = field(default_factory=dict)  # model id -> framework
    workspace_id: str = ""


@dataclass(frozen=True)
class ServiceReport:
    """The node tells how one revision of an endpoint is doing."""

    revision: int
    state: ServiceState
    reason: str = ""
    port: int = 0
    replicas_ready: int = 0
    error: Optional[ServiceError] = None
    telemetry: Dict[str, Any] = field(default_factory=dict)
    swagger: Optional[Dict[str, Any]] = None
    active_revision: Optional[int] = None  # the revision that answers requests now; None: not told
    endpoint_id: str = ""  # so that a service deleted since does not speak for a new one of its name
