"""modelyard endpoint"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from modelyard.cli import endpoint_deploy
from modelyard.cli.connection import ask, change, open_workspace
from modelyard.cli.lazy import YardGroup
from modelyard.cli.names import Name, workspace_option
from modelyard.cli.output import (
    confirm,
    print_items,
    print_json,
    print_record,
    tell_deleted,
    waiting,
    wants_json,
    when,
)
from modelyard.cli.values import pairs

_WAIT_S = 20  # that the yard waits for a new line before it answers that there is none


@click.group(cls=YardGroup)
def endpoint() -> None:
    """Web services: deploy a model and score with it."""


endpoint.add_command(endpoint_deploy.deploy)


@endpoint.command("list")
@workspace_option
def list_(workspace: str | None) -> None:
    """List web services."""
    from modelyard.wire.endpoints import EndpointList

    columns = [
        ("ENDPOINT", lambda e: e.name), ("STATE", lambda e: e.state.value), ("MODELS", lambda e: e.spec.models),
        ("REPLICAS", lambda e: f"{e.replicas_ready}/{e.spec.replicas}"), ("KEYS", lambda e: e.auth_enabled),
        ("SCORING URI", lambda e: e.scoring_uri), ("UPDATED", lambda e: when(e.updated_at)),
    ]  # fmt: skip
    items = ask(open_workspace(workspace), EndpointList, "endpoints").items
    print_items(items, columns, lambda e: e, "No web services yet. `modelyard endpoint deploy` makes one.")


@endpoint.command()
@click.argument("name", type=Name("endpoint"))
@workspace_option
def show(name: str, workspace: str | None) -> None:
    """Show a web service."""
    endpoint_deploy.print_endpoint(endpoint_deploy.info_of(open_workspace(workspace), name))


@endpoint.command()
@click.argument("name", type=Name("endpoint"))
@click.option("--data", help="The request body; '-' reads it from stdin.")
@click.option(
    "--file", "file", type=click.Path(exists=True, dir_okay=False), help="A file with the request body."
)
@workspace_option
def score(name: str, data: str | None, file: str | None, workspace: str | None) -> None:
    """Send one scoring request and print the answer."""
    if (data is None) == (file is None):
        raise click.UsageError("give --data or --file")
    body = (
        Path(file).read_bytes() if file else sys.stdin.buffer.read() if data == "-" else (data or "").encode()
    )
    from modelyard.endpoints import Webservice

    opened = open_workspace(workspace)
    endpoint_deploy.info_of(opened, name)
    service = Webservice(opened, name)
    answer = service.run(body)
    # The service's answer is what was asked for, so it goes out as it came, with or without --output json.
    if isinstance(answer, bytes):
        click.echo(answer, nl=False)
    else:
        click.echo(answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False))


@endpoint.command()
@click.argument("name", type=Name("endpoint"))
@click.option("--lines", type=click.IntRange(1, 100_000), default=1000, show_default=True)
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until interrupted.")
@workspace_option
def logs(name: str, lines: int, follow: bool, workspace: str | None) -> None:
    """Print the last lines of a web service's log, and go on with --follow until interrupted."""
    if follow and wants_json():
        raise click.UsageError("--follow prints the log as it comes; leave it or --output json out")
    opened = open_workspace(workspace)
    path = opened._path("endpoints", name, "logs")
    answer = opened._client.raw("GET", path, query={"lines": lines})
    text = answer.body.decode("utf-8", "replace")
    if wants_json():
        print_json({"endpoint": name, "log": text})
        return
    if not follow:
        click.echo(text, nl=not text.endswith("\n"))
        return
    while True:
        sys.stdout.buffer.write(answer.body)
        sys.stdout.buffer.flush()
        query = {"offset": answer.headers["x-log-offset"], "wait_s": _WAIT_S}
        answer = opened._client.raw("GET", path, query=query, timeout_s=_WAIT_S + 30)


@endpoint.command()
@click.argument("name", type=Name("endpoint"))
@click.option("--regenerate", type=click.Choice(["primary", "secondary"]), help="Replace this key first.")
@click.option("--value", default="", help="With --regenerate: this one instead of a random one.")
@workspace_option
def keys(name: str, regenerate: str | None, value: str, workspace: str | None) -> None:
    """Print the keys of a web service."""
    from modelyard.wire.endpoints import EndpointKeys, KeyRegenerate

    opened = open_workspace(workspace)
    if value and not regenerate:
        raise click.UsageError("--value needs --regenerate")
    if regenerate:
        found = change(
            opened, "POST", EndpointKeys, KeyRegenerate(regenerate, value), "endpoints", name, "keys"
        )
    else:
        found = ask(opened, EndpointKeys, "endpoints", name, "keys")
    print_record([("primary", found.primary), ("secondary", found.secondary)], found)


@endpoint.command()
@click.argument("name", type=Name("endpoint"))
@click.option(
    "--model",
    "models",
    multiple=True,
    type=Name("model"),
    metavar="NAME[:VERSION]",
    help="Serve these instead.",
)
@click.option("--replicas", type=click.IntRange(1, endpoint_deploy.MAX_REPLICAS))
@click.option("--auth/--no-auth", default=None, help="Turn keys on or off.")
@click.option("--reload", is_flag=True, help="Start the scoring processes anew, without dropping a request.")
@click.option("--description")
@click.option("--tag", "tags", multiple=True, metavar="KEY=VALUE")
@click.option("--remove-tag", multiple=True, metavar="KEY")
@workspace_option
def update(
    name: str, models: tuple[str, ...], replicas: int | None, auth: bool | None, reload: bool,
    description: str | None, tags: tuple[str, ...], remove_tag: tuple[str, ...], workspace: str | None,
) -> None:  # fmt: skip
    """Change a web service; the new revision takes over when it is healthy. New code: endpoint deploy --overwrite."""
    import dataclasses

    from modelyard.endpoints import Webservice
    from modelyard.wire.endpoints import EndpointInfo, EndpointUpdate

    if not (
        models or replicas or auth is not None or reload or description is not None or tags or remove_tag
    ):
        raise click.UsageError("say what to change")
    opened = open_workspace(workspace)
    info = endpoint_deploy.info_of(opened, name)
    changed: dict[str, Any] = {}
    if models:
        changed["models"] = [m.id for m in endpoint_deploy.models_of(opened, models)]
    if replicas is not None:
        changed["replicas"] = replicas
    body = EndpointUpdate(
        spec=dataclasses.replace(info.spec, **changed) if changed else None, reload=reload, auth_enabled=auth,
        description=description, set_tags=pairs(tags, "--tag"), remove_tags=list(remove_tag),
    )  # fmt: skip
    change(opened, "PATCH", EndpointInfo, body, "endpoints", name)
    if body.spec is not None or reload or auth is not None:
        with waiting(f"Updating {name}"):
            endpoint_deploy.wait_for(Webservice(opened, name), f"{name} was not updated")
    endpoint_deploy.print_endpoint(endpoint_deploy.info_of(opened, name))


@endpoint.command()
@click.argument("name", type=Name("endpoint"))
@click.option("--yes", is_flag=True, help="Do not ask.")
@workspace_option
def delete(name: str, yes: bool, workspace: str | None) -> None:
    """Delete a web service; its processes end."""
    opened = open_workspace(workspace)
    endpoint_deploy.info_of(opened, name)
    confirm(f"Delete web service {name!r}?", yes)
    change(opened, "DELETE", None, None, "endpoints", name)
    tell_deleted("endpoint", name)
