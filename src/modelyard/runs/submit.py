"""Submitting: from a configuration to a queued run, in two requests when nothing in the directory has changed."""

from __future__ import annotations

import math
import os
import re
import shlex
import sys
from typing import Any, Callable, Dict, List, Optional, Union

from modelyard import errors, snapshot
from modelyard.runconfig import RunConfiguration, argument_list
from modelyard.runs import files
from modelyard.runs import scope as scopes
from modelyard.runs.scope import Scope
from modelyard.wire.environments import EnvironmentSpec, PythonSpec
from modelyard.wire.runs import RunCreate, RunInfo, RunSpec

CHANGES = "git/changes.diff"  # the run's file that holds the dirty diff

_FOR_A_SHELL = re.compile(r"[&|;<>()$`*?~\n]|^\w+=")
# Communicator -> the section and the value that say how many processes there are on a node.
_COUNTED = {
    "OpenMpi": ("mpi", "process_count_per_node"),
    "IntelMpi": ("mpi", "process_count_per_node"),
    "Nccl": ("pytorch", "process_count"),
    "Gloo": ("pytorch", "process_count"),
    "ParameterServer": ("tensorflow", "worker_count"),
}


def submit(
    scope: Scope,
    experiment: str,
    config: Any,
    tags: Optional[Dict[str, Any]] = None,
    properties: Optional[Dict[str, str]] = None,
    run_id: Optional[str] = None,
    parent_id: Optional[str] = None,
    display_name: Optional[str] = None,
    description: str = "",
    show_output: Union[bool, Callable[[str], object]] = False,
    **legacy: Any,
) -> RunInfo:
    """Take a snapshot of the source directory and queue the run; `show_output` prints what was uploaded, or is told it.

    Raises RunConfigurationException, SnapshotException or ExperimentExecutionException before anything is queued.
    """
    chosen = scopes.check_run_id(run_id) if run_id is not None else scopes.new_run_id(experiment)
    config = _script_run_config(config, legacy)
    settings = config.run_config
    directory = _source_directory(config)
    _check_one_process(settings)
    script, command = _what_to_run(config, directory)
    taken = snapshot.take(scope.client, lambda rest: scope.path() + rest, directory)
    if script and all(entry.path != script for entry in taken.entries):
        raise errors.RunConfigurationException(
            f"Script {script!r} is left out of the snapshot by an ignore file in {directory} (.amlignore or .gitignore)."
        )
    if show_output:
        tell = show_output if callable(show_output) else print
        tell(
            f"Snapshot of {directory}: {_many(taken.file_count)}, {taken.size_bytes:,} bytes; uploaded "
            f"{_many(taken.uploaded_files)}, {taken.uploaded_bytes:,} bytes."
        )
    spec = RunSpec(
        script=script,
        arguments=arguments_as_text(config.arguments),
        command=command,
        target=settings.target,
        snapshot_id=taken.id,
        environment=_environment(settings, scope),
        variables={str(k): str(v) for k, v in settings.environment_variables.items()},
        max_duration_s=_duration(settings.max_run_duration_seconds),
        framework=settings.framework,
        communicator=settings.communicator,
        node_count=int(settings.node_count),
        recorded=_recorded(settings),
    )
    git = _git_properties(directory)
    body = RunCreate(
        run_id=chosen,
        experiment=experiment,
        spec=spec,
        parent_id=parent_id,
        display_name=display_name or "",
        description=description,
        tags={str(k): "" if v is None else str(v) for k, v in (tags or {}).items()},
        properties={**git, **{k: str(v) for k, v in (properties or {}).items()}},
        snapshot_id=taken.id,
        user=scopes.user_name(),
    )
    info: RunInfo = scope.client.request("POST", scope.path("runs"), body, kind=RunInfo, idempotent=True)
    if git.get("azureml.git.dirty", "").lower() == "true":
        _keep_changes(scope, info.id, directory)
    return info


def _many(files: int) -> str:
    return "1 file" if files == 1 else f"{files:,} files"


def _keep_changes(scope: Scope, run_id: str, directory: str) -> None:
    """What differs from the commit, as a file of the run. The run is queued already, so a failure only warns."""
    from modelyard import gitinfo  # as in _git_properties

    changes = gitinfo.dirty_diff(directory)
    if not changes:
        return
    try:
        files.add_stream(scope, run_id, CHANGES, changes)
    except errors.AzureMLException as error:
        print(f"modelyard: the uncommitted changes were not kept: {error}", file=sys.stderr)  # noqa: T201


