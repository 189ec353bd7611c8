"""Deployment configurations: what v1's `deploy_configuration(...)` of each kind of web service gives."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Optional

from modelyard.errors import NotYetAvailable, UserErrorException

_HIDDEN = ("primary_key", "secondary_key")


class WebserviceDeploymentConfiguration:
    """`compute_type` is LOCAL, ACI or AKS. Every kind runs as processes on the yard's node; what only a cloud
    has is recorded with the service and shown again."""

    compute_type = ""

    def __init__(
        self,
        type: Any = None,  # v1's; here the class says it
        description: Optional[str] = None,
        tags: Optional[Mapping[str, Any]] = None,
        properties: Optional[Mapping[str, Any]] = None,
        primary_key: Optional[str] = None,
        secondary_key: Optional[str] = None,
        location: Optional[str] = None,
    ) -> None:
        self.description = description
        self.tags = tags
        self.properties = properties
        self.primary_key = primary_key
        self.secondary_key = secondary_key
        self.location = location
        self.port = 0
        self.auth_enabled = False
        self.replicas = 1
        self.scoring_timeout_s = 60.0
        self.given: Dict[str, Any] = {}

    def validate_configuration(self) -> None:
        """Raises UserErrorException naming the argument that does not fit."""
        for name in ("tags", "properties"):
            labels(name, getattr(self, name))
        if (self.primary_key or self.secondary_key) and not self.auth_enabled:
            raise UserErrorException(
                f"{self.compute_type}: primary_key and secondary_key need auth_enabled=True."
            )

    @classmethod
    def validate_image(cls, image: Any) -> None:
        raise NotYetAvailable("Images are not there: Model.deploy takes models and an InferenceConfig.")

    def print_deploy_configuration(self) -> None:
        """Print what was given, keys left out."""
        shown = ", ".join(
            f"{name}={value!r}" for name, value in sorted(self.given.items()) if name not in _HIDDEN
        )
        print(f"{self.compute_type}({shown})")  # noqa: T201  # v1's method prints

    def recorded(self) -> Dict[str, Any]:
        """What was given and is kept with the service, keys left out."""
        skip = (*_HIDDEN, "tags", "properties", "description")
        return {name: value for name, value in self.given.items() if name not in skip}

    def _take(self, given: Mapping[str, Any]) -> None:
        self.given = {name: value for name, value in given.items() if value is not None}

    def _number(self, name: str, at_least: float, whole: bool = False, above: bool = False) -> None:
        value = self.given.get(name)
        if value is None:
            return
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if (
            not is_number
            or (whole and value != int(value))
            or value < at_least
            or (above and value == at_least)
        ):
            kind = "a whole number" if whole else "a number"
            bound = "over" if above else "from"
            raise UserErrorException(
                f"{self.compute_type}: {name} must be {kind} {bound} {at_least:g}, not {value!r}."
            )

    def _refuse_tls(self) -> None:
        if self.given.get("ssl_enabled"):
            raise NotYetAvailable(
                "ssl_enabled=True: a web service answers plain HTTP here. "
                "Put a TLS proxy such as nginx in front of it."
            )


class LocalWebserviceDeploymentConfiguration(WebserviceDeploymentConfiguration):
    compute_type = "LOCAL"

    def __init__(self, port: Optional[int] = None) -> None:
        super().__init__()
        self._take({"port": port})
        self.validate_configuration()
        self.port = int(port) if port is not None else 0

    def validate_configuration(self) -> None:
        super().validate_configuration()
        self._number("port", 1, whole=True)
        if self.given.get("port", 0) > 65535:
            raise UserErrorException(f"LOCAL: port must be at most 65535, not {self.given['port']!r}.")


class AciServiceDeploymentConfiguration(WebserviceDeploymentConfiguration):
    compute_type = "ACI"

    def __init__(
        self,
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
    ) -> None:
        given = {name: value for name, value in locals().items() if name not in ("self", "__class__")}
        super().__init__("ACI", description, tags, properties, primary_key, secondary_key, location)
        self._take(given)
        self.cpu_cores = 0.1 if cpu_cores is None else cpu_cores
        self.memory_gb = 0.5 if memory_gb is None else memory_gb
        self.auth_enabled = bool(auth_enabled)
        self.enable_app_insights = bool(enable_app_insights)
        self.validate_configuration()

    def validate_configuration(self) -> None:
        super().validate_configuration()
        self._number("cpu_cores", 0, above=True)
        self._number("memory_gb", 0, above=True)
        self._refuse_tls()

    def recorded(self) -> Dict[str, Any]:
        return {"cpu_cores": self.cpu_cores, "memory_gb": self.memory_gb, **super().recorded()}


class AksServiceDeploymentConfiguration(WebserviceDeploymentConfiguration):
    """There is no autoscaler: `num_replicas` processes run, else `autoscale_min_replicas`."""

    compute_type = "AKS"

    def __init__(
        self,
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
    ) -> None:
        given = {name: value for name, value in locals().items() if name not in ("self", "__class__")}
        super().__init__("AKS", description, tags, properties, primary_key, secondary_key)
        self._take(given)
        self.cpu_cores = 0.1 if cpu_cores is None else cpu_cores
        self.memory_gb = 0.5 if memory_gb is None else memory_gb
        self.auth_enabled = True if auth_enabled is None else bool(auth_enabled)
        self.enable_app_insights = bool(enable_app_insights)
        self.namespace = namespace
        self.compute_target_name = compute_target_name
        self.validate_configuration()
        self.replicas = int(num_replicas or autoscale_min_replicas or 1)
        self.scoring_timeout_s = 60.0 if scoring_timeout_ms is None else scoring_timeout_ms / 1000.0

    def validate_configuration(self) -> None:
        super().validate_configuration()
        for name in ("cpu_cores", "memory_gb", "cpu_cores_limit", "memory_gb_limit"):
            self._number(name, 0, above=True)
        for name in (
            "num_replicas",
            "autoscale_min_replicas",
            "autoscale_max_replicas",
            "scoring_timeout_ms",
        ):
            self._number(name, 1, whole=True)
        for name in ("replica_max_concurrent_requests", "autoscale_refresh_seconds", "period_seconds"):
            self._number(name, 1, whole=True)
        for name in ("max_request_wait_time", "gpu_cores", "initial_delay_seconds"):
            self._number(name, 0, whole=True)
        least, most = self.given.get("autoscale_min_replicas"), self.given.get("autoscale_max_replicas")
        if least is not None and most is not None and least > most:
            raise UserErrorException(
                f"AKS: autoscale_min_replicas ({least}) is over autoscale_max_replicas ({most})."
            )
        if self.given.get("autoscale_enabled") and "num_replicas" in self.given:
            raise UserErrorException("AKS: num_replicas is for autoscale_enabled=False; give one of the two.")
        if self.given.get("token_auth_enabled"):
            raise NotYetAvailable(
                "token_auth_enabled=True is not there yet. Keys are: auth_enabled=True, get_keys()."
            )

    def recorded(self) -> Dict[str, Any]:
        return {"cpu_cores": self.cpu_cores, "memory_gb": self.memory_gb, **super().recorded()}


def labels(what: str, given: Optional[Mapping[str, Any]]) -> Dict[str, str]:
    """Tags or properties as text; None values become empty. Raises UserErrorException for no dict."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise UserErrorException(f"{what} must be a dictionary, such as {{'area': 'digits'}}, not {given!r}.")
    return {str(name): "" if value is None else str(value) for name, value in given.items()}
