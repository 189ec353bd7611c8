"""inferenceconfig.json and deploymentconfig.json, the files of v1's `az ml model deploy`. Strict: every message names
the file and the key."""

from __future__ import annotations

import json
import os
from typing import Any, Dict, List, Mapping, Tuple

from modelyard.endpoints.deploy_config import (
    AciServiceDeploymentConfiguration,
    AksServiceDeploymentConfiguration,
    LocalWebserviceDeploymentConfiguration,
    WebserviceDeploymentConfiguration,
)
from modelyard.endpoints.inference_config import InferenceConfig
from modelyard.errors import UserErrorException

# A key's path in the file -> (argument of the configuration, type).
_Keys = Dict[str, Tuple[str, Any]]
_NUMBER = (int, float)

_INFERENCE: _Keys = {
    "entryScript": ("entry_script", str),
    "sourceDirectory": ("source_directory", str),
    "runtime": ("runtime", str),
    "condaFile": ("conda_file", str),
    "extraDockerfileSteps": ("extra_docker_file_steps", str),
    "enableGpu": ("enable_gpu", bool),
    "baseImage": ("base_image", str),
    "baseImageRegistry": ("base_image_registry", dict),
    "cudaVersion": ("cuda_version", str),
    "description": ("description", str),
    "environment": ("environment", dict),
}
_SHARED: _Keys = {
    "computeType": ("", str),
    "description": ("description", str),
    "tags": ("tags", dict),
    "properties": ("properties", dict),
    "authEnabled": ("auth_enabled", bool),
    "appInsightsEnabled": ("enable_app_insights", bool),
    "containerResourceRequirements.cpu": ("cpu_cores", _NUMBER),
    "containerResourceRequirements.memoryInGB": ("memory_gb", _NUMBER),
    "primaryKey": ("primary_key", str),
    "secondaryKey": ("secondary_key", str),
    "keys.primaryKey": ("primary_key", str),
    "keys.secondaryKey": ("secondary_key", str),
    "dataCollection.storageEnabled": ("collect_model_data", bool),
}
_ACI: _Keys = {
    **_SHARED,
    "location": ("location", str),
    "sslEnabled": ("ssl_enabled", bool),
    "sslCertificate": ("ssl_cert_pem_file", str),
    "sslKey": ("ssl_key_pem_file", str),
    "cname": ("ssl_cname", str),
    "dnsNameLabel": ("dns_name_label", str),
    "vnetName": ("vnet_name", str),
    "subnetName": ("subnet_name", str),
}
_AKS: _Keys = {
    **_SHARED,
    "containerResourceRequirements.gpu": ("gpu_cores", int),
    "containerResourceRequirements.cpuLimit": ("cpu_cores_limit", _NUMBER),
    "containerResourceRequirements.memoryInGBLimit": ("memory_gb_limit", _NUMBER),
    "autoScaler.autoscaleEnabled": ("autoscale_enabled", bool),
    "autoScaler.minReplicas": ("autoscale_min_replicas", int),
    "autoScaler.maxReplicas": ("autoscale_max_replicas", int),
    "autoScaler.refreshPeriodInSeconds": ("autoscale_refresh_seconds", int),
    "autoScaler.targetUtilization": ("autoscale_target_utilization", int),
    "tokenAuthEnabled": ("token_auth_enabled", bool),
    "scoringTimeoutMs": ("scoring_timeout_ms", int),
    "maxConcurrentRequestsPerContainer": ("replica_max_concurrent_requests", int),
    "maxQueueWaitMs": ("max_request_wait_time", int),
    "numReplicas": ("num_replicas", int),
    "livenessProbeRequirements.periodSeconds": ("period_seconds", int),
    "livenessProbeRequirements.initialDelaySeconds": ("initial_delay_seconds", int),
    "livenessProbeRequirements.timeoutSeconds": ("timeout_seconds", int),
    "livenessProbeRequirements.successThreshold": ("success_threshold", int),
    "livenessProbeRequirements.failureThreshold": ("failure_threshold", int),
    "sslEnabled": ("", bool),  # v1's samples have it; TLS was the cluster's matter, and is a proxy's here
    "namespace": ("namespace", str),
    "computeTargetName": ("compute_target_name", str),
}
_LOCAL: _Keys = {"computeType": ("", str), "port": ("port", int)}


