"""LocalWebservice: a web service on the yard's own machine, without keys."""

# v1's signatures carry arguments that only containers have

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence

from modelyard.endpoints import service_spec
from modelyard.endpoints.deploy_config import LocalWebserviceDeploymentConfiguration
from modelyard.endpoints.inference_config import InferenceConfig
from modelyard.endpoints.webservice import Webservice
from modelyard.errors import NotYetAvailable, UserErrorException, WebserviceException


class LocalWebservice(Webservice):
    """With `must_exist=False` an object of a service that is not there (yet) can be had."""

    _webservice_type = "LOCAL"

    NETWORK_NAME = "azureml-local"
    STATE_DELETED = "Deleted"
    STATE_DEPLOYING = "Transitioning"
    STATE_FAILED = "Failed"
    STATE_RUNNING = "Healthy"
    STATE_UNKNOWN = "Unknown"

    _has_changed = False  # by this object, and nobody has waited for it yet

    def __init__(self, workspace: Any, name: str, must_exist: bool = True) -> None:
        try:
            super().__init__(workspace, name)
        except WebserviceException as error:
            if must_exist or error.status != 404:
                raise
            self._deleted = True

    @staticmethod
    def deploy_configuration(port: Optional[int] = None) -> LocalWebserviceDeploymentConfiguration:
        """`port` None: the yard chooses a free one and keeps it."""
        return LocalWebserviceDeploymentConfiguration(port)

    @property
    def port(self) -> Optional[int]:
        """The port it answers on; None until that is known."""
        uri = self.scoring_uri
        return int(uri.rsplit(":", 1)[1].split("/")[0]) if uri else None

    def update_deployment_state(self, must_exist: bool = False) -> None:
        try:
            super().update_deployment_state()
        except WebserviceException as error:
            if must_exist or error.status != 404:
                raise
            self._deleted = True

    def wait_for_deployment(self, show_output: bool = False, timeout_sec: Optional[float] = None) -> None:
        self._has_changed = False
        super().wait_for_deployment(show_output, timeout_sec)

    def get_logs(self, num_lines: int = 5000, raw: bool = False) -> str:
        """The last lines of its log; `raw` changes nothing, as there is no second form."""
        return super().get_logs(num_lines)

    def reload(self, wait: bool = False) -> None:
        """Start it anew with the source directory as it is now, without dropping a request.

        As in v1 the next `run` is answered by the new code, for which it waits.
        On a machine that does not have the source directory the code that was deployed is started anew.
        """
        self.update_deployment_state(must_exist=True)
        spec = service_spec.retake(self.workspace, self._info.spec)
        self._change(spec=spec, reload=True)
        self._has_changed = True
        if wait:
            self.wait_for_deployment()

    def run(self, input_data: Any) -> Any:
        """Send one request and give its answer, JSON decoded; after a change of this object's, the changed code's."""
        if self._has_changed and not self._deleted:
            self.wait_for_deployment()
        return super().run(input_data)

    def update(
        self,
        models: Optional[Sequence[Any]] = None,
        image_config: Any = None,
        deployment_config: Optional[LocalWebserviceDeploymentConfiguration] = None,
        wait: bool = False,
        inference_config: Optional[InferenceConfig] = None,
    ) -> None:
        """Other models, code or environment take over when healthy; until then the present ones answer."""
        if image_config is not None:
            raise NotYetAvailable("image_config is not there yet; give inference_config.")
        fields: Dict[str, Any] = {}
        if deployment_config is not None:
            if not isinstance(deployment_config, LocalWebserviceDeploymentConfiguration):
                raise UserErrorException(
                    "deployment_config must come from LocalWebservice.deploy_configuration(), not "
                    f"{type(deployment_config).__name__}."
                )
            fields["port"] = deployment_config.port
        self._update(models, inference_config, None, None, None, **fields)
        self._has_changed = True
        if wait:
            self.wait_for_deployment()

    def delete(
        self, delete_cache: bool = True, delete_image: bool = False, delete_volume: bool = True
    ) -> None:
        """Delete it; its processes end. Arguments about containers change nothing."""
        super().delete()

    def deploy_to_cloud(
        self, name: Optional[str] = None, deployment_config: Any = None, deployment_target: Any = None
    ) -> Webservice:
        """Another web service with the same models, code and environment."""
        from modelyard.endpoints.deployment import create  # deployment stands above this module

        if deployment_config is None:
            raise UserErrorException(
                "deploy_to_cloud needs deployment_config, AciWebservice.deploy_configuration() say."
            )
        return create(self.workspace, name or self.name, self._info.spec, deployment_config)

    @staticmethod
    def list(  # type: ignore[override]  # v1's signature
        workspace: Any, model_name: Optional[str] = None, model_id: Optional[str] = None, all: Any = None
    ) -> List[Webservice]:
        """The local web services of a workspace."""
        return Webservice.list(workspace, compute_type="LOCAL", model_name=model_name, model_id=model_id)