def _script_run_config(config: Any, legacy: Dict[str, Any]) -> Any:
    """A ScriptRunConfig; a RunConfiguration comes with its source directory beside it, as in v1's first years."""
    known = {
        name: legacy.pop(name)
        for name in ("source_directory", "script", "arguments", "command")
        if name in legacy
    }
    if legacy:
        raise errors.UserErrorException(f"submit does not take {', '.join(sorted(legacy))}.")
    if hasattr(config, "run_config") and hasattr(config, "source_directory"):
        if known:
            raise errors.UserErrorException(f"{', '.join(known)} belong in the ScriptRunConfig.")
        return config
    from modelyard.script_run_config import ScriptRunConfig

    if not isinstance(config, RunConfiguration):
        raise errors.UserErrorException(
            f"submit takes a ScriptRunConfig, or a RunConfiguration with source_directory=, not a {type(config).__name__}."
        )
    return ScriptRunConfig(known.pop("source_directory", "."), run_config=config, **known)


def _source_directory(config: Any) -> str:
    directory: str = os.path.abspath(config.source_directory)
    if not os.path.isdir(directory):
        raise errors.RunConfigurationException(f"Source directory {directory} does not exist.")
    return directory


def _what_to_run(config: Any, directory: str) -> Any:
    """(script, command), one of them empty. The script must be in the source directory."""
    if config.command:
        return "", _command(config.command)
    script = config.script
    if not script:
        raise errors.RunConfigurationException(
            "Nothing to run: give ScriptRunConfig a script= inside the source directory, or a command=."
        )
    script = os.fspath(script)
    if os.path.isabs(script):
        script = os.path.relpath(script, directory)
    script = os.path.normpath(script).replace(os.sep, "/")
    if script.startswith("../") or script == "..":
        raise errors.RunConfigurationException(
            f"Script {config.script!r} is outside the source directory {directory}. Only what is inside goes along."
        )
    if not os.path.isfile(os.path.join(directory, *script.split("/"))):
        there = sorted(name for name in os.listdir(directory) if name.endswith(".py"))[:10]
        raise errors.RunConfigurationException(
            f"There is no script {script!r} in {directory}"
            + (f"; it has {', '.join(there)}." if there else ", nor any other .py file.")
        )
    return script, []


def _command(command: Any) -> List[str]:
    """The words of a command. As in v1 its parts, joined by spaces, are one line for a shell.

    A line without anything for a shell to do is started without one.
    """
    line = command if isinstance(command, str) else " ".join(arguments_as_text(command))
    if _FOR_A_SHELL.search(line):
        return ["bash", "-c", line]
    try:
        return shlex.split(line)
    except ValueError as error:
        raise errors.RunConfigurationException(
            f"Command {line!r} can't be split into words: {error}."
        ) from error


def _check_one_process(settings: Any) -> None:
    section, count = _COUNTED.get(settings.communicator, ("", ""))
    processes = getattr(getattr(settings, section, None), count, None) or 1
    if processes > 1 or int(settings.node_count) > 1:
        raise errors.NotYetAvailable(
            f"A run on compute {settings.target!r} is one process on one node; {settings.communicator} with {processes} "
            f"processes on {settings.node_count} nodes needs a cluster, which is not there yet. Start the processes "
            "yourself: command='python -m torch.distributed.run --nproc_per_node=2 train.py', for one."
        )


def arguments_as_text(arguments: Any) -> List[str]:
    """v1's rule: every argument becomes text by `str`; None has no text that a script could use."""
    arguments = argument_list(arguments)
    for position, one in enumerate(arguments):
        if one is None:
            raise errors.RunConfigurationException(
                f"Argument {position + 1} is None ({arguments!r}). Leave it out, or give an empty string."
            )
    return [str(one) for one in arguments]


def _environment(settings: Any, scope: Scope) -> EnvironmentSpec:
    """What the run is executed with. Nobody said: the Python that submits, where the yard is on this machine."""
    is_here = scope.client.is_local
    if settings._environment is not None:
        from modelyard.environments import resolve_interpreter  # runs without an environment need none of it

        spec: EnvironmentSpec = settings._environment.to_spec()
        return resolve_interpreter(spec) or spec if is_here else spec
    return EnvironmentSpec(
        python=PythonSpec(user_managed=True, interpreter_path=sys.executable if is_here else "")
    )


def _duration(given: Any) -> Optional[float]:
    if given is None:
        return None
    try:
        seconds = float(given)
    except (TypeError, ValueError):
        seconds = -1.0
    if not 0 < seconds < math.inf:
        raise errors.RunConfigurationException(
            f"max_run_duration_seconds must be a number above 0, not {given!r}."
        )
    return seconds


def _recorded(settings: Any) -> Dict[str, Any]:
    """The sections of the run configuration that a process on a node does not use, as given."""
    shown = settings.to_yaml()
    kept = (
        "history",
        "spark",
        "docker",
        "hdi",
        "tensorflow",
        "mpi",
        "pytorch",
        "paralleltask",
        "amlcompute",
        "priority",
    )
    return {name: shown[name] for name in kept}


def _git_properties(directory: str) -> Dict[str, str]:
    from modelyard import gitinfo  # starts git, which only submitting does

    return dict(gitinfo.properties(directory))
