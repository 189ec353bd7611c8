"""RunConfiguration and its sections, in memory and as v1's `.azureml/<name>.runconfig` YAML, key for key.

Sections that a process on a node does not use (Spark, HDInsight, …) are kept and written back as they were given.
"""

from __future__ import annotations

import copy
import os
from typing import Any, Dict, Iterable, List, Optional

from modelyard import errors
from modelyard.environment_sections import DEFAULT_CPU_IMAGE, DEFAULT_GPU_IMAGE

_SUFFIX = ".runconfig"
_FOLDERS = (".azureml", "aml_config")


class _Section:
    """A part of a run configuration: attributes here, camelCase keys in the file."""

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)

    def to_yaml(self) -> Dict[str, Any]:
        return {_camel(name): copy.deepcopy(value) for name, value in vars(self).items()}

    def take(self, values: Optional[Dict[str, Any]]) -> None:
        """Set what the file has; what it lacks keeps its default."""
        for key, value in (values or {}).items():
            setattr(self, _snake(key), value)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]  # sections change, so they can't be keys

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in vars(self).items())})"


class MpiConfiguration(_Section):
    def __init__(self, process_count_per_node: int = 1, node_count: int = 1) -> None:
        super().__init__(process_count_per_node=process_count_per_node, node_count=node_count)


class TensorflowConfiguration(_Section):
    def __init__(self, worker_count: int = 1, parameter_server_count: int = 1) -> None:
        super().__init__(worker_count=worker_count, parameter_server_count=parameter_server_count)


class PyTorchConfiguration(_Section):
    def __init__(
        self, communication_backend: str = "Nccl", process_count: Optional[int] = None, node_count: int = 1
    ) -> None:
        super().__init__(
            communication_backend=communication_backend, process_count=process_count, node_count=node_count
        )


class ParallelTaskConfiguration(_Section):
    def __init__(self) -> None:
        super().__init__(max_retries_per_worker=0, worker_count_per_node=1, terminal_exit_codes=None)


class HistoryConfiguration(_Section):
    def __init__(self) -> None:
        super().__init__(output_collection=True, snapshot_project=True, directories_to_watch=["logs"])


class SparkConfiguration(_Section):
    def __init__(self) -> None:
        super().__init__(
            configuration={"spark.app.name": "Azure ML Experiment", "spark.yarn.maxAppAttempts": 1}
        )


class HdiConfiguration(_Section):
    def __init__(self) -> None:
        super().__init__(yarn_deploy_mode="cluster")


class AmlComputeConfiguration(_Section):
    def __init__(self) -> None:
        super().__init__(
            name=None, vm_size=None, vm_priority=None, retain_cluster=False, cluster_max_node_count=None
        )


class DockerConfiguration(_Section):
    """Kept as given: a process on a node of this yard runs without a container."""

    def __init__(
        self,
        use_docker: bool = False,
        shared_volumes: bool = True,
        arguments: Optional[List[str]] = None,
        shm_size: str = "2g",
    ) -> None:
        super().__init__(
            use_docker=use_docker,
            shared_volumes=shared_volumes,
            arguments=list(arguments or []),
            shm_size=shm_size,
        )


# The sections by attribute, in the order of v1's file.
_SECTIONS = {
    "history": HistoryConfiguration,
    "spark": SparkConfiguration,
    "docker": DockerConfiguration,
    "hdi": HdiConfiguration,
    "tensorflow": TensorflowConfiguration,
    "mpi": MpiConfiguration,
    "pytorch": PyTorchConfiguration,
    "paralleltask": ParallelTaskConfiguration,
    "amlcompute": AmlComputeConfiguration,
}


def argument_list(given: Any) -> List[Any]:
    """A list of its own. Raises RunConfigurationException for text, whose letters would be the arguments."""
    if isinstance(given, str):
        raise errors.RunConfigurationException(
            f"arguments is a list, ['--alpha', 0.5] for one, not the text {given!r}."
        )
    return list(given or [])


