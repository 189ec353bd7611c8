"""Registered models and their versions as MLflow's messages."""

from __future__ import annotations

from modelyard.server.mlflow.shapes import Json, milliseconds, pairs, without_empty
from modelyard.wire.models import ModelInfo, RegisteredModel


def registered_model(info: RegisteredModel) -> Json:
    found: Json = {
        "name": info.name,
        "creation_timestamp": milliseconds(info.created_at),
        "last_updated_timestamp": milliseconds(info.updated_at),
        "latest_versions": [model_version(version) for version in info.latest],
        "tags": pairs(info.tags),
        "aliases": [{"alias": alias, "version": str(version)} for alias, version in info.aliases.items()],
    }
    if info.description:
        found["description"] = info.description
    return without_empty(found)


def model_version(info: ModelInfo) -> Json:
    found: Json = {
        "name": info.name,
        "version": str(info.version),
        "creation_timestamp": milliseconds(info.created_at),
        "last_updated_timestamp": milliseconds(info.updated_at or info.created_at),
        "current_stage": info.stage,
        "description": info.description,
        "source": info.source,
        "run_id": info.run_id or "",
        "status": "READY",
        "run_link": str(info.recorded.get("run_link", "")),
        "tags": pairs(info.tags),
        "aliases": info.aliases,
    }
    if info.user:
        found["user_id"] = info.user
    return without_empty(found)
