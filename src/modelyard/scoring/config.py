"""`service.json`: what the keeper of a service is to keep running."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from dataclasses import dataclass, field
from typing import Any, Dict, List

from modelyard.wire import codec

MAX_REPLICAS = 64
INIT_TIMEOUT_S = 300.0
# Changes of these fields are told to running replicas; a change of any other starts new ones.
LIVE_FIELDS = ("auth_enabled", "keys", "replicas", "max_body_bytes", "scoring_timeout_s", "stop")


class ConfigError(ValueError):
    """`service.json` is missing or does not say what it must; the message says which."""


@dataclass(frozen=True)
class ServedModel:
    name: str
    version: int
    path: str
    framework: str = "Custom"


@dataclass(frozen=True)
class ServiceConfig:
    """One revision of a service on this node. Paths are absolute; `pythonpath` is a list or an os.pathsep string."""

    endpoint: str
    python: str
    endpoint_id: str = ""
    workspace: str = ""
    revision: int = 1
    code: str = ""  # names what runs: revisions with the same share replicas; empty: each has its own
    host: str = "127.0.0.1"
    port: int = 0
    replicas: int = 1
    pythonpath: Any = field(default_factory=list)
    source_dir: str = ""
    app_root: str = ""  # the working directory; empty: the source directory
    entry_script: str = ""
    model_dir: str = ""
    models: List[ServedModel] = field(default_factory=list)
    variables: Dict[str, str] = field(default_factory=dict)
    auth_enabled: bool = False
    keys: List[str] = field(default_factory=list)
    scoring_timeout_s: float = 60.0
    max_body_bytes: int = 100 * 1024 * 1024
    stop: bool = False

    @property
    def digest(self) -> str:
        """Names what a replica runs: replicas with the same digest need not be replaced by each other."""
        fields = {k: v for k, v in codec.to_json(self).items() if k not in LIVE_FIELDS}
        if self.code:
            del fields["revision"]
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode("utf-8")).hexdigest()[:12]

    def with_live_fields_of(self, other: ServiceConfig) -> ServiceConfig:
        """What a replica of this goes on with when `other` is wanted: all of it when that is the same code."""
        if other.digest == self.digest:
            return other
        return dataclasses.replace(self, **{name: getattr(other, name) for name in LIVE_FIELDS})

    @property
    def init_timeout_s(self) -> float:
        """How long importing the entry script and init() may take; v1's server has this variable for it."""
        try:
            given = float(self.variables.get("WORKER_TIMEOUT", ""))
        except ValueError:
            return INIT_TIMEOUT_S
        return given if given > 0 else INIT_TIMEOUT_S

    @property
    def python_path(self) -> str:
        given = self.pythonpath
        return given if isinstance(given, str) else os.pathsep.join(given or [])


def from_json(value: Any) -> ServiceConfig:
    """Raises ConfigError."""
    try:
        config = codec.from_json(ServiceConfig, value)
    except codec.DecodeError as error:
        raise ConfigError(f"service.json: {error}") from error
    if not 0 <= config.port <= 65535:
        raise ConfigError(f"service.json: port {config.port} is not a port")
    if not 1 <= config.replicas <= MAX_REPLICAS:
        raise ConfigError(f"service.json: replicas has to be 1 to {MAX_REPLICAS}")
    if config.auth_enabled and not [k for k in config.keys if k]:
        raise ConfigError("service.json: auth_enabled without keys would refuse every request")
    return dataclasses.replace(config, keys=[k for k in config.keys if k])


def read(path: str) -> ServiceConfig:
    """Raises ConfigError."""
    try:
        with open(path, "rb") as f:
            value = json.load(f)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    return from_json(value)