class RunConfiguration:
    """What is needed to run a script, without the source directory: environment, target, framework.

    `environment` comes to be when it is first looked at; a configuration whose environment nobody touched runs with
    the Python that submits it (on this machine) or that runs the yard.
    """

    def __init__(
        self,
        script: Optional[str] = None,
        arguments: Optional[List[Any]] = None,
        framework: Optional[str] = None,
        communicator: Optional[str] = None,
        conda_dependencies: Any = None,
        _history_enabled: Optional[bool] = None,
        _path: Optional[str] = None,
        _name: Optional[str] = None,
        command: Any = None,
    ) -> None:
        self.script = script
        self.arguments: List[Any] = argument_list(arguments)
        self.command = command
        self.framework = framework or "Python"
        self.communicator = communicator or "None"
        self._target = "local"
        self.max_run_duration_seconds: Optional[float] = None
        self.node_count = 1
        self.priority: Optional[int] = None
        self.history = HistoryConfiguration()
        self.spark = SparkConfiguration()
        self.docker = DockerConfiguration()
        self.hdi = HdiConfiguration()
        self.tensorflow = TensorflowConfiguration()
        self.mpi = MpiConfiguration()
        self.pytorch = PyTorchConfiguration()
        self.paralleltask = ParallelTaskConfiguration()
        self.amlcompute = AmlComputeConfiguration()
        self.data_references: Dict[str, Any] = {}
        self.data: Dict[str, Any] = {}
        self.output_data: Dict[str, Any] = {}
        self.source_directory_data_store: Optional[str] = None
        self.auto_prepare_environment = True
        self._environment: Any = None
        self._environment_variables: Dict[str, str] = {}
        self._more: Dict[str, Any] = {}  # keys of a file that we don't know, written back as they were
        self._path = _path
        self._name = _name
        if _history_enabled is not None:
            self.history.output_collection = _history_enabled  # type: ignore[attr-defined]  # set by _Section
        if conda_dependencies is not None:
            self.environment.python.conda_dependencies = conda_dependencies

    @property
    def target(self) -> str:
        """The name of the compute target."""
        return self._target

    @target.setter
    def target(self, value: Any) -> None:
        name = value if isinstance(value, str) else getattr(value, "name", None)
        if not isinstance(name, str) or not name:
            raise errors.RunConfigurationException(
                f"The target of a run is a compute target or its name, 'local' for one, not {value!r}."
            )
        self._target = name

    @property
    def environment(self) -> Any:
        if self._environment is None:
            from modelyard.environments import Environment  # only configurations that name one need it

            self._environment = Environment(name=None)
        return self._environment

    @environment.setter
    def environment(self, value: Any) -> None:
        if value is not None and not hasattr(value, "to_spec"):
            raise errors.RunConfigurationException(
                f"environment must be an Environment, not {value!r}. Environment.get(workspace, name) finds one by name."
            )
        self._environment = value

    @property
    def environment_variables(self) -> Dict[str, str]:
        """Variables of this run, over those of the environment."""
        return self._environment_variables

    @environment_variables.setter
    def environment_variables(self, value: Dict[str, str]) -> None:
        self._environment_variables = dict(value or {})

    def save(
        self, path: Optional[str] = None, name: Optional[str] = None, separate_environment_yaml: bool = False
    ) -> None:
        """Write `<path>/.azureml/<name>.runconfig`, or the file `path` when it ends in `.runconfig`."""
        from modelyard import runconfig_environment as environments  # reads Environment, not always needed

        target = _file(path or self._path or ".", name or self._name or "run", for_writing=True)
        folder = os.path.dirname(target) or "."
        os.makedirs(folder, exist_ok=True)
        values = self.to_yaml()
        if values["environment"] is not None:
            stem = os.path.basename(target)[: -len(_SUFFIX)]
            environments.put_conda_aside(values["environment"], folder, stem, _yaml())
        if separate_environment_yaml and values["environment"] is not None:
            environment_file = os.path.join(folder, "environment.yml")
            _write_yaml(environment_file, values["environment"])
            values["environment"] = os.path.basename(environment_file)
        _write_yaml(target, values)

    @staticmethod
    def load(path: str, name: Optional[str] = None) -> RunConfiguration:
        """Read a `.runconfig` file, or the one called `name` of the directory `path`."""
        source = _file(path, name or "", for_writing=False)
        values = _read_yaml(source)
        environment = values.get("environment")
        if isinstance(environment, str):
            values["environment"] = _read_yaml(os.path.join(os.path.dirname(source), environment))
        loaded = RunConfiguration.from_yaml(values, os.path.dirname(os.path.abspath(source)))
        loaded._path = source
        loaded._name = os.path.basename(source)[: -len(_SUFFIX)] if source.endswith(_SUFFIX) else name
        return loaded

    @staticmethod
    def delete(path: str, name: str) -> None:
        """Remove a run configuration file."""
        os.unlink(_file(path, name, for_writing=False))

    def to_yaml(self) -> Dict[str, Any]:
        """The file's content, in v1's order of keys."""
        from modelyard import (
            runconfig_environment as environments,  # reads Environment, which is not always needed
        )

        shown: Dict[str, Any] = {
            "script": self.script,
            "arguments": [str(one) for one in self.arguments],
            "target": self.target,
            "framework": self.framework,
            "communicator": self.communicator,
            "maxRunDurationSeconds": self.max_run_duration_seconds,
            "nodeCount": self.node_count,
            "priority": self.priority,
            "environment": environments.to_yaml(self._environment),
        }
        for name in _SECTIONS:
            shown[name] = getattr(self, name).to_yaml()
        shown.update(
            dataReferences=copy.deepcopy(self.data_references),
            data=copy.deepcopy(self.data),
            outputData=copy.deepcopy(self.output_data),
            sourceDirectoryDataStore=self.source_directory_data_store,
            command=self.command if self.command is not None else "",
            environmentVariables=dict(self._environment_variables),
        )
        shown.update(copy.deepcopy(self._more))
        return shown

    @classmethod
    def from_yaml(cls, values: Dict[str, Any], folder: str = ".") -> RunConfiguration:
        """A configuration out of a file's content; `folder` is where the file lies.

        Keys that mean nothing here are kept, as v1 has more than this version; one that is nearly a known key is a slip
        of the pen. Raises RunConfigurationException.
        """
        from modelyard import runconfig_environment as environments  # as in to_yaml

        left = dict(values)
        made = cls(
            script=left.pop("script", None),
            arguments=left.pop("arguments", None) or [],
            framework=left.pop("framework", None),
            communicator=left.pop("communicator", None),
            command=left.pop("command", None) or None,
        )
        made.target = left.pop("target", None) or "local"
        made.max_run_duration_seconds = left.pop("maxRunDurationSeconds", None)
        made.node_count = left.pop("nodeCount", None) or 1
        made.priority = left.pop("priority", None)
        made._environment = environments.from_yaml(left.pop("environment", None), folder)
        for name in _SECTIONS:
            getattr(made, name).take(left.pop(name, None))
        made.data_references = left.pop("dataReferences", None) or {}
        made.data = left.pop("data", None) or {}
        made.output_data = left.pop("outputData", None) or {}
        made.source_directory_data_store = left.pop("sourceDirectoryDataStore", None)
        made._environment_variables = left.pop("environmentVariables", None) or {}
        _refuse_misspelt(left, values)
        made._more = left
        return made

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RunConfiguration) and self.to_yaml() == other.to_yaml()

    __hash__ = None  # type: ignore[assignment]  # a configuration changes, so it can't be a key

    def __repr__(self) -> str:
        return (
            f"RunConfiguration(script={self.script!r}, target={self.target!r}, framework={self.framework!r})"
        )


