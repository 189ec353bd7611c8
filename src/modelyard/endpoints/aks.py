"""AksWebservice: v1's service on Kubernetes, here `num_replicas` processes on the yard's node."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Optional, Sequence

from modelyard.endpoints.deploy_config import AksServiceDeploymentConfiguration
from modelyard.endpoints.inference_config import InferenceConfig
from modelyard.endpoints.webservice import Webservice
from modelyard.errors import NotYetAvailable


class AksWebservice(Webservice):
    _webservice_type = "AKS"

    @staticmethod
    def deploy_configuration(
        autoscale_enabled: Optional[bool] = None,
        autoscale_min_replicas: Optional[int] = None,
        autoscale_max_replicas: Optional[int] = None,
        autoscale_refresh_seconds: Optional[int] = None,
        autoscale_target_utilization: Optional[int] = None,
        collect_model_data: Optional[bool] = None,
        auth_enabled: Optional[bool] = None,
        cpu_cores: Optional[float] = None,
        memory_gb: Optional[float] = None,
        enable_app_insights: Optional[bool] = None,
        scoring_timeout_ms: Optional[int] = None,
        replica_max_concurrent_requests: Optional[int] = None,
        max_request_wait_time: Optional[int] = None,
        num_replicas: Optional[int] = None,
        primary_key: Optional[str] = None,
        secondary_key: Optional[str] = None,
        tags: Optional[Mapping[str, Any]] = None,
        properties: Optional[Mapping[str, Any]] = None,
        description: Optional[str] = None,
        gpu_cores: Optional[int] = None,
        period_seconds: Optional[int] = None,
        initial_delay_seconds: Optional[int] = None,
        timeout_seconds: Optional[int] = None,
        success_threshold: Optional[int] = None,
        failure_threshold: Optional[int] = None,
        namespace: Optional[str] = None,
        token_auth_enabled: Optional[bool] = None,
        compute_target_name: Optional[str] = None,
        cpu_cores_limit: Optional[float] = None,
        memory_gb_limit: Optional[float] = None,
        blobfuse_enabled: Optional[bool] = None,
    ) -> AksServiceDeploymentConfiguration:
        """Defaults as in v1: keys on, 60 s to answer; one replica."""
        return AksServiceDeploymentConfiguration(**locals())

    def run(self, input_data: Any) -> Any:
        """Send one request and give its answer, JSON decoded. The key is sent where one is needed."""
        return super().run(input_data)

    def update(
        self,
        image: Any = None,
        autoscale_enabled: Optional[bool] = None,
        autoscale_min_replicas: Optional[int] = None,
        autoscale_max_replicas: Optional[int] = None,
        autoscale_refresh_seconds: Optional[int] = None,
        autoscale_target_utilization: Optional[int] = None,
        collect_model_data: Optional[bool] = None,
        auth_enabled: Optional[bool] = None,
        cpu_cores: Optional[float] = None,
        memory_gb: Optional[float] = None,
        enable_app_insights: Optional[bool] = None,
        scoring_timeout_ms: Optional[int] = None,
        replica_max_concurrent_requests: Optional[int] = None,
        max_request_wait_time: Optional[int] = None,
        num_replicas: Optional[int] = None,
        tags: Optional[Mapping[str, Any]] = None,
        properties: Optional[Mapping[str, Any]] = None,
        description: Optional[str] = None,
        models: Optional[Sequence[Any]] = None,
        inference_config: Optional[InferenceConfig] = None,
        gpu_cores: Optional[int] = None,
        period_seconds: Optional[int] = None,
        initial_delay_seconds: Optional[int] = None,
        timeout_seconds: Optional[int] = None,
        success_threshold: Optional[int] = None,
        failure_threshold: Optional[int] = None,
        namespace: Optional[str] = None,
        token_auth_enabled: Optional[bool] = None,
        cpu_cores_limit: Optional[float] = None,
        memory_gb_limit: Optional[float] = None,
        **kwargs: Any,
    ) -> None:
        """Change what is given. What runs anew takes over when it is healthy, without a dropped request."""
        given = {name: value for name, value in {**locals(), **kwargs}.items() if value is not None}
        for name in ("self", "kwargs", "image", "models", "inference_config"):
            given.pop(name, None)
        if image is not None:
            raise NotYetAvailable("Container images are not there yet; give models and inference_config.")
        configuration = AksServiceDeploymentConfiguration(**given)
        fields: Dict[str, Any] = {}
        if auth_enabled is not None:
            fields["auth_enabled"] = auth_enabled
        if num_replicas is not None or autoscale_min_replicas is not None:
            fields["replicas"] = configuration.replicas
        if scoring_timeout_ms is not None:
            fields["scoring_timeout_s"] = configuration.scoring_timeout_s
        recorded = {name: value for name, value in given.items() if name in configuration.recorded()}
        if recorded:
            fields["recorded"] = recorded
        self._update(models, inference_config, tags, properties, description, **fields)

    def get_access_token(self) -> Any:
        return self.get_token()