def read_inference_config(file: str, workspace: Any = None) -> InferenceConfig:
    """The InferenceConfig a file describes; relative paths in it begin at the file's own directory.

    `workspace` is where an environment that is only named is looked up. Raises UserErrorException naming
    the file and the key.
    """
    given = _arguments(file, _read(file), _INFERENCE)
    if "entry_script" not in given:
        raise UserErrorException(
            f"{file}: entryScript is missing; it names the script with init() and run()."
        )
    folder = os.path.dirname(os.path.abspath(file))
    if "source_directory" in given:
        given["source_directory"] = os.path.join(folder, given["source_directory"])
    else:
        given["entry_script"] = os.path.join(folder, given["entry_script"])
    if "conda_file" in given and not os.path.isabs(given["conda_file"]):
        inside = os.path.join(given.get("source_directory", folder), given["conda_file"])
        given["conda_file"] = inside if os.path.isfile(inside) else os.path.join(folder, given["conda_file"])
    if "environment" in given:
        given["environment"] = _environment(file, given["environment"], workspace)
    try:
        return InferenceConfig(**given)
    except UserErrorException as error:
        raise UserErrorException(f"{file}: {error.message}") from error


def read_deployment_config(file: str) -> WebserviceDeploymentConfiguration:
    """The deployment configuration a file describes. Raises UserErrorException naming the file and the key."""
    value = _read(file)
    kind = value.get("computeType")
    kinds = {"LOCAL": _LOCAL, "ACI": _ACI, "AKS": _AKS}
    if not isinstance(kind, str) or kind.upper() not in kinds:
        raise UserErrorException(f"{file}: computeType must be one of local, aci and aks, not {kind!r}.")
    given = _arguments(file, value, kinds[kind.upper()])
    try:
        if kind.upper() == "LOCAL":
            return LocalWebserviceDeploymentConfiguration(**given)
        if kind.upper() == "ACI":
            return AciServiceDeploymentConfiguration(**given)
        return AksServiceDeploymentConfiguration(**given)
    except UserErrorException as error:
        raise UserErrorException(f"{file}: {error.message}") from error


def _environment(file: str, value: Dict[str, Any], workspace: Any) -> Any:
    # Only files that tell of an environment need it.
    from modelyard.environments import Environment, _from_dict

    try:
        if set(value) <= {"name", "version"} and value.get("name") and workspace is not None:
            return Environment.get(workspace, str(value["name"]), value.get("version"))
        return _from_dict(dict(value))
    except UserErrorException as error:
        raise UserErrorException(f"{file}: environment: {error.message}") from error
    except (ValueError, AttributeError, TypeError, KeyError) as error:
        raise UserErrorException(f"{file}: environment is not a saved environment: {error}") from error


def _read(file: str) -> Dict[str, Any]:
    try:
        with open(file, encoding="utf-8") as stream:
            text = stream.read()
    except (OSError, UnicodeDecodeError) as error:
        raise UserErrorException(
            f"{file} can't be read: {getattr(error, 'strerror', None) or error}."
        ) from error
    try:
        value = _parse_yaml(file, text) if file.lower().endswith((".yml", ".yaml")) else json.loads(text)
    except ValueError as error:
        raise UserErrorException(f"{file} is not valid JSON: {error}.") from error
    if not isinstance(value, dict):
        raise UserErrorException(f"{file} must hold an object, not {type(value).__name__}.")
    return value


def _parse_yaml(file: str, text: str) -> Any:
    try:
        import yaml  # PyYAML only where a person's YAML file is read
    except ImportError:
        raise UserErrorException(
            f"{file}: reading YAML needs PyYAML: pip install pyyaml. Or write it as JSON."
        ) from None
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserErrorException(f"{file} is not valid YAML: {error}") from error


def _arguments(file: str, value: Mapping[str, Any], keys: _Keys) -> Dict[str, Any]:
    """The arguments that the file's keys stand for; null counts as not given."""
    given: Dict[str, Any] = {}
    for path, found in _flat(value, keys):
        if path not in keys:
            known = ", ".join(sorted(keys))
            raise UserErrorException(f"{file}: unknown key {path!r}. Known: {known}.")
        name, kind = keys[path]
        if found is None or not name:
            continue
        is_bool = isinstance(found, bool)
        if not isinstance(found, kind) or (is_bool and kind is not bool):
            raise UserErrorException(f"{file}: {path} must be {_called(kind)}, not {found!r}.")
        given[name] = found
    return given


def _flat(value: Mapping[str, Any], keys: _Keys) -> List[Tuple[str, Any]]:
    """Keys of sections as `section.key`, where the table knows the section."""
    sections = {path.partition(".")[0] for path in keys if "." in path}
    flat: List[Tuple[str, Any]] = []
    for key, found in value.items():
        if key in sections and isinstance(found, dict):
            flat += [(f"{key}.{inner}", each) for inner, each in found.items()]
        elif key in sections and found is None:
            continue
        else:
            flat.append((str(key), found))
    return flat


def _called(kind: Any) -> str:
    names = {str: "text", bool: "true or false", int: "a whole number", dict: "an object"}
    return names.get(kind, "a number")
