"""Webservice: a deployed model as an object. The concrete kinds are in local, aci and aks."""

# v1's signatures carry arguments that only a cloud has

from __future__ import annotations

import dataclasses
import datetime
import math
import time
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Type

from modelyard import errors
from modelyard.endpoints import scoring_call, service_spec
from modelyard.endpoints.deploy_config import labels
from modelyard.endpoints.inference_config import InferenceConfig
from modelyard.endpoints.waiting import settled, wait_until_settled
from modelyard.errors import NotYetAvailable, UserErrorException, WebserviceException
from modelyard.wire import codec
from modelyard.wire.endpoints import (
    EndpointInfo,
    EndpointKeys,
    EndpointList,
    EndpointUpdate,
    KeyRegenerate,
    ServiceSpec,
)

_KINDS: Dict[str, Type[Webservice]] = {}
_SCORING_MARGIN_S = 30.0  # the service's own time-out answers first, with words
_LOG_LAG_S = 0.25  # a node sends on what a log gained within this time


class Webservice:
    """One web service of a workspace. `Webservice(workspace, name)` answers the concrete kind.

    Raises WebserviceException when there is none of this name.
    """

    _webservice_type: Optional[str] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls._webservice_type:
            _KINDS[cls._webservice_type] = cls

    def __new__(cls, workspace: Any, name: str, *_args: Any, **_kwargs: Any) -> Webservice:
        if cls is not Webservice:
            return super().__new__(cls)
        info = _fetch(workspace, name)
        service = super().__new__(_KINDS.get(info.compute_type, Webservice))
        service._info = info
        return service

    def __init__(self, workspace: Any, name: str) -> None:
        self.workspace = workspace
        self.name = name
        self._keys: Optional[Tuple[str, str]] = None
        self._deleted = False
        self._ran_at = -math.inf
        if not hasattr(self, "_info"):
            self._info: EndpointInfo = _fetch(workspace, name)
        self._check_kind()

    @classmethod
    def _of(cls, workspace: Any, info: EndpointInfo) -> Webservice:
        service: Webservice = object.__new__(_KINDS.get(info.compute_type, Webservice))
        service._info = info
        Webservice.__init__(service, workspace, info.name)
        return service

    def _check_kind(self) -> None:
        wanted = self._webservice_type
        if wanted and self._info.compute_type != wanted:
            raise WebserviceException(
                f"Web service {self.name!r} is of type {self._info.compute_type}, not {wanted}. "
                "Webservice(workspace, name) gives the right one."
            )

    # What is known of it; `state` and `error` are asked for anew each time.

    @property
    def state(self) -> str:
        """Transitioning, Healthy, Unhealthy, Failed or Stopped; `Deleted` after `delete()`."""
        if self._deleted:
            return "Deleted"
        self.update_deployment_state()
        return self._info.state.value

    @property
    def error(self) -> Optional[Dict[str, Any]]:
        """What is wrong with the newest revision: code, message, line and traceback; None when nothing is."""
        if not self._deleted:
            self.update_deployment_state()
        found: Optional[Dict[str, Any]] = codec.to_json(self._info.error)
        return found

    @property
    def scoring_uri(self) -> Optional[str]:
        return self._address().scoring_uri or None

    @property
    def swagger_uri(self) -> Optional[str]:
        return self._address().swagger_uri or None

    @property
    def compute_type(self) -> str:
        return self._info.compute_type

    @property
    def auth_enabled(self) -> bool:
        return self._info.auth_enabled

    @property
    def token_auth_enabled(self) -> bool:
        return False

    @property
    def description(self) -> str:
        return self._info.description

    @property
    def tags(self) -> Dict[str, str]:
        return dict(self._info.tags)

    @property
    def properties(self) -> Dict[str, str]:
        return dict(self._info.properties)

    @property
    def created_time(self) -> datetime.datetime:
        return datetime.datetime.fromtimestamp(self._info.created_at, datetime.timezone.utc)

    @property
    def updated_time(self) -> datetime.datetime:
        return datetime.datetime.fromtimestamp(self._info.updated_at, datetime.timezone.utc)

    @property
    def models(self) -> List[Any]:
        """The registered models it serves."""
        from modelyard.models import Model  # a caller that only scores needs none of it

        return [Model(self.workspace, id=model_id) for model_id in self._info.spec.models]

    @property
    def environment(self) -> Any:
        """The Environment it runs in; None for the Python that runs the yard."""
        spec = self._info.spec.environment
        if spec is None:
            return None
        from modelyard.environments import Environment  # as in `models`

        return Environment.from_spec(spec)

    def update_deployment_state(self) -> None:
        """Ask the yard how it stands now."""
        self._info = _fetch(self.workspace, self.name)

    def wait_for_deployment(self, show_output: bool = False, timeout_sec: Optional[float] = None) -> None:
        """Wait until the newest revision answers requests.

        Raises WebserviceException with the traceback of `init()`, its file and line, and the end of the log
        when it fails; also when `timeout_sec` is over.
        """

        wait_until_settled(self._look, self.get_logs, show_output, timeout_sec)

    def get_logs(self, num_lines: int = 5000, init: bool = False) -> str:
        """The last lines of its log."""
        if not _is_count(num_lines):
            raise UserErrorException(f"num_lines must be a whole number from 1, not {num_lines!r}.")
        # What the last run() printed is on its way to the yard.
        time.sleep(max(0.0, self._ran_at + _LOG_LAG_S - time.monotonic()))
        answer = self.workspace._client.raw("GET", self._path("logs"), query={"lines": num_lines})
        text: str = answer.body.decode("utf-8", "replace")
        return text

    def run(self, input: Any) -> Any:
        """Send one request and give its answer, JSON decoded. The key is sent where one is needed."""
        if self._deleted:
            raise WebserviceException(f"Web service {self.name!r} was deleted.")
        body = scoring_call.encode(input)
        info = self._address()
        if not info.scoring_uri:
            reason = info.error.message if info.error else info.state_reason
            raise WebserviceException(
                f"Web service {self.name!r} is {info.state.value} and can't answer: {reason}"
            )
        timeout_s = info.spec.scoring_timeout_s + _SCORING_MARGIN_S
        try:
            answer = scoring_call.post(info.scoring_uri, body, self._key(), timeout_s)
            if answer.status == 401 and info.auth_enabled:
                self._keys = None  # regenerated since
                answer = scoring_call.post(info.scoring_uri, body, self._key(), timeout_s)
        finally:
            self._ran_at = time.monotonic()
        if answer.status >= 400:
            raise scoring_call.refused(self.name, answer)
        return scoring_call.decode(answer)

    def get_keys(self) -> Tuple[str, str]:
        """The primary and the secondary key. Raises WebserviceException when authentication is off."""
        try:
            keys: EndpointKeys = self.workspace._client.request("GET", self._path("keys"), kind=EndpointKeys)
        except errors.Conflict as error:
            raise _as_webservice(error) from error
        self._keys = (keys.primary, keys.secondary)
        return self._keys

    def regen_key(self, key: str, set_key: Optional[str] = None) -> None:
        """Replace the 'Primary' or 'Secondary' key, by `set_key` where given; the new one works on return."""
        if str(key).lower() not in ("primary", "secondary"):
            raise UserErrorException(f"key must be 'Primary' or 'Secondary', not {key!r}.")
        body = KeyRegenerate(key.lower(), set_key or "")
        try:
            self.workspace._client.request("POST", self._path("keys"), body, kind=EndpointKeys)
        except errors.Conflict as error:
            raise _as_webservice(error) from error
        self._keys = None
        settled(self._look)  # the key is replaced whether or not the newest revision can start

    def get_token(self) -> Any:
        raise WebserviceException(
            f"Web service {self.name!r} has no tokens: token authentication is not there yet. Use get_keys()."
        )

    def update(self, *args: Any, **kwargs: Any) -> None:
        raise NotYetAvailable("update() is a method of LocalWebservice, AciWebservice and AksWebservice.")

    def delete(self) -> None:
        """Delete it; its processes end. One that is gone already is left so."""
        try:
            self.workspace._client.request("DELETE", self._path())
        except errors.NotFound:
            pass
        self._deleted = True

    def add_tags(self, tags: Mapping[str, Any]) -> None:
        self._change(set_tags=labels("tags", tags))

    def remove_tags(self, tags: Sequence[str]) -> None:
        self._change(remove_tags=[tags] if isinstance(tags, str) else [str(tag) for tag in tags])

    def add_properties(self, properties: Mapping[str, Any]) -> None:
        """Properties that exist keep their value: another one is refused."""
        self._change(add_properties=labels("properties", properties))

    def serialize(self) -> Dict[str, Any]:
        """v1's dictionary of a web service."""
        info = self._info
        return {
            "name": info.name,
            "description": info.description,
            "tags": dict(info.tags),
            "properties": dict(info.properties),
            "state": info.state.value,
            "createdTime": self.created_time.isoformat(),
            "updatedTime": self.updated_time.isoformat(),
            "error": codec.to_json(info.error),
            "computeType": info.compute_type,
            "workspaceName": self.workspace.name,
            "scoringUri": info.scoring_uri or None,
            "swaggerUri": info.swagger_uri or None,
            "authEnabled": info.auth_enabled,
            "modelIds": list(info.spec.models),
            "numReplicas": info.spec.replicas,
            **{
                name: info.spec.recorded[name]
                for name in ("cpu_cores", "memory_gb")
                if name in info.spec.recorded
            },
        }

    @classmethod
    def deserialize(cls, workspace: Any, webservice_payload: Mapping[str, Any]) -> Webservice:
        """The web service that a `serialize()` of it names."""
        return cls(workspace, webservice_payload["name"])

    @staticmethod
    def list(
        workspace: Any,
        compute_type: Optional[str] = None,
        image_name: Optional[str] = None,
        image_id: Optional[str] = None,
        model_name: Optional[str] = None,
        model_id: Optional[str] = None,
        tags: Optional[Sequence[Any]] = None,
        properties: Optional[Sequence[Any]] = None,
        image_digest: Optional[str] = None,
    ) -> List[Webservice]:
        """The web services of a workspace that fit every filter given.

        `tags` and `properties`: names, or [name, value] pairs.
        """
        found: EndpointList = workspace._client.request(
            "GET", workspace._path("endpoints"), kind=EndpointList
        )
        return [
            Webservice._of(workspace, info)
            for info in found.items
            if compute_type is None or str(compute_type).upper() == info.compute_type
            if model_id is None or model_id in info.spec.models
            if model_name is None or model_name in {each.rpartition(":")[0] for each in info.spec.models}
            if _has_labels(info.tags, tags) and _has_labels(info.properties, properties)
        ]

    @staticmethod
    def deploy(
        workspace: Any,
        name: str,
        model_paths: Any,
        image_config: Any,
        deployment_config: Any = None,
        deployment_target: Any = None,
        overwrite: bool = False,
    ) -> Any:
        raise _by_image("deploy")

    @staticmethod
    def deploy_from_model(
        workspace: Any,
        name: str,
        models: Any,
        image_config: Any,
        deployment_config: Any = None,
        deployment_target: Any = None,
        overwrite: bool = False,
    ) -> Any:
        raise _by_image("deploy_from_model")

    @staticmethod
    def deploy_from_image(
        workspace: Any,
        name: str,
        image: Any,
        deployment_config: Any = None,
        deployment_target: Any = None,
        overwrite: bool = False,
    ) -> Any:
        raise _by_image("deploy_from_image")

    @staticmethod
    def deploy_local_from_model(
        workspace: Any,
        name: str,
        models: Any,
        image_config: Any,
        deployment_config: Any = None,
        wait: bool = False,
    ) -> Any:
        raise _by_image("deploy_local_from_model")

    @staticmethod
    def check_for_existing_webservice(
        workspace: Any,
        name: str,
        overwrite: bool = False,
        request_func: Any = None,  # v1's own plumbing
        check_func: Any = None,
    ) -> None:
        """Raises WebserviceException when the name is taken and may not be taken over."""
        try:
            _fetch(workspace, name)
        except WebserviceException as error:
            if error.status == 404:
                return
            raise
        if not overwrite:
            raise WebserviceException(
                f"There is a web service {name!r} already. Deploy with overwrite=True to give it a new revision."
            )

    def __repr__(self) -> str:
        kind, info = type(self).__name__, self._info
        return (
            f"{kind}(workspace={self.workspace.name!r}, name={self.name!r}, state={info.state.value}, "
            f"scoring_uri={info.scoring_uri or None})"
        )

    def _path(self, *parts: str) -> str:
        address: str = self.workspace._path("endpoints", self.name, *parts)
        return address

    def _look(self, version: int, wait_s: float) -> EndpointInfo:
        self._info = _fetch(self.workspace, self.name, version, wait_s)
        return self._info

    def _address(self) -> EndpointInfo:
        """What is known, looked up anew while no address is known."""
        if not self._info.scoring_uri and not self._deleted:
            self.update_deployment_state()
        return self._info

    def _key(self) -> Optional[str]:
        if not self._info.auth_enabled:
            return None
        return (self._keys or self.get_keys())[0]

    def _change(self, **fields: Any) -> None:
        body = EndpointUpdate(**fields)
        try:
            self._info = self.workspace._client.request("PATCH", self._path(), body, kind=EndpointInfo)
        except (errors.NotFound, errors.Conflict) as error:
            raise _as_webservice(error) from error

    def _update(
        self,
        models: Optional[Sequence[Any]],
        inference_config: Optional[InferenceConfig],
        tags: Optional[Mapping[str, Any]],
        properties: Optional[Mapping[str, Any]],
        description: Optional[str],
        **spec_fields: Any,
    ) -> None:
        """The one update behind every kind's signature. What runs makes a new revision."""
        if (
            models is None
            and inference_config is None
            and not spec_fields
            and (tags, properties, description)
            == (
                None,
                None,
                None,
            )
        ):
            raise UserErrorException("update() was given nothing to change.")
        self.update_deployment_state()
        spec: Optional[ServiceSpec] = None
        recorded = spec_fields.pop("recorded", {})
        if models is not None or inference_config is not None or spec_fields or recorded:
            fields: Dict[str, Any] = dict(spec_fields)
            fields["recorded"] = {**self._info.spec.recorded, **recorded}
            if models is not None:
                fields["models"] = service_spec.model_ids(models)
            if inference_config is not None:
                code = service_spec.code_fields(self.workspace, models or [], inference_config)
                code["recorded"] = {**fields["recorded"], **code["recorded"]}
                fields.update(code)
            spec = dataclasses.replace(self._info.spec, **fields)
        changes: Dict[str, Any] = {"spec": spec, "description": description}
        if tags is not None:
            given = labels("tags", tags)  # v1 replaces all tags
            changes["set_tags"] = given
            changes["remove_tags"] = [name for name in self._info.tags if name not in given]
        if properties is not None:
            changes["add_properties"] = labels("properties", properties)
        self._change(**changes)


