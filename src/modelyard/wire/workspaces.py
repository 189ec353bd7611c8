"""Workspaces: the top of everything, with v1's Azure-shaped names kept as plain labels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, List, Optional


@dataclass(frozen=True)
class WorkspaceCreate:
    """`exist_ok`: answer the existing workspace instead of 409."""

    name: str
    subscription_id: str = ""
    resource_group: str = ""
    location: str = ""
    sku: str = "basic"
    friendly_name: str = ""
    description: str = ""
    tags: Dict[str, str] = field(default_factory=dict)
    exist_ok: bool = False


@dataclass(frozen=True)
class WorkspaceInfo:
    """A workspace. Subscription, resource group and location are labels from v1."""

    id: str
    name: str
    subscription_id: str
    resource_group: str
    location: str
    sku: str
    friendly_name: str
    description: str
    tags: Dict[str, str]
    created_at: float  # Unix seconds, as everywhere on the wire


@dataclass(frozen=True)
class WorkspaceUpdate:
    """Only what is given changes."""

    friendly_name: Optional[str] = None
    description: Optional[str] = None
    tags: Optional[Dict[str, str]] = None


@dataclass(frozen=True)
class WorkspaceList:
    """Workspaces by name."""

    items: List[WorkspaceInfo]
