"""The sections of an Environment, with v1's names. A wrong attribute name is refused instead of being lost."""

from __future__ import annotations

import os
import shutil
import sys
from typing import Any, Dict, List, Optional

from modelyard import errors
from modelyard.conda_dependencies import CondaDependencies

# Recorded where v1 had an image; a run is a process of the node, so nothing is pulled.
DEFAULT_CPU_IMAGE = "modelyard/process-cpu:latest"
DEFAULT_GPU_IMAGE = "modelyard/process-gpu:latest"


class Section:
    """Attributes are fixed once a section is made, as in v1: `python.user_manged = True` is an error."""

    _complete = False

    def __setattr__(self, name: str, value: Any) -> None:
        if self._complete and not hasattr(self, name):
            known = ", ".join(sorted(n for n in vars(self) if not n.startswith("_")))
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}. It has {known}.")
        super().__setattr__(name, value)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.to_dict()})"

    def to_dict(self) -> Dict[str, Any]:
        """The section under v1's file keys (`baseImage`)."""
        return {_camel(k): _plain(v) for k, v in vars(self).items() if not k.startswith("_")}

    def changes(self) -> Dict[str, Any]:
        """`to_dict`, only what is not as in a new section."""
        new = type(self)().to_dict()
        return {k: v for k, v in self.to_dict().items() if new.get(k) != v}

    def take(self, values: Dict[str, Any]) -> None:
        """Set what `values` has under v1's file keys; unknown keys are ignored, as another version may write them."""
        names = {_camel(k): k for k in vars(self) if not k.startswith("_")}
        for key, value in values.items():
            name = names.get(key)
            if name is None:
                continue
            present = getattr(self, name)
            if isinstance(present, Section) and isinstance(value, dict):
                present.take(value)
            else:
                setattr(self, name, value)


class ContainerRegistry(Section):
    """The password stays in this process: the yard pulls no images and is not told it."""

    def __init__(self) -> None:
        self.address: Optional[str] = None
        self.username: Optional[str] = None
        self.password: Optional[str] = None
        self._complete = True

    def to_dict(self) -> Dict[str, Any]:
        return {"address": self.address, "username": self.username, "password": None}


class DockerImagePlatform(Section):
    def __init__(self) -> None:
        self.os = "Linux"
        self.architecture = "amd64"
        self._complete = True


class DockerSection(Section):
    """Recorded with the environment; runs are processes, and a build log says that the image is not used."""

    def __init__(self, **kwargs: Any) -> None:
        self.enabled = False
        self.base_image: Optional[str] = DEFAULT_CPU_IMAGE
        self.base_dockerfile: Optional[str] = None
        self.base_image_registry = ContainerRegistry()
        self.build_context: Any = None
        self.platform = DockerImagePlatform()
        self.shared_volumes = True
        self.shm_size = "2g"
        self.arguments: List[str] = []
        self.gpu_support = False
        self._complete = True
        for name, value in kwargs.items():
            if not name.startswith("_"):
                setattr(self, name, value)


class PythonSection(Section):
    """Which Python: one that a person manages (`user_managed_dependencies`), or one that is built."""

    def __init__(self, **kwargs: Any) -> None:
        self.user_managed_dependencies = False
        self.interpreter_path: Optional[str] = "python"
        self.base_conda_environment: Optional[str] = None
        self.conda_dependencies: Optional[CondaDependencies] = CondaDependencies()
        self._conda_dependencies_file: Optional[str] = None
        self._complete = True
        for name, value in kwargs.items():
            if not name.startswith("_"):
                setattr(self, name, value)

    @property
    def conda_dependencies_file(self) -> Optional[str]:
        """The file the specification came from; setting it reads the file."""
        return self._conda_dependencies_file

    @conda_dependencies_file.setter
    def conda_dependencies_file(self, path: Optional[str]) -> None:
        if path is not None:
            self.conda_dependencies = CondaDependencies(conda_dependencies_file_path=path)
        self._conda_dependencies_file = path

    def to_dict(self) -> Dict[str, Any]:
        conda = self.conda_dependencies
        return {
            "userManagedDependencies": self.user_managed_dependencies,
            "interpreterPath": self.interpreter_path or "python",
            "condaDependenciesFile": self._conda_dependencies_file,
            "baseCondaEnvironment": self.base_conda_environment,
            "condaDependencies": None if conda is None else conda.as_dict(),
        }


class SparkPackage(Section):
    def __init__(
        self, group: Optional[str] = None, artifact: Optional[str] = None, version: Optional[str] = None
    ) -> None:
        self.group = group
        self.artifact = artifact
        self.version = version
        self._complete = True


class SparkSection(Section):
    """Recorded only."""

    def __init__(self, **kwargs: Any) -> None:
        self.repositories: List[str] = []
        self.packages: List[Any] = []
        self.precache_packages = True
        self._complete = True
        for name, value in kwargs.items():
            if not name.startswith("_"):
                setattr(self, name, value)


class DatabricksSection(Section):
    """Recorded only."""

    def __init__(self, **_kwargs: Any) -> None:
        self.maven_libraries: List[Any] = []
        self.pypi_libraries: List[Any] = []
        self.rcran_libraries: List[Any] = []
        self.jar_libraries: List[Any] = []
        self.egg_libraries: List[Any] = []
        self._complete = True


class RSection(Section):
    """Recorded only."""

    def __init__(self) -> None:
        self.r_version: Optional[str] = None
        self.rscript_path: Optional[str] = None
        self.snapshot_date: Optional[str] = None
        self.cran_packages: Optional[List[Any]] = None
        self.git_hub_packages: Optional[List[Any]] = None
        self.custom_url_packages: Optional[List[str]] = None
        self.bio_conductor_packages: Optional[List[str]] = None
        self.user_managed = False
        self._complete = True


def interpreter_of(path: Optional[str]) -> str:
    """The absolute path behind the interpreter of a user-managed environment, found here and now.

    Nothing, or v1's default `python`: that of the activated environment, else the Python that submits if it is one of
    a virtual environment, else the one on PATH. A path is left as it is, since it may be another machine's.
    """
    name = path or "python"
    if "/" in name or "\\" in name:
        return name
    found = shutil.which(name)
    if name in ("python", "python3"):
        active = os.environ.get("VIRTUAL_ENV") or os.environ.get("CONDA_PREFIX")
        if found and active and found.startswith(os.path.join(active, "")):
            return found
        # In a virtual environment that was started by its path and not activated, PATH knows another Python.
        if found is None or sys.prefix != sys.base_prefix:
            return sys.executable
        return found
    if found is None:
        raise errors.UserErrorException(
            f"Interpreter {name!r} is not on PATH here. Give its absolute path, for example {sys.executable}."
        )
    return found


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


def _plain(value: Any) -> Any:
    if isinstance(value, Section):
        return value.to_dict()
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value
