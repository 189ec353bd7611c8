"""Model: a named, versioned file or folder in a workspace's registry, with where it came from."""

# v1's signatures carry arguments that change nothing here

from __future__ import annotations

import datetime
import importlib
import os
from typing import Any, Dict, List, Mapping, Optional, Sequence, Union

from modelyard import errors, model_paths, snapshot
from modelyard.model_registration import DEFAULT_FRAMEWORK, labels, local_files, registration
from modelyard.wire.models import ModelAlias, ModelInfo, ModelPage, ModelRegister, ModelUpdate

_Labels = Union[str, Mapping[str, Any], Sequence[Any]]


class Model:
    """A version of a registered model. `Model(ws, 'churn')` is the latest, `Model(ws, id='churn:3')` that one,
    `Model(ws, 'churn@champion')` the one that an alias names."""

    class Framework:
        """The frameworks v1 names; ScikitLearn, Onnx and TensorFlow models can be deployed without code."""

        CUSTOM = DEFAULT_FRAMEWORK
        TENSORFLOW = "TensorFlow"
        SCIKITLEARN = "ScikitLearn"
        ONNX = "Onnx"
        TFKERAS = "TfKeras"
        PYTORCH = "PyTorch"
        MULTI = "Multi"

    def __init__(
        self,
        workspace: Any,
        name: Optional[str] = None,
        id: Optional[str] = None,
        tags: Optional[_Labels] = None,
        properties: Optional[_Labels] = None,
        version: Optional[int] = None,
        run_id: Optional[str] = None,
        model_framework: Optional[str] = None,
        expand: bool = True,
        **kwargs: Any,
    ) -> None:
        """Raises ModelNotFoundException when no registered model is meant."""
        self.workspace = workspace
        if id is None and not (name or run_id or tags or properties):
            raise errors.UserErrorException("Which model? Give its name, or id='name:version'.")
        if id is not None or (name and not (tags or properties or run_id or model_framework)):
            known, number = model_paths.meant(id if id is not None else name or "", version)
            self._info = model_paths.described(self._door, known, number)
            return
        found = _search(workspace, name, tags, properties, run_id, model_framework, False, 255)
        found = [one for one in found if version is None or one.version == int(version)]
        if not found:
            raise errors.ModelNotFoundException(
                f"No registered model has all of: name={name!r}, version={version!r}, tags={tags!r}, "
                f"properties={properties!r}, run_id={run_id!r}, model_framework={model_framework!r}."
                f"model_framework={model_framework!r}."
            )
        self._info = found[0]

    @classmethod
    def _of(cls, workspace: Any, info: ModelInfo) -> Model:
        model = cls.__new__(cls)
        model.workspace = workspace
        model._info = info
        return model

    @property
    def _door(self) -> model_paths.Door:
        return model_paths.door_of(self.workspace)

    @property
    def id(self) -> str:
        return self._info.id

    @property
    def name(self) -> str:
        return self._info.name

    @property
    def version(self) -> int:
        return self._info.version

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
    def model_framework(self) -> str:
        return self._info.framework

    @property
    def model_framework_version(self) -> str:
        return self._info.framework_version

    @property
    def created_time(self) -> datetime.datetime:
        return datetime.datetime.fromtimestamp(self._info.created_at, datetime.timezone.utc)

    @property
    def created_by(self) -> str:
        return self._info.user

    @property
    def run_id(self) -> Optional[str]:
        return self._info.run_id

    @property
    def run(self) -> Any:
        """The run that made it; None for a model registered from files."""
        return self.workspace.get_run(self._info.run_id) if self._info.run_id else None

    @property
    def experiment_name(self) -> Optional[str]:
        return self._info.experiment

    @property
    def stage(self) -> str:
        """MLflow's stage: None, Staging, Production or Archived."""
        return self._info.stage

    @property
    def aliases(self) -> List[str]:
        """Names that move from version to version and name this one now."""
        return list(self._info.aliases)

    @property
    def url(self) -> str:
        return self._door.client.url + model_paths.address(self._door, self.name, self.version, "files")

    @property
    def datasets(self) -> Dict[str, List[Any]]:
        found: Dict[str, List[Any]] = {}
        for purpose, dataset in self._info.recorded.get("datasets", []):
            found.setdefault(purpose, []).append(dataset)
        return found

    @property
    def resource_configuration(self) -> Any:
        from modelyard.resource_configuration import ResourceConfiguration  # rarely asked for

        return ResourceConfiguration.deserialize(self._info.recorded.get("resource_configuration"))

    @staticmethod
    def register(
        workspace: Any,
        model_path: Union[str, Sequence[str]],
        model_name: str,
        tags: Optional[Mapping[str, Any]] = None,
        properties: Optional[Mapping[str, Any]] = None,
        description: Optional[str] = None,
        datasets: Optional[Sequence[Any]] = None,
        model_framework: Optional[str] = None,
        model_framework_version: Optional[str] = None,
        child_paths: Optional[Sequence[str]] = None,
        sample_input_dataset: Any = None,
        sample_output_dataset: Any = None,
        resource_configuration: Any = None,
        **kwargs: Any,
    ) -> Model:
        """Register local files as the next version of a model: a file, a folder, or a list of either.

        `child_paths` are those files and folders inside the folder `model_path` that belong to the model; without
        them all do. Raises UserErrorException for a path that is not there.
        """
        sources = local_files(model_path, child_paths)
        print(f"Registering model {model_name}")  # noqa: T201  # as v1 does
        door = model_paths.door_of(workspace)
        held = snapshot.upload(door.client, lambda rest: door.path() + rest, sources)
        body = registration(
            model_name,
            tags,
            properties,
            description,
            datasets,
            model_framework,
            model_framework_version,
            sample_input_dataset,
            sample_output_dataset,
            resource_configuration,
            entries=held.entries,
        )
        return Model._of(workspace, _post(door, body))

    @staticmethod
    def _register_from_run(
        run: Any, model_name: str, model_path: Optional[str] = None, **kwargs: Any
    ) -> Model:
        """What `run.register_model` does; `model_path` is a file or folder of the run, by default `model_name`."""
        workspace = run.experiment.workspace
        body = registration(
            model_name,
            kwargs.get("tags"),
            kwargs.get("properties"),
            kwargs.get("description"),
            kwargs.get("datasets"),
            kwargs.get("model_framework"),
            kwargs.get("model_framework_version"),
            kwargs.get("sample_input_dataset"),
            kwargs.get("sample_output_dataset"),
            kwargs.get("resource_configuration"),
            run_id=run.id,
            run_path=os.fspath(model_path) if model_path else model_name,
        )
        return Model._of(workspace, _post(model_paths.door_of(workspace), body))

    @staticmethod
    def list(
        workspace: Any,
        name: Optional[str] = None,
        tags: Optional[_Labels] = None,
        properties: Optional[_Labels] = None,
        run_id: Optional[str] = None,
        latest: bool = False,
        dataset_id: Optional[str] = None,
        expand: bool = True,
        page_count: int = 255,
        model_framework: Optional[str] = None,
    ) -> List[Model]:
        """Registered models, newest first. A tag or property is `'key'` or `['key', 'value']`; all must hold."""
        found = _search(workspace, name, tags, properties, run_id, model_framework, latest, page_count)
        return [Model._of(workspace, info) for info in found]

    @staticmethod
    def get_model_path(model_name: str, version: Optional[int] = None, _workspace: Any = None) -> str:
        """The local path of a model's file or folder, downloaded first where that is needed and possible.

        In a web service it is below AZUREML_MODEL_DIR; in a run below ./azureml-models.
        """
        door = model_paths.door_of(_workspace) if _workspace is not None else None
        return model_paths.find(model_name, version, door)

    def download(
        self, target_dir: str = ".", exist_ok: bool = False, exists_ok: Optional[bool] = None
    ) -> str:
        """Write the model's file or folder into `target_dir`; answers its path there."""
        overwrite = exist_ok if exists_ok is None else exists_ok
        target = os.fspath(target_dir)
        names = model_paths.top_names(self._door, self._info)
        there = [name for name in names if os.path.exists(os.path.join(target, name))]
        if there and not overwrite:
            raise errors.UserErrorException(
                f"{os.path.join(target, there[0])!r} is there already. Choose another target_dir, or replace it with "
                "exist_ok=True (--overwrite)."
            )
        model_paths.fetch(self._door, self._info, target)
        return os.path.join(target, names[0]) if len(names) == 1 else target

    def update(
        self,
        tags: Optional[Mapping[str, Any]] = None,
        description: Optional[str] = None,
        sample_input_dataset: Any = None,
        sample_output_dataset: Any = None,
        resource_configuration: Any = None,
    ) -> None:
        """`tags` replace those that are there."""
        given = labels("tags", tags)
        gone = [] if tags is None else [key for key in self._info.tags if key not in given]
        self._change(ModelUpdate(description=description, set_tags=given, remove_tags=gone))

    def add_tags(self, tags: Mapping[str, Any]) -> None:
        self.update_tags_properties(add_tags=tags)

    def remove_tags(self, tags: Union[str, Sequence[str]]) -> None:
        self.update_tags_properties(remove_tags=tags)

    def add_properties(self, properties: Mapping[str, Any]) -> None:
        """A property can be added once and never changed."""
        self.update_tags_properties(add_properties=properties)

    def update_tags_properties(
        self,
        add_tags: Optional[Mapping[str, Any]] = None,
        remove_tags: Optional[Union[str, Sequence[str]]] = None,
        add_properties: Optional[Mapping[str, Any]] = None,
    ) -> None:
        gone = [remove_tags] if isinstance(remove_tags, str) else [str(key) for key in remove_tags or ()]
        self._change(
            ModelUpdate(
                set_tags=labels("add_tags", add_tags),
                remove_tags=gone,
                add_properties=labels("add_properties", add_properties),
            )
        )

    def set_stage(self, stage: str, archive_existing: bool = False) -> None:
        """Move to a stage; `archive_existing` moves the versions that are there to Archived."""
        self._change(ModelUpdate(stage=stage, archive_existing=archive_existing))

    def set_alias(self, alias: str) -> None:
        """Let `alias` name this version, in place of the one it named."""
        self._door.client.request("PUT", self._alias_path(alias), ModelAlias(self.version))
        self._info = model_paths.described(self._door, self.name, self.version)

    def delete_alias(self, alias: str) -> None:
        """Let `alias`, whichever version of this model it names, name nothing any more."""
        self._door.client.request("DELETE", self._alias_path(alias))
        self._info = model_paths.described(self._door, self.name, self.version)

    def _alias_path(self, alias: str) -> str:
        return self._door.path("registered-models", self.name, "aliases", alias)

    def delete(self) -> None:
        """Raises Conflict naming the web services that use it."""
        self._door.client.request("DELETE", model_paths.address(self._door, self.name, self.version))

    def add_dataset_references(self, datasets: Sequence[Any]) -> None:
        raise errors.NotYetAvailable(
            "Datasets are added to a model when it is registered: Model.register(datasets=…)."
        )

    def get_sas_urls(self) -> Dict[str, str]:
        raise errors.NotYetAvailable(
            "A yard has no links without a token; model.download() brings the files."
        )

    def serialize(self) -> Dict[str, Any]:
        """The model as plain values, under v1's names."""
        info = self._info
        return {
            "createdTime": self.created_time.isoformat(),
            "createdBy": info.user,
            "description": info.description,
            "id": info.id,
            "name": info.name,
            "version": info.version,
            "framework": info.framework,
            "frameworkVersion": info.framework_version,
            "tags": dict(info.tags),
            "properties": dict(info.properties),
            "runId": info.run_id,
            "experimentName": info.experiment,
            "unpack": info.is_folder,
            "url": self.url,
            "datasets": info.recorded.get("datasets", []),
            "resourceRequirements": info.recorded.get("resource_configuration"),
        }

    @staticmethod
    def deserialize(workspace: Any, model_payload: Mapping[str, Any]) -> Model:
        """A Model out of what `serialize` gave, without asking the yard."""
        created = datetime.datetime.strptime(
            model_payload["createdTime"][:19] + "+0000", "%Y-%m-%dT%H:%M:%S%z"
        )
        info = ModelInfo(
            id=model_payload["id"],
            name=model_payload["name"],
            version=int(model_payload["version"]),
            description=model_payload.get("description") or "",
            tags=dict(model_payload.get("tags") or {}),
            properties=dict(model_payload.get("properties") or {}),
            framework=model_payload.get("framework") or Model.Framework.CUSTOM,
            framework_version=model_payload.get("frameworkVersion") or "",
            created_at=created.timestamp(),
            size_bytes=0,
            file_count=0,
            tree_id="",
            is_folder=bool(model_payload.get("unpack")),
            user=model_payload.get("createdBy") or "",
            run_id=model_payload.get("runId"),
            experiment=model_payload.get("experimentName"),
            recorded={"datasets": model_payload.get("datasets") or []},
        )
        return Model._of(workspace, info)

    @staticmethod
    def deploy(
        workspace: Any,
        name: str,
        models: Sequence[Any],
        inference_config: Any = None,
        deployment_config: Any = None,
        deployment_target: Any = None,
        overwrite: bool = False,
        show_output: bool = False,
    ) -> Any:
        """Make a web service of models, an entry script and an environment; answers the Webservice."""
        return _deployment().deploy(
            workspace,
            name,
            models,
            inference_config,
            deployment_config,
            deployment_target,
            overwrite,
            show_output,
        )

    @staticmethod
    def package(
        workspace: Any,
        models: Sequence[Any],
        inference_config: Any = None,
        generate_dockerfile: bool = False,
        image_name: Optional[str] = None,
        image_label: Optional[str] = None,
    ) -> Any:
        return _deployment().package()

    @staticmethod
    def profile(
        workspace: Any,
        profile_name: str,
        models: Sequence[Any],
        inference_config: Any,
        input_dataset: Any,
        cpu: Optional[float] = None,
        memory_in_gb: Optional[float] = None,
        description: Optional[str] = None,
    ) -> Any:
        return _deployment().profile()

    @staticmethod
    def print_configuration(
        models: Sequence[Any], inference_config: Any, deployment_config: Any, deployment_target: Any
    ) -> None:
        for title, value in (
            ("Models", [str(getattr(model, "id", model)) for model in models]),
            ("Inference configuration", inference_config),
            ("Deployment configuration", deployment_config),
            ("Deployment target", deployment_target),
        ):
            print(f"{title}: {value}")  # noqa: T201  # what it is for

    def _change(self, update: ModelUpdate) -> None:
        address = model_paths.address(self._door, self.name, self.version)
        self._info = self._door.client.request("PATCH", address, update, kind=ModelInfo)

    def __repr__(self) -> str:
        return (
            f"Model(workspace={self.workspace!r}, name={self.name}, id={self.id}, version={self.version}, "
            f"tags={self.tags}, properties={self.properties})"
        )