_KEYS = frozenset(
    (
        *("script", "arguments", "framework", "communicator", "command", "target", "maxRunDurationSeconds", "nodeCount"),
        *("priority", "environment", "dataReferences", "data", "outputData", "sourceDirectoryDataStore"),
        *("environmentVariables", *_SECTIONS),
    )
)  # fmt: skip


def _refuse_misspelt(unknown: Iterable[str], values: Dict[str, Any]) -> None:
    import difflib  # only for files with keys that are not known

    for key in unknown:
        near = difflib.get_close_matches(str(key), _KEYS.difference(values), 1, 0.8)
        if near:
            raise errors.RunConfigurationException(
                f"A run configuration has no key {key!r}. Did you mean {near[0]!r}?"
            )


def _file(path: str, name: str, for_writing: bool) -> str:
    path = os.fspath(path)
    if path.endswith(_SUFFIX) or (not for_writing and os.path.isfile(path)):
        candidates = [path]
    else:
        file_name = name if name.endswith(_SUFFIX) else name + _SUFFIX
        candidates = [os.path.join(path, folder, file_name) for folder in _FOLDERS] + [
            os.path.join(path, file_name)
        ]
        if os.path.basename(os.path.normpath(path)) in _FOLDERS:
            candidates.insert(0, os.path.join(path, file_name))
    if for_writing:
        return candidates[0]
    for candidate in candidates:
        if os.path.isfile(candidate):
            return candidate
    raise errors.RunConfigurationException(
        f"There is no run configuration {name or path!r}: looked at {', '.join(candidates)}."
    )


def _yaml() -> Any:
    try:
        import yaml  # people's YAML files only: a run itself never reads one
    except ImportError:
        raise errors.UserErrorException(
            "Reading and writing .runconfig files needs PyYAML: pip install pyyaml"
        ) from None
    return yaml


def _read_yaml(file: str) -> Dict[str, Any]:
    yaml = _yaml()
    try:
        with open(file, encoding="utf-8-sig") as stream:
            values = yaml.safe_load(stream)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise errors.RunConfigurationException(f"{file} can't be read as YAML: {error}") from error
    if not isinstance(values, dict):
        raise errors.RunConfigurationException(
            f"{file} holds no run configuration: its top is not a mapping."
        )
    return values


def _write_yaml(file: str, values: Dict[str, Any]) -> None:
    text = _yaml().safe_dump(values, sort_keys=False, default_flow_style=False, allow_unicode=True)
    with open(file, "w", encoding="utf-8") as stream:
        stream.write(text)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _snake(key: str) -> str:
    return "".join("_" + letter.lower() if letter.isupper() else letter for letter in key)


# v1 has the image names in this module too.
__all__ = [
    "DEFAULT_CPU_IMAGE",
    "DEFAULT_GPU_IMAGE",
    "AmlComputeConfiguration",
    "DockerConfiguration",
    "HdiConfiguration",
    "HistoryConfiguration",
    "MpiConfiguration",
    "ParallelTaskConfiguration",
    "PyTorchConfiguration",
    "RunConfiguration",
    "SparkConfiguration",
    "TensorflowConfiguration",
]
