"""Deploying: models, an inference configuration and a deployment configuration become a web service."""

from __future__ import annotations

import dataclasses
from typing import Any, Optional, Sequence

from modelyard import errors
from modelyard.endpoints import service_spec
from modelyard.endpoints.aci import AciWebservice
from modelyard.endpoints.aks import AksWebservice
from modelyard.endpoints.deploy_config import WebserviceDeploymentConfiguration, labels
from modelyard.endpoints.inference_config import InferenceConfig
from modelyard.endpoints.webservice import Webservice
from modelyard.errors import NotYetAvailable, UserErrorException, WebserviceException
from modelyard.wire.endpoints import EndpointCreate, EndpointInfo, ServiceSpec


def deploy(
    workspace: Any,
    name: str,
    models: Sequence[Any],
    inference_config: Optional[InferenceConfig] = None,
    deployment_config: Optional[WebserviceDeploymentConfiguration] = None,
    deployment_target: Any = None,
    overwrite: bool = False,
    show_output: bool = False,
) -> Webservice:
    """Begin a deployment; `wait_for_deployment` on the answer waits for its end.

    Without `deployment_config` it is an ACI service, or an AKS one where a `deployment_target` is given. With
    `overwrite` a service of that name gets a new revision. Raises WebserviceException or UserErrorException.
    """
    if not name:
        raise UserErrorException(f"A web service needs a name, not {name!r}.")
    if deployment_config is None:
        kind = AciWebservice if deployment_target is None else AksWebservice
        deployment_config = kind.deploy_configuration()
    if not isinstance(deployment_config, WebserviceDeploymentConfiguration):
        raise UserErrorException(
            "deployment_config must come from LocalWebservice, AciWebservice or AksWebservice "
            f".deploy_configuration(...), not {type(deployment_config).__name__}."
        )
    deployment_config.validate_configuration()
    spec = service_spec.build(workspace, models, inference_config, deployment_config)
    service = create(workspace, name, spec, deployment_config, overwrite)
    if show_output:
        service.wait_for_deployment(show_output=True)
    return service


def create(
    workspace: Any,
    name: str,
    spec: ServiceSpec,
    configuration: WebserviceDeploymentConfiguration,
    overwrite: bool = False,
) -> Webservice:
    """Ask the yard for the service. What the configuration says stands over what `spec` says."""
    spec = dataclasses.replace(
        spec,
        replicas=configuration.replicas,
        port=configuration.port,
        auth_enabled=configuration.auth_enabled,
        scoring_timeout_s=configuration.scoring_timeout_s,
    )
    body = EndpointCreate(
        name=name,
        spec=spec,
        compute_type=configuration.compute_type,
        description=configuration.description or "",
        tags=labels("tags", configuration.tags),
        properties=labels("properties", configuration.properties),
        primary_key=configuration.primary_key or "",
        secondary_key=configuration.secondary_key or "",
        overwrite=bool(overwrite),
    )
    try:
        info: EndpointInfo = workspace._client.request(
            "POST", workspace._path("endpoints"), body, kind=EndpointInfo
        )
    except errors.ModelNotFoundException:
        raise
    except errors.RequestRefused as error:
        raise WebserviceException(
            error.message, inner_exception=error, code=error.code, status=error.status
        ) from error
    return Webservice._of(workspace, info)


def package() -> Any:
    """Stands for v1's Model.package."""
    raise NotYetAvailable(
        "Model.package builds a container image, which is not there yet. Model.deploy(workspace, name, "
        "models, inference_config, LocalWebservice.deploy_configuration()) runs "
        "the same code as a web service."
    )


def profile() -> Any:
    """Stands for v1's Model.profile."""
    raise NotYetAvailable(
        "Model.profile is not there yet. Deploy with LocalWebservice.deploy_configuration() "
        "and time service.run(data)."
    )