def _deployment() -> Any:
    # Deploying stands above models: endpoints import this module, so it is looked up when asked for.
    return importlib.import_module("modelyard.endpoints.deployment")


def _post(door: model_paths.Door, body: ModelRegister) -> ModelInfo:
    info: ModelInfo = door.client.request("POST", door.path("models"), body, kind=ModelInfo, idempotent=True)
    return info


def _wanted(given: Optional[_Labels]) -> List[str]:
    """`key` or `key=value` of each label asked for, in v1's spellings."""
    if given is None:
        return []
    if isinstance(given, str):
        return [given]
    if isinstance(given, Mapping):
        return [key if value is None else f"{key}={value}" for key, value in given.items()]
    return [one if isinstance(one, str) else "=".join(str(part) for part in one) for one in given]


def _search(
    workspace: Any,
    name: Optional[str],
    tags: Optional[_Labels],
    properties: Optional[_Labels],
    run_id: Optional[str],
    framework: Optional[str],
    latest: bool,
    page_count: int,
) -> List[ModelInfo]:
    door = model_paths.door_of(workspace)
    query = {
        "name": name or None,
        "tag": _wanted(tags),
        "property": _wanted(properties),
        "run_id": run_id or None,
        "framework": framework or None,
        "latest": latest or None,
        "limit": min(max(int(page_count), 1), 1000),
    }
    found: List[ModelInfo] = []
    after = None
    while True:
        page: ModelPage = door.client.request(
            "GET", door.path("models"), query=dict(query, after=after), kind=ModelPage
        )
        found += page.items
        after = page.next
        if after is None:
            return found
