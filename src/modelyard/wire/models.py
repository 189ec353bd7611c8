"""Registered models: named, versioned trees of files with lineage."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional

from modelyard.wire.artifacts import FileEntry


@dataclass(frozen=True)
class ModelRegister:
    """Files come either as `entries` (blobs the yard already holds) or from a run's files under `run_path`.
    `request_id` is the caller's: a repeated request answers the same version instead of making another."""

    name: str
    request_id: str
    entries: List[FileEntry] = field(default_factory=list)
    run_id: Optional[str] = None
    run_path: Optional[str] = None
    description: str = ""
    tags: Dict[str, str] = field(default_factory=dict)
    properties: Dict[str, str] = field(default_factory=dict)
    framework: str = "Custom"
    framework_version: str = ""
    # Datasets, sample inputs and the resource configuration, as given.
    recorded: Dict[str, Any] = field(default_factory=dict)
    user: str = ""
    source: str = ""  # where the files were, as the caller names it


STAGES = ("None", "Staging", "Production", "Archived")


@dataclass(frozen=True)
class ModelInfo:
    """`id` is `name:version`, as in v1. `is_folder`: registered from a directory, so the model path is a directory."""

    id: str
    name: str
    version: int
    description: str
    tags: Dict[str, str]
    properties: Dict[str, str]
    framework: str
    framework_version: str
    created_at: float
    size_bytes: int
    file_count: int
    tree_id: str
    is_folder: bool
    user: str = ""
    run_id: Optional[str] = None
    experiment: Optional[str] = None
    recorded: Dict[str, Any] = field(default_factory=dict)
    endpoints: List[str] = field(default_factory=list)  # active deployments that use it
    deleted_at: Optional[float] = None  # since when the version lies in the trash
    stage: str = "None"  # one of STAGES
    source: str = ""
    updated_at: float = 0.0
    aliases: List[str] = field(default_factory=list)


@dataclass(frozen=True)
class ModelPage:
    """Models, newest first. `next` is the cursor of the following page, None at the end."""

    items: List[ModelInfo]
    next: Optional[str] = None


@dataclass(frozen=True)
class ModelUpdate:
    """Only what is given changes; a property that exists may not be given another value (409)."""

    description: Optional[str] = None
    set_tags: Dict[str, str] = field(default_factory=dict)
    remove_tags: List[str] = field(default_factory=list)
    add_properties: Dict[str, str] = field(default_factory=dict)
    framework: Optional[str] = None
    framework_version: Optional[str] = None
    stage: Optional[str] = None
    archive_existing: bool = False  # move the other versions of that stage to Archived


@dataclass(frozen=True)
class RegisteredModel:
    """A name with what all its versions share. `latest`: the newest version of each stage; `aliases`: which version
    each of them names."""

    name: str
    description: str = ""
    tags: Dict[str, str] = field(default_factory=dict)
    aliases: Dict[str, int] = field(default_factory=dict)
    created_at: float = 0.0
    updated_at: float = 0.0
    latest: List[ModelInfo] = field(default_factory=list)


@dataclass(frozen=True)
class RegisteredModelPage:
    """Registered models by name. `next` is the cursor of the following page, None at the end."""

    items: List[RegisteredModel]
    next: Optional[str] = None


@dataclass(frozen=True)
class RegisteredModelCreate:
    """A name that has no version yet."""

    name: str
    description: str = ""
    tags: Dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RegisteredModelUpdate:
    """Only what is given changes. `name`: another name for all versions."""

    name: Optional[str] = None
    description: Optional[str] = None
    set_tags: Dict[str, str] = field(default_factory=dict)
    remove_tags: List[str] = field(default_factory=list)


@dataclass(frozen=True)
class ModelAlias:
    """Which version an alias is to name."""

    version: int
