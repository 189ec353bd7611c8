"""ScriptRunConfig: a source directory, what to run in it, and with what."""

from __future__ import annotations

import copy
import os
from typing import Any, List, Optional, Union

from modelyard import errors
from modelyard.runconfig import RunConfiguration, argument_list

_DISTRIBUTED = {
    "MpiConfiguration": "mpi",
    "TensorflowConfiguration": "tensorflow",
    "PyTorchConfiguration": "pytorch",
}
_COMMUNICATORS = {"mpi": "OpenMpi", "tensorflow": "ParameterServer", "pytorch": "Nccl"}


class ScriptRunConfig:
    """Give either `script` (a path inside `source_directory`) with `arguments`, or `command`.

    A command is one line for a shell, as text or in parts: `["python train.py --epochs", 30, "&& ls outputs"]`.
    Raises RunConfigurationException for what can't be run, before anything is sent anywhere.
    """

    MAX_DURATION_SECONDS_DEFAULT = 30 * 24 * 60 * 60

    def __init__(
        self,
        source_directory: Optional[str],
        script: Optional[str] = None,
        arguments: Optional[List[Any]] = None,
        run_config: Optional[RunConfiguration] = None,
        _telemetry_values: Any = None,
        compute_target: Any = None,
        environment: Any = None,
        distributed_job_config: Any = None,
        resume_from: Any = None,
        max_run_duration_seconds: Optional[float] = MAX_DURATION_SECONDS_DEFAULT,
        command: Union[str, List[Any], None] = None,
        docker_runtime_config: Any = None,
    ) -> None:
        if run_config is not None and (compute_target is not None or environment is not None):
            raise errors.RunConfigurationException(
                "Give compute_target and environment either to ScriptRunConfig or in run_config, not both."
            )
        self.source_directory = os.path.abspath(source_directory or ".")
        # A copy, so that two configurations from one RunConfiguration don't change each other.
        self.run_config = copy.deepcopy(run_config) if run_config is not None else RunConfiguration()
        self.script = script if script is not None else self.run_config.script
        self.command = command if command is not None else self.run_config.command
        self.arguments = argument_list(arguments if arguments is not None else self.run_config.arguments)
        self.resume_from = resume_from
        if self.script and self.command:
            raise errors.RunConfigurationException("Give either script or command, not both.")
        if self.command and self.arguments:
            raise errors.RunConfigurationException(
                "A command carries its own arguments; leave arguments out."
            )
        if compute_target is not None:
            self.run_config.target = compute_target
        if environment is not None:
            self.run_config.environment = environment
        if docker_runtime_config is not None:
            self.run_config.docker = docker_runtime_config
        if max_run_duration_seconds != self.MAX_DURATION_SECONDS_DEFAULT or run_config is None:
            self.run_config.max_run_duration_seconds = max_run_duration_seconds
        if distributed_job_config is not None:
            self._distribute(distributed_job_config)

    def _distribute(self, config: Any) -> None:
        section = _DISTRIBUTED.get(type(config).__name__)
        if section is None:
            raise errors.RunConfigurationException(
                f"distributed_job_config must be an MpiConfiguration, TensorflowConfiguration or "
                f"PyTorchConfiguration, not {config!r}."
            )
        setattr(self.run_config, section, config)
        self.run_config.communicator = _COMMUNICATORS[section]
        self.run_config.node_count = getattr(config, "node_count", 1)

    def __repr__(self) -> str:
        return (
            f"ScriptRunConfig(source_directory={self.source_directory!r}, script={self.script!r}, "
            f"target={self.run_config.target!r})"
        )
