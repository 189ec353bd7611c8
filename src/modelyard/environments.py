"""Environment: what a run or a web service needs to be installed, by name and version."""

from __future__ import annotations

import copy
import dataclasses
import json
import os
from typing import Any, Dict, Optional, Tuple

from modelyard import errors, requirements_file
from modelyard.conda_dependencies import DEFAULT_FILE, PYTHON_DEFAULT_VERSION, CondaDependencies
from modelyard.environment_sections import (
    DEFAULT_CPU_IMAGE,
    DEFAULT_GPU_IMAGE,
    ContainerRegistry,
    DatabricksSection,
    DockerSection,
    PythonSection,
    RSection,
    Section,
    SparkSection,
    interpreter_of,
)
from modelyard.wire.environment_hash import content_hash, definition_hash
from modelyard.wire.environments import EnvironmentInfo, EnvironmentList, EnvironmentSpec, PythonSpec

_DIRECTORY_FILE = "azureml_environment.json"

__all__ = [
    "DEFAULT_CPU_IMAGE",
    "DEFAULT_GPU_IMAGE",
    "ContainerRegistry",
    "DockerSection",
    "Environment",
    "PythonSection",
    "RSection",
    "SparkSection",
    "resolve_interpreter",
]


class Environment(Section):
    """A Python environment: one that a person manages, or packages that the yard installs once and keeps.

    Docker, Spark, Databricks and R sections are kept and shown as given; runs here are processes and do not use them.
    """

    def __init__(self, name: Optional[str] = None, **kwargs: Any) -> None:
        self.name = name
        self.version: Optional[str] = None
        self.asset_id: Optional[str] = None
        self.python = PythonSection()
        self._environment_variables: Dict[str, str] = {}
        self.docker = DockerSection()
        self.spark = SparkSection()
        self.databricks = DatabricksSection()
        self.r: Optional[RSection] = None
        self.inferencing_stack_version: Optional[str] = None
        self._recorded: Dict[str, Any] = {}  # of other versions, kept for whoever knows it
        self._registered: Optional[Tuple[str, str]] = None  # version and definition as the yard has them
        self._complete = True
        for key, value in kwargs.items():
            if not key.startswith("_"):
                setattr(self, key, value)

    @property
    def environment_variables(self) -> Dict[str, str]:
        return self._environment_variables

    @environment_variables.setter
    def environment_variables(self, value: Dict[str, str]) -> None:
        self._environment_variables = {str(k): str(v) for k, v in (value or {}).items()}

    # To and from the yard

    def to_spec(self) -> EnvironmentSpec:
        """As the yard takes it. The version is left out if this is not what was registered under it any more."""
        python = self.python
        variables = {str(k): str(v) for k, v in self._environment_variables.items()}
        if python.user_managed_dependencies:
            path = python.interpreter_path or ""
            wire = PythonSpec(user_managed=True, interpreter_path="" if path == "python" else str(path))
        elif python.conda_dependencies is None and self.name:
            wire = PythonSpec()  # what is registered under the name
        else:
            conda = python.conda_dependencies or CondaDependencies()
            variables = {**conda.variables, **variables}
            wire = PythonSpec(conda=conda.to_wire())
        recorded = dict(self._recorded)
        for name in ("spark", "databricks", "r"):
            section = getattr(self, name)
            if section is not None and section.changes():
                recorded[name] = section.to_dict()
        if self.inferencing_stack_version:
            recorded["inferencingStackVersion"] = self.inferencing_stack_version
        spec = EnvironmentSpec(
            name=self.name or "",
            version=str(self.version or ""),
            python=wire,
            variables=variables,
            docker=self.docker.changes(),
            recorded=recorded,
        )
        known = self._registered
        if known and spec.version == known[0] and definition_hash(spec) != known[1]:
            spec = dataclasses.replace(spec, version="")
        return spec

    @staticmethod
    def from_spec(spec: EnvironmentSpec) -> Environment:
        made = Environment(name=spec.name or None)
        made.version = spec.version or None
        made.python.user_managed_dependencies = spec.python.user_managed
        made.python.interpreter_path = spec.python.interpreter_path or "python"
        if spec.python.conda is not None:
            made.python.conda_dependencies = CondaDependencies(_underlying_structure=spec.python.conda)
        elif spec.python.requirements is not None:
            made.python.conda_dependencies = _conda_of(
                spec.python.requirements, spec.python.pip_options, spec.python.python_version
            )
        elif spec.name and not spec.python.user_managed:
            made.python.conda_dependencies = None  # only the name is known
        else:
            made.python.user_managed_dependencies = True
        made.environment_variables = spec.variables
        made.docker.take(spec.docker)
        made._recorded = dict(spec.recorded)
        made.spark.take(made._recorded.pop("spark", None) or {})
        made.databricks.take(made._recorded.pop("databricks", None) or {})
        r = made._recorded.pop("r", None)
        if r:
            made.r = RSection()
            made.r.take(r)
        made.inferencing_stack_version = made._recorded.pop("inferencingStackVersion", None)
        return made

    @staticmethod
    def _of(info: EnvironmentInfo) -> Environment:
        made = Environment.from_spec(info.spec)
        made._registered = (info.spec.version, definition_hash(made.to_spec()))
        return made

    def register(self, workspace: Any) -> Environment:
        """Keep it under its name; answers it with its version. What is unchanged keeps the version it has."""
        if not self.name:
            raise errors.UserErrorException(
                "An environment needs a name to be registered: Environment('my-env')."
            )
        spec = self.to_spec()
        if self._registered and spec.version:
            if self._is_there(workspace, spec):
                return Environment.get(workspace, self.name, spec.version)
            if spec.version == self._registered[0]:
                spec = dataclasses.replace(spec, version="")  # another workspace counts for itself
        info = workspace._client.request(
            "POST", workspace._path("environments"), body=spec, kind=EnvironmentInfo, idempotent=True
        )
        self.version = info.spec.version
        self._registered = (info.spec.version, definition_hash(self.to_spec()))
        return Environment._of(info)

    def _is_there(self, workspace: Any, spec: EnvironmentSpec) -> bool:
        try:
            there = Environment.get(workspace, spec.name, spec.version)
        except errors.NotFound:
            return False
        return there._registered == (spec.version, definition_hash(spec))

    @staticmethod
    def get(
        workspace: Any, name: str, version: Optional[str] = None, label: Optional[str] = None
    ) -> Environment:
        """A registered or curated environment; without a version, the latest."""
        if label not in (None, "latest", "Latest"):
            raise errors.NotYetAvailable(
                f"Labels of environments are not there yet; only 'latest' is. Name a version: "
                f"Environment.get(workspace, {name!r}, version='1')."
            )
        query = {"version": str(version)} if version else None
        return Environment._of(
            workspace._client.request(
                "GET", workspace._path("environments", name), query=query, kind=EnvironmentInfo
            )
        )

    @staticmethod
    def list(workspace: Any) -> Dict[str, Environment]:
        """The latest version of each, by name, curated ones included."""
        found = workspace._client.request("GET", workspace._path("environments"), kind=EnvironmentList)
        return {info.spec.name: Environment._of(info) for info in found.items}

    @staticmethod
    def label(workspace: Any, name: str, version: str, labels: Any) -> None:
        raise errors.NotYetAvailable(
            "Labels of environments are not there yet. Use versions: env.register(workspace)."
        )

    def clone(self, new_name: str) -> Environment:
        """A copy under another name, not registered."""
        if not new_name:
            raise errors.UserErrorException("A clone needs a name of its own: env.clone('my-env').")
        made = Environment.from_spec(self.to_spec())
        made.docker = copy.deepcopy(self.docker)
        made.name, made.version, made._registered = new_name, None, None
        made._recorded = {k: v for k, v in made._recorded.items() if k != "curated"}
        return made

    # Made from files

    @staticmethod
    def from_conda_specification(name: str, file_path: str) -> Environment:
        """From a conda YAML file. Raises UserErrorException naming what in it does not fit."""
        made = Environment(name=name)
        made.python.conda_dependencies = CondaDependencies(conda_dependencies_file_path=file_path)
        return made

    @staticmethod
    def from_pip_requirements(name: str, file_path: str, pip_version: Optional[str] = None) -> Environment:
        """From a pip requirements file. Raises UserErrorException with file and line of what does not fit.

        `pip_version` is v1's; uv installs the packages here, whatever version of pip is named.
        """
        made = Environment(name=name)
        requirements, options = requirements_file.read(file_path)
        made.python.conda_dependencies = _conda_of(requirements, options, "")
        return made

    @staticmethod
    def from_existing_conda_environment(name: str, conda_environment_name: str) -> Environment:
        raise errors.NotYetAvailable(
            f"There is no conda here to ask for environment {conda_environment_name!r}. Use it as it is: env.python."
            "user_managed_dependencies = True and env.python.interpreter_path = '/…/bin/python'; or export it with "
            "'conda env export --from-history' and use Environment.from_conda_specification."
        )

    @staticmethod
    def from_dockerfile(
        name: str,
        dockerfile: str,
        conda_specification: Optional[str] = None,
        pip_requirements: Optional[str] = None,
    ) -> Environment:
        """The Dockerfile (a path or its text) is recorded; the packages beside it are what is installed."""
        made = _with_packages(name, conda_specification, pip_requirements)
        text = str(dockerfile)
        if "\n" not in text and os.path.isfile(text):
            with open(text, encoding="utf-8") as file:
                text = file.read()
        made.docker.base_image = None
        made.docker.base_dockerfile = text
        return made

    @staticmethod
    def from_docker_image(
        name: str,
        image: str,
        container_registry: Optional[ContainerRegistry] = None,
        conda_specification: Optional[str] = None,
        pip_requirements: Optional[str] = None,
    ) -> Environment:
        """The image's name is recorded; the packages beside it are what is installed."""
        made = _with_packages(name, conda_specification, pip_requirements)
        made.docker.base_image = image
        if container_registry is not None:
            made.docker.base_image_registry = container_registry
        return made

    @staticmethod
    def from_docker_build_context(name: str, docker_build_context: Any) -> Environment:
        raise errors.NotYetAvailable(
            "Docker build contexts are not there yet: runs are processes. Environment.from_dockerfile records a Dockerfile."
        )

    @staticmethod
    def add_private_pip_wheel(workspace: Any, file_path: str, exist_ok: bool = False) -> str:
        raise errors.NotYetAvailable(
            "Private wheels can't be uploaded yet. Put the wheel where the node reads it and name it: "
            "conda_dependencies.add_pip_package('/absolute/path/to/it.whl')."
        )

    # Built

    def build(self, workspace: Any, image_build_compute: Any = None) -> Any:
        """Have it built now, by a run that does nothing else; answers an object to wait on."""
        from modelyard.environment_build import build  # it needs experiments, which environments do not

        return build(self, workspace)

    def build_local(self, workspace: Any, platform: Any = None, **kwargs: Any) -> Any:
        """`build`, shown and waited for."""
        started = self.build(workspace)
        started.wait_for_completion(show_output=True)
        return started

    def get_image_details(self, workspace: Any) -> Any:
        """What is known of its newest build, as a dictionary with v1's keys."""
        from modelyard.environment_build import image_details  # as in build

        return image_details(self, workspace)

    # Kept in a directory

    def save_to_directory(self, path: str, overwrite: bool = False) -> None:
        """Write azureml_environment.json and conda_dependencies.yml."""
        target = os.path.join(path, _DIRECTORY_FILE)
        if os.path.exists(target) and not overwrite:
            raise errors.UserErrorException(f"{target} is there already. Give overwrite=True to replace it.")
        os.makedirs(path, exist_ok=True)
        with open(target, "w", encoding="utf-8") as file:
            file.write(json.dumps(self.to_dict(), indent=4, sort_keys=True) + "\n")
        conda = self.python.conda_dependencies
        if conda is not None:
            conda.save(os.path.join(path, DEFAULT_FILE))

    @staticmethod
    def load_from_directory(path: str) -> Environment:
        """What `save_to_directory` wrote; an edited conda_dependencies.yml goes over what the JSON file says."""
        source = os.path.join(path, _DIRECTORY_FILE)
        try:
            with open(source, encoding="utf-8-sig") as file:
                values = json.load(file)
            made = _from_dict(values)
        except OSError as error:
            raise errors.UserErrorException(f"{source} can't be read: {error.strerror or error}.") from error
        except (ValueError, AttributeError, TypeError) as error:
            raise errors.UserErrorException(f"{source} is not a saved environment: {error}") from error
        conda_file = os.path.join(path, DEFAULT_FILE)
        if os.path.isfile(conda_file):
            with open(conda_file, encoding="utf-8-sig") as file:
                text = file.read()
            present = made.python.conda_dependencies
            if present is None or present.serialize_to_string() != text:
                made.python.conda_dependencies = CondaDependencies(conda_dependencies_file_path=conda_file)
        return made

    def to_dict(self) -> Dict[str, Any]:
        return {
            "name": self.name,
            "version": self.version,
            "assetId": self.asset_id,
            "environmentVariables": dict(self._environment_variables),
            "python": self.python.to_dict(),
            "docker": self.docker.to_dict(),
            "spark": self.spark.to_dict(),
            "databricks": self.databricks.to_dict(),
            "r": None if self.r is None else self.r.to_dict(),
            "inferencingStackVersion": self.inferencing_stack_version,
        }

    def get_content_hash(self) -> str:
        """What its installation is kept under; equal for environments that install the same."""
        return content_hash(self.to_spec())

    def __repr__(self) -> str:
        return json.dumps(self.to_dict(), indent=4, sort_keys=True)

    def __str__(self) -> str:
        return f"Environment(Name: {self.name},\nVersion: {self.version})"


