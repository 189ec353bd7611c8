"""modelyard endpoint deploy"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from modelyard.cli.connection import ask, open_workspace
from modelyard.cli.failures import FAILED, Failure
from modelyard.cli.lazy import YardCommand
from modelyard.cli.names import Name, workspace_option
from modelyard.cli.output import moving, print_record, say, waiting, when
from modelyard.cli.values import environment_of, environment_options, name_and_version, pairs

MAX_REPLICAS = 64  # as the yard's own rule


@click.command(cls=YardCommand)
@click.argument("name")
@click.option(
    "-m",
    "--model",
    "models",
    multiple=True,
    type=Name("model"),
    metavar="NAME[:VERSION]",
    help="May be repeated.",
)
@click.option("--entry-script", help="The script with init() and run(data).")
@click.option(
    "--source-directory", type=click.Path(exists=True, file_okay=False), help="What travels with it."
)
@environment_options
@click.option(
    "--replicas", type=click.IntRange(1, MAX_REPLICAS), default=None, help="Scoring processes. Default: 1."
)
@click.option("--auth/--no-auth", default=None, help="Ask callers for a key.")
@click.option("--port", type=click.IntRange(0, 65535), default=None, help="Default: a free one, kept.")
@click.option(
    "--ic", "ic_file", type=click.Path(exists=True, dir_okay=False), help="Inference configuration file."
)
@click.option(
    "--dc", "dc_file", type=click.Path(exists=True, dir_okay=False), help="Deployment configuration file."
)
@click.option("--description", default=None)
@click.option("--tag", "tags", multiple=True, metavar="KEY=VALUE")
@click.option("--overwrite", is_flag=True, help="As a new revision of the service of this name.")
@click.option(
    "--check", is_flag=True, help="First run init(), and run() on a sample, in a service of its own."
)
@click.option(
    "--sample", type=click.Path(exists=True, dir_okay=False), help="With --check: a file with one request."
)
@click.option("--wait/--no-wait", default=True, help="Wait until it is healthy. Default: wait.")
@workspace_option
def deploy(name: str, **options: Any) -> None:
    """Deploy registered models with an entry script as the web service NAME."""
    if options["sample"] and not options["check"]:
        raise click.UsageError("--sample needs --check")
    workspace = open_workspace(options["workspace"])
    models = models_of(workspace, options["models"])
    inference = _inference_config(workspace, options, models)
    deployment = _deployment_config(options)
    if not options["overwrite"]:
        _refuse_taken(workspace, name)
    if options["check"]:
        _check(workspace, name, models, inference, deployment, options["sample"])
    from modelyard.models import Model

    with moving(workspace._client, f"Deploying {name}"):
        service = Model.deploy(
            workspace, name, models, inference_config=inference, deployment_config=deployment,
            overwrite=options["overwrite"],
        )  # fmt: skip
        if options["wait"]:
            wait_for(service, f"{name} was not deployed")
    print_endpoint(info_of(workspace, name))


def _refuse_taken(workspace: Any, name: str) -> None:
    """Before a check costs time: the name may be taken."""
    from modelyard import errors
    from modelyard.cli.failures import REFUSED

    try:
        info_of(workspace, name)
    except errors.AzureMLException as error:
        if error.status == 404:
            return
        raise
    raise Failure(
        f"There is a web service {name!r} already. --overwrite deploys a new revision of it.", REFUSED
    )


def models_of(workspace: Any, given: Sequence[str]) -> list[Any]:
    from modelyard.models import Model

    found = []
    for text in given:
        name, version = name_and_version(text)
        if isinstance(version, str):
            found.append(Model(workspace, name + version))
        else:
            found.append(Model(workspace, name=name, version=version))
    return found


def _inference_config(workspace: Any, options: dict[str, Any], models: list[Any]) -> Any:
    environment = environment_of(
        workspace, options["environment"], options["conda_file"], options["requirements"], options["python"]
    )
    if options["ic_file"]:
        if options["entry_script"] or options["source_directory"]:
            raise click.UsageError("give --ic, or --entry-script with --source-directory")
        from modelyard.endpoints.config_files import read_inference_config

        config = read_inference_config(options["ic_file"], workspace)
        if environment is not None:
            config.environment, config.conda_file = environment, None
        return config
    if not options["entry_script"]:
        if environment is None and len(models) == 1:
            return None  # deployed without code, by the model's framework
        raise click.UsageError("name an --entry-script, or an --ic file that names one")
    from modelyard.endpoints import InferenceConfig

    script, directory = options["entry_script"], options["source_directory"]
    if directory and not Path(directory, script).is_file() and Path(script).is_file():
        script = os.path.relpath(script, directory)  # named from here, as a shell completes it
    where = Path(directory or ".", script)
    if not where.is_file():
        raise click.UsageError(f"there is no entry script {str(where)!r}")
    return InferenceConfig(entry_script=script, source_directory=directory, environment=environment)


def _deployment_config(options: dict[str, Any]) -> Any:
    """What --dc says, and the options over it."""
    from modelyard.endpoints import LocalWebservice
    from modelyard.endpoints.config_files import read_deployment_config

    file = options["dc_file"]
    config = read_deployment_config(file) if file else LocalWebservice.deploy_configuration()
    for option, attribute in (
        ("replicas", "replicas"), ("auth", "auth_enabled"), ("port", "port"), ("description", "description"),
    ):  # fmt: skip
        if options[option] is not None:
            setattr(config, attribute, options[option])
    if options["tags"]:
        config.tags = {**(config.tags or {}), **pairs(options["tags"], "--tag")}
    return config


def _check(
    workspace: Any, name: str, models: list[Any], inference: Any, deployment: Any, sample: str | None
) -> None:
    """Deploy under a name of its own, send the sample, and take it away again."""
    import copy

    from modelyard.models import Model

    trial = f"{name[:24].rstrip('-')}-check-{os.urandom(2).hex()}"
    once = copy.copy(deployment)
    once.port, once.replicas, once.auth_enabled = 0, 1, False
    once.primary_key = once.secondary_key = None
    service = None
    try:
        with waiting(f"Checking {name}: init()"):
            service = Model.deploy(
                workspace, trial, models, inference_config=inference, deployment_config=once
            )
            wait_for(service, f"{name} was not deployed")
        say("init() succeeded.")
        body = Path(sample).read_bytes() if sample else _declared_sample(service)
        if body is None:
            say("No sample: give --sample FILE to check run() too.")
            return
        with waiting(f"Checking {name}: run()"):
            answer = service.run(body)
        say(f"run() answered {str(answer)[:200]}")
    finally:
        if service is not None:
            service.delete()


def _declared_sample(service: Any) -> bytes | None:
    """The example input that inference_schema's decorators put into the service's OpenAPI, if they did."""
    import json
    import urllib.request

    try:
        with urllib.request.urlopen(service.swagger_uri, timeout=10) as answer:  # noqa: S310  # the yard's own word
            document = json.load(answer)
        example = document["components"]["schemas"]["ServiceInput"]["example"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return json.dumps(example).encode()


def wait_for(service: Any, otherwise: str) -> None:
    """Until the newest revision answers; `otherwise` begins the message that says why it does not."""
    from modelyard import errors

    try:
        service.wait_for_deployment(show_output=False)
    except errors.WebserviceException as error:
        raise Failure(f"{otherwise}: {error.message}", FAILED) from error


def info_of(workspace: Any, name: str) -> Any:
    from modelyard.wire.endpoints import EndpointInfo

    return ask(workspace, EndpointInfo, "endpoints", name)


def _requests(telemetry: dict[str, Any]) -> str:
    """`1204 (3 × 500, 1 × 504); latency p50 0.08 ms, p99 1.2 ms`; empty before the first."""
    if not telemetry.get("requests"):
        return ""
    others = [f"{n} × {status}" for status, n in telemetry["statuses"].items() if not status.startswith("2")]
    told = f" ({', '.join(others)})" if others else ""
    latency = telemetry["latency_ms"]
    return f"{telemetry['requests']}{told}; latency p50 {latency['p50']} ms, p99 {latency['p99']} ms"


def print_endpoint(info: Any) -> None:
    error = info.error
    print_record(
        [
            ("endpoint", info.name), ("state", info.state.value), ("reason", info.state_reason),
            ("scoring uri", info.scoring_uri), ("swagger uri", info.swagger_uri), ("models", info.spec.models),
            ("entry script", info.spec.entry_script), ("keys", "on" if info.auth_enabled else "off"),
            ("replicas", f"{info.replicas_ready} of {info.spec.replicas} ready"),
            ("requests", _requests(info.telemetry)),
            ("revision", f"{info.revision}, active {info.active_revision or 'none'}"),
            ("description", info.description), ("tags", info.tags), ("updated", when(info.updated_at)),
            ("failing line", error.line if error else ""),
            ("error", (error.traceback or error.message).rstrip() if error else ""),
        ],
        info,
    )  # fmt: skip
