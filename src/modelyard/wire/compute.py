"""Compute targets and the nodes behind them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List

from modelyard.wire.endpoints import ServiceAssignment
from modelyard.wire.environments import EnvironmentSpec
from modelyard.wire.runs import RunSpec


@dataclass(frozen=True)
class ComputeTargetInfo:
    """A place where runs run, and how busy it is."""

    name: str
    type: str  # Local
    state: str  # Succeeded | Unreachable
    slots: int
    slots_busy: int
    queued: int
    nodes: List[str] = field(default_factory=list)
    description: str = ""


@dataclass(frozen=True)
class ComputeTargetList:
    """Compute targets by name."""

    items: List[ComputeTargetInfo]


@dataclass(frozen=True)
class NodePoll:
    """The agent of a node says what it has and asks what to do; the answer waits up to `wait_s` for work.

    `running`: ids of runs whose run host lives on this node. `pythons`: version -> interpreter path."""

    node: str
    target: str = "local"
    slots: int = 1
    running: List[str] = field(default_factory=list)
    services: Dict[str, int] = field(default_factory=dict)  # endpoint id -> revision that runs here
    machine: Dict[str, Any] = field(default_factory=dict)
    wait_s: float = 20.0


@dataclass(frozen=True)
class RunAssignment:
    """One run for this node. `token` is the run's own; it is also the lease: a later assignment of the same run
    revokes it, so that a stale run host is refused."""

    workspace: str
    workspace_id: str
    run_id: str
    root_id: str
    experiment: str
    experiment_id: str
    spec: RunSpec
    token: str
    variables: Dict[str, str] = field(default_factory=dict)
    environment: EnvironmentSpec = field(default_factory=EnvironmentSpec)


@dataclass(frozen=True)
class NodeWork:
    """`cancel`: run ids on this node that somebody asked to cancel. `forget`: run ids the node reports as running
    that the yard says are final; their run hosts stop."""

    starts: List[RunAssignment] = field(default_factory=list)
    cancel: List[str] = field(default_factory=list)
    forget: List[str] = field(default_factory=list)
    services: List[ServiceAssignment] = field(default_factory=list)
