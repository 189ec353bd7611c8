"""Starts a run's script: its command, its environment variables, and its place in the process tree."""

from __future__ import annotations

import os
import shutil
import subprocess
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from modelyard.activation import activated
from modelyard.node import processes
from modelyard.node.records import RunDir
from modelyard.wire.compute import RunAssignment


@dataclass(frozen=True)
class Prepared:
    """What preparation found out and the run host needs; `prepared.json`."""

    interpreter: str
    sdk: str  # the directory that goes first on PYTHONPATH
    variables: dict[str, str] = field(default_factory=dict)
    lock: list[str] = field(default_factory=list)
    python_version: str = ""
    content_hash: str = ""
    notes: list[str] = field(default_factory=list)


class CannotStart(Exception):
    """The script or command can't be started; the message is for the person who submitted it."""


def mark(directory: RunDir) -> str:
    """What every process of the run has in its environment, `NAME=value`."""
    return f"MODELYARD_JOURNAL_DIR={directory.journal}"


def start(
    directory: RunDir, assignment: RunAssignment, prepared: Prepared, url: str
) -> subprocess.Popen[bytes]:
    """Start the script in a session of its own, writing to the run's log file. Raises CannotStart."""
    code = directory.code
    for folder in (directory.user_logs, directory.journal, code / "outputs", code / "logs"):
        folder.mkdir(parents=True, exist_ok=True)
    environment = variables(directory, assignment, prepared, url, os.environ)
    command = _command(assignment, prepared, code, environment["PATH"])
    log = os.open(directory.std_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        return subprocess.Popen(
            command,
            cwd=code,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            # Safe here: the script is started before this process has a second thread.
            preexec_fn=processes.die_with_parent,  # noqa: PLW1509
        )
    except (OSError, subprocess.SubprocessError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise CannotStart(f"{command[0]!r} can't be started: {reason}.") from error
    finally:
        os.close(log)


def variables(
    directory: RunDir, assignment: RunAssignment, prepared: Prepared, url: str, base: Mapping[str, str]
) -> dict[str, str]:
    """The script's environment: this machine's, under the environment's, under the run's, under ours."""
    merged = activated(prepared.interpreter, base)
    merged["PYTHONUNBUFFERED"] = "1"  # what the script prints is seen when it prints it
    merged.update(prepared.variables)
    merged.update(assignment.spec.variables)
    merged["PYTHONPATH"] = os.pathsep.join(p for p in (prepared.sdk, merged.get("PYTHONPATH", "")) if p)
    code = str(directory.code)
    chosen = {**prepared.variables, **assignment.spec.variables}
    if (
        "MLFLOW_TRACKING_URI" not in chosen
    ):  # else the script's MLflow is somebody else's, who gets no token of ours
        merged.update(_mlflow_variables(assignment, url))
    merged.update(
        {
            "AZUREML_ARM_SUBSCRIPTION": "",
            "AZUREML_ARM_RESOURCEGROUP": "",
            "AZUREML_ARM_WORKSPACE_NAME": assignment.workspace,
            "AZUREML_ARM_PROJECT_NAME": assignment.experiment,
            "AZUREML_EXPERIMENT_ID": assignment.experiment_id,
            "AZUREML_WORKSPACE_ID": assignment.workspace_id,
            **assignment.variables,
            "AZUREML_RUN_ID": assignment.run_id,
            "AZUREML_RUN_TOKEN": assignment.token,
            "AZUREML_SERVICE_ENDPOINT": url,
            "AZUREML_OUTPUT_DIRECTORY": os.path.join(code, "outputs"),
            "AZUREML_LOGDIRECTORY_PATH": os.path.join(code, "logs"),
            "MODELYARD_JOURNAL_DIR": str(directory.journal),
            "MODELYARD_ROOT_RUN_ID": assignment.root_id,
        }
    )
    return {k: v for k, v in merged.items() if "\0" not in v and k and "=" not in k}


def _mlflow_variables(assignment: RunAssignment, url: str) -> dict[str, str]:
    """By which `mlflow.start_run()` in the script goes on with this run."""
    return {
        "MLFLOW_TRACKING_URI": f"{url}/mlflow/{urllib.parse.quote(assignment.workspace, safe='')}",
        "MLFLOW_TRACKING_TOKEN": assignment.token,
        "MLFLOW_RUN_ID": assignment.run_id,
        "MLFLOW_EXPERIMENT_ID": assignment.experiment_id,
    }


def _command(assignment: RunAssignment, prepared: Prepared, code: Path, path: str) -> list[str]:
    spec = assignment.spec
    if spec.command:
        program = spec.command[0]
        if program in ("python", "python3"):
            return [prepared.interpreter, *spec.command[1:]]
        if os.sep in program:
            found = str(code / program) if (code / program).exists() else shutil.which(program)
        else:
            found = shutil.which(program, path=path)
        if found is None:
            raise CannotStart(
                f"Command {program!r} was found neither in the environment nor on this machine's PATH."
            )
        return [found, *spec.command[1:]]
    if not (code / spec.script).is_file():
        there = sorted(p.name for p in code.iterdir() if p.name not in ("outputs", "logs"))
        listing = ", ".join(there[:10]) + (" …" if len(there) > 10 else "") if there else "nothing"
        raise CannotStart(
            f"Script {spec.script!r} is not in the run's source directory, which holds: {listing}."
        )
    script = f"./{spec.script}" if spec.script.startswith("-") else spec.script  # else an option of Python's
    return [prepared.interpreter, script, *spec.arguments]