def _fetch(workspace: Any, name: str, version: int = 0, wait_s: float = 0.0) -> EndpointInfo:
    if not (name and isinstance(name, str)):
        raise UserErrorException(f"A web service is named by text, not by {name!r}.")
    query = {"wait_version": version, "wait_s": wait_s} if wait_s else None
    try:
        info: EndpointInfo = workspace._client.request(
            "GET", workspace._path("endpoints", name), query=query, kind=EndpointInfo, timeout_s=wait_s + 60.0
        )
    except errors.NotFound as error:
        raise WebserviceException(
            f"WebserviceNotFound: {error.message}",
            inner_exception=error,
            code=error.code,
            status=error.status,
        ) from None
    return info


def _as_webservice(error: errors.AzureMLException) -> WebserviceException:
    return WebserviceException(error.message, inner_exception=error, code=error.code, status=error.status)


def _by_image(method: str) -> NotYetAvailable:
    return NotYetAvailable(
        f"Webservice.{method} builds container images, which is not there yet. "
        "Model.deploy(workspace, name, models, inference_config, deployment_config) deploys."
    )


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _has_labels(held: Mapping[str, str], wanted: Optional[Sequence[Any]]) -> bool:
    for one in [wanted] if isinstance(wanted, str) else wanted or ():
        if isinstance(one, str):
            if one not in held:
                return False
        elif held.get(str(one[0])) != str(one[1]):
            return False
    return True
