"""AciWebservice: v1's container instance, here processes on the yard's node."""

# v1's signatures carry arguments that only a cloud has

from __future__ import annotations

from typing import Any, Dict, Mapping, Optional, Sequence

from modelyard.endpoints.deploy_config import AciServiceDeploymentConfiguration
from modelyard.endpoints.inference_config import InferenceConfig
from modelyard.endpoints.webservice import Webservice
from modelyard.errors import NotYetAvailable


class AciWebservice(Webservice):
    _webservice_type = "ACI"

    @staticmethod
    def deploy_configuration(
        cpu_cores: Optional[float] = None,
        memory_gb: Optional[float] = None,
        tags: Optional[Mapping[str, Any]] = None,
        properties: Optional[Mapping[str, Any]] = None,
        description: Optional[str] = None,
        location: Optional[str] = None,
        auth_enabled: Optional[bool] = None,
        ssl_enabled: Optional[bool] = None,
        enable_app_insights: Optional[bool] = None,
        ssl_cert_pem_file: Optional[str] = None,
        ssl_key_pem_file: Optional[str] = None,
        ssl_cname: Optional[str] = None,
        dns_name_label: Optional[str] = None,
        primary_key: Optional[str] = None,
        secondary_key: Optional[str] = None,
        collect_model_data: Optional[bool] = None,
        cmk_vault_base_url: Optional[str] = None,
        cmk_key_name: Optional[str] = None,
        cmk_key_version: Optional[str] = None,
        vnet_name: Optional[str] = None,
        subnet_name: Optional[str] = None,
    ) -> AciServiceDeploymentConfiguration:
        """Defaults as in v1: 0.1 cores, 0.5 GB, no keys."""
        return AciServiceDeploymentConfiguration(**locals())

    def run(self, input_data: Any) -> Any:
        """Send one request and give its answer, JSON decoded. The key is sent where one is needed."""
        return super().run(input_data)

    def update(
        self,
        image: Any = None,
        tags: Optional[Mapping[str, Any]] = None,
        properties: Optional[Mapping[str, Any]] = None,
        description: Optional[str] = None,
        auth_enabled: Optional[bool] = None,
        ssl_enabled: Optional[bool] = None,
        ssl_cert_pem_file: Optional[str] = None,
        ssl_key_pem_file: Optional[str] = None,
        ssl_cname: Optional[str] = None,
        enable_app_insights: Optional[bool] = None,
        models: Optional[Sequence[Any]] = None,
        inference_config: Optional[InferenceConfig] = None,
    ) -> None:
        """Change what is given. New code or models take over when healthy, without a dropped request."""
        if image is not None:
            raise NotYetAvailable("Container images are not there yet; give models and inference_config.")
        AciServiceDeploymentConfiguration(tags=tags, properties=properties, ssl_enabled=ssl_enabled)
        fields: Dict[str, Any] = {}
        if auth_enabled is not None:
            fields["auth_enabled"] = auth_enabled
        if enable_app_insights is not None:
            fields["recorded"] = {"enable_app_insights": enable_app_insights}
        self._update(models, inference_config, tags, properties, description, **fields)