def resolve_interpreter(spec: EnvironmentSpec) -> EnvironmentSpec:
    """The spec with the interpreter of a user-managed environment as an absolute path, found where it is submitted."""
    if not spec.python.user_managed:
        return spec
    python = dataclasses.replace(spec.python, interpreter_path=interpreter_of(spec.python.interpreter_path))
    return dataclasses.replace(spec, python=python)


def _conda_of(requirements: Any, options: Any, python_version: str) -> CondaDependencies:
    made = CondaDependencies(_underlying_structure={"name": "project_environment", "dependencies": []})
    made.set_pip_requirements(requirements)
    for option in options:
        made.set_pip_option(option)
    if python_version:
        made.set_python_version(python_version)
    return made


def _with_packages(name: str, conda: Optional[str], pip: Optional[str]) -> Environment:
    if conda and pip:
        raise errors.UserErrorException("Give conda_specification or pip_requirements, not both.")
    if conda:
        return Environment.from_conda_specification(name, conda)
    if pip:
        return Environment.from_pip_requirements(name, pip)
    made = Environment(name=name)
    made.python.user_managed_dependencies = True
    return made


def _from_dict(values: Any) -> Environment:
    """From the JSON file's keys; keys of another version are kept."""
    made = Environment(name=values.pop("name", None))
    made.version = values.pop("version", None)
    values.pop("assetId", None)
    made.environment_variables = values.pop("environmentVariables", None) or {}
    python = values.pop("python", None) or {}
    made.python.user_managed_dependencies = bool(python.get("userManagedDependencies", False))
    made.python.interpreter_path = python.get("interpreterPath") or "python"
    made.python.base_conda_environment = python.get("baseCondaEnvironment")
    conda = python.get("condaDependencies")
    if conda is not None:
        # The version that is written when nobody chose one is nobody's choice when it is read again.
        chosen = [d for d in conda.get("dependencies") or [] if d != f"python={PYTHON_DEFAULT_VERSION}"]
        made.python.conda_dependencies = CondaDependencies(
            _underlying_structure={**conda, "dependencies": chosen}
        )
    made.docker.take(values.pop("docker", None) or {})
    made.spark.take(values.pop("spark", None) or {})
    made.databricks.take(values.pop("databricks", None) or {})
    r = values.pop("r", None)
    if r:
        made.r = RSection()
        made.r.take(r)
    made.inferencing_stack_version = values.pop("inferencingStackVersion", None)
    made._recorded = dict(values)
    return made
