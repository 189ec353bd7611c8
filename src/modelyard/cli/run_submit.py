"""modelyard run submit"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import Any

import click

from modelyard.cli.connection import open_workspace
from modelyard.cli.failures import FAILED, Failure
from modelyard.cli.lazy import YardCommand
from modelyard.cli.names import Name, workspace_option
from modelyard.cli.output import moving, print_json, say, waiting, wants_json
from modelyard.cli.values import duration, environment_of, environment_options, interpreter_environment, pairs

_DEFAULT_EXPERIMENT = re.compile(r"[^A-Za-z0-9_-]+")


@click.command(cls=YardCommand, context_settings={"ignore_unknown_options": False})
@click.argument("script", required=False)
@click.argument("arguments", nargs=-1, metavar="[-- ARGUMENTS...]")
@click.option(
    "-e",
    "--experiment",
    type=Name("experiment"),
    help="Experiment. Default: the name of the source directory.",
)
@click.option("--compute", type=Name("compute"), help="Compute target. Default: local.")
@environment_options
@click.option(
    "--source-directory",
    type=click.Path(),
    help="What travels with the run. Default: the script's directory.",
)
@click.option("--config", "config_file", type=click.Path(exists=True), help="A .runconfig file.")
@click.option("--name", help="The name people see.")
@click.option("--tag", "tags", multiple=True, metavar="KEY=VALUE")
@click.option(
    "--env", "variables", multiple=True, metavar="KEY=VALUE", help="Environment variable of the script."
)
@click.option("--max-duration", metavar="TIME", help="End it after 90s, 15m, 2h …")
@click.option("-f", "--follow", is_flag=True, help="Stream its log until it ends; exit code 1 if it fails.")
@click.option("--wait", is_flag=True, help="Wait until it ends, without its log; exit code 1 if it fails.")
@workspace_option
def submit(script: str | None, arguments: tuple[str, ...], **options: Any) -> None:
    """Submit SCRIPT as a run.

    Without an environment the script runs in the Python that runs the yard. What follows -- goes to the script.
    """
    directory, script = _source(script, options["source_directory"], options["config_file"])
    tags = pairs(options["tags"], "--tag")
    workspace = open_workspace(options["workspace"])
    config = _run_config(workspace, directory, script, list(arguments), options)
    from modelyard.experiment import Experiment

    experiment = options["experiment"] or _experiment_name(directory)
    uploaded: list[str] = []
    with moving(workspace._client, "Sending the source directory"):
        run = Experiment(workspace, experiment).submit(config, tags=tags, show_output=uploaded.append)
    for line in uploaded:
        say(line)
    if options["name"]:
        run.display_name = options["name"]
    tell_submitted(run, options["follow"], options["wait"])


def _source(script: str | None, given: str | None, config_file: str | None) -> tuple[str, str | None]:
    """The directory that travels and the script inside it."""
    if script is None:
        if config_file is None:
            raise click.UsageError("name a SCRIPT, or a --config that names one")
        return os.path.abspath(given or "."), None
    if given is not None:
        directory = Path(given).absolute()
        if not directory.is_dir():
            raise click.UsageError(f"--source-directory {given!r} is not a directory")
        inside = directory / script
        if not inside.is_file() and Path(script).is_file():
            inside = Path(script).absolute()  # named from here, as a shell completes it
        if not inside.is_file():
            raise click.UsageError(f"there is no script {script!r} in {directory}")
        try:
            return str(directory), inside.resolve().relative_to(directory.resolve()).as_posix()
        except ValueError:
            raise click.UsageError(f"script {script!r} is outside of {directory}") from None
    path = Path(script)
    if path.is_dir():
        raise click.UsageError(f"{script!r} is a directory; name a script in it")
    if not path.is_file():
        raise click.UsageError(f"there is no script {script!r} here ({os.getcwd()})")
    return str(path.absolute().parent), path.name


def _experiment_name(directory: str) -> str:
    name = _DEFAULT_EXPERIMENT.sub("-", os.path.basename(directory)).strip("-_")
    return name[:36] if len(name) >= 2 else "default"


def _run_config(
    workspace: Any, directory: str, script: str | None, arguments: list[str], options: dict[str, Any]
) -> Any:
    from modelyard.script_run_config import ScriptRunConfig

    variables = pairs(options["variables"], "--env")
    limit_s = duration(options["max_duration"]) if options["max_duration"] else None
    environment = environment_of(
        workspace, options["environment"], options["conda_file"], options["requirements"], options["python"]
    )
    if options["config_file"]:
        from modelyard.runconfig import RunConfiguration

        loaded = RunConfiguration.load(options["config_file"])
        if environment is not None:
            loaded.environment = environment
        config = ScriptRunConfig(directory, script=script, arguments=arguments or None, run_config=loaded)
        environment = loaded.environment
    else:
        if environment is None:
            environment = interpreter_environment("")
        config = ScriptRunConfig(
            directory, script=script, arguments=arguments, environment=environment,
            compute_target=options["compute"] or "local",
        )  # fmt: skip
    if options["config_file"] and options["compute"]:
        config.run_config.target = options["compute"]
    if variables:
        environment.environment_variables = {**(environment.environment_variables or {}), **variables}
    if limit_s is not None:
        config.run_config.max_run_duration_seconds = limit_s
    return config


def tell_submitted(run: Any, follow: bool, wait: bool = False) -> None:
    """Say which run it is; with `follow` stream its log, and fail as it fails."""
    say(f"Submitted run {run.id}")
    if not (follow or wait):
        if wants_json():
            print_json(_info(run))
        else:
            click.echo(run.id)
            say(f"Follow it: modelyard run logs -f {run.id}")
        return
    with waiting(f"Waiting for {run.id}") if not follow else contextlib.nullcontext():
        run.wait_for_completion(show_output=follow and not wants_json(), raise_on_error=False)
    info = _info(run)
    if wants_json():
        print_json(info)
    elif not follow:
        click.echo(run.id)
    status = info.status.value
    if status != "Completed":
        reason = info.error.line or info.error.message if info.error else info.status_reason
        raise Failure(f"Run {run.id} is {status}" + (f": {reason}" if reason else ""), FAILED)
    say(f"Run {run.id} is {status}.")


def _info(run: Any) -> Any:
    from modelyard.cli.connection import ask
    from modelyard.wire.runs import RunInfo

    return ask(run.experiment.workspace, RunInfo, "runs", run.id)
