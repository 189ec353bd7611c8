"""Turns models, inference configuration and deployment configuration into the wire's ServiceSpec."""

from __future__ import annotations

import dataclasses
import os
from typing import Any, Dict, List, Optional, Sequence

from modelyard.endpoints import no_code, sources
from modelyard.endpoints.deploy_config import WebserviceDeploymentConfiguration
from modelyard.endpoints.inference_config import InferenceConfig
from modelyard.environments import resolve_interpreter
from modelyard.errors import UserErrorException
from modelyard.wire.endpoints import ServiceSpec


def build(
    workspace: Any,
    models: Optional[Sequence[Any]],
    inference_config: Optional[InferenceConfig],
    configuration: WebserviceDeploymentConfiguration,
) -> ServiceSpec:
    """Send the source directory and say what is to run. Raises UserErrorException before anything is sent."""
    ids = model_ids(models)
    fields: Dict[str, Any] = {
        "models": ids,
        "replicas": configuration.replicas,
        "port": configuration.port,
        "auth_enabled": configuration.auth_enabled,
        "scoring_timeout_s": configuration.scoring_timeout_s,
    }
    code = code_fields(workspace, models or [], inference_config)
    code["recorded"] = {**configuration.recorded(), **code["recorded"]}
    return ServiceSpec(**fields, **code)


def code_fields(
    workspace: Any, models: Sequence[Any], inference_config: Optional[InferenceConfig]
) -> Dict[str, Any]:
    """The fields of a ServiceSpec that say which code runs where."""
    if inference_config is None:
        return no_code.code_fields(models)
    if not isinstance(inference_config, InferenceConfig):
        raise UserErrorException(
            f"inference_config must be an InferenceConfig, not {type(inference_config).__name__}."
        )
    inference_config.validate_configuration()
    inference_config.validation_script_content()
    environment = inference_config.environment_spec()
    if environment is not None and workspace._client.is_local:
        environment = resolve_interpreter(environment) or environment
    return {
        "entry_script": inference_config.entry_in_directory(),
        "snapshot_id": sources.take(workspace, inference_config.directory(), inference_config.files()),
        "environment": environment,
        "variables": dict(environment.variables) if environment else {},
        "recorded": inference_config.recorded(),
    }


def retake(workspace: Any, spec: ServiceSpec) -> Optional[ServiceSpec]:
    """The same service with its source directory as it is now; None where this machine does not have it."""
    directory = spec.recorded.get("source_directory")
    if not directory or not os.path.isfile(os.path.join(directory, *spec.entry_script.split("/"))):
        return None
    files = [spec.entry_script] if spec.recorded.get("entry_script_only") else None
    return dataclasses.replace(spec, snapshot_id=sources.take(workspace, directory, files))


def model_ids(models: Optional[Sequence[Any]]) -> List[str]:
    """`name:version` of Model objects or of such ids as text."""
    if models is None:
        return []
    if isinstance(models, str) or not isinstance(models, (list, tuple)):
        raise UserErrorException("models must be a list of Model objects or of 'name:version' ids.")
    ids = [model if isinstance(model, str) else getattr(model, "id", None) for model in models]
    for model, model_id in zip(models, ids):
        if not isinstance(model_id, str) or not model_id:
            raise UserErrorException(
                f"models: {model!r} is neither a registered Model nor a 'name:version' id."
            )
    return [model_id for model_id in ids if model_id]
