"""modelyard environment"""

from __future__ import annotations

import sys
from typing import Any

import click

from modelyard.cli.connection import ask, change, open_workspace, yard_wide
from modelyard.cli.lazy import YardGroup
from modelyard.cli.names import Name, workspace_option
from modelyard.cli.output import print_items, print_record, seconds, wants_json, when
from modelyard.cli.values import environment_of, pairs


@click.group(cls=YardGroup)
def environment() -> None:
    """Environments: what a run or a web service needs to be installed."""


def _kind(spec: Any) -> str:
    if spec.python.user_managed:
        return f"user-managed ({spec.python.interpreter_path or 'the yard’s Python'})"
    return "pip" if _pip_alone(spec) is not None else "conda"


def _pip_alone(spec: Any) -> list[str] | None:
    """The requirements of an environment that pip alone fills; None where conda packages are named too."""
    conda = spec.python.conda
    if conda is None:
        return list(spec.python.requirements or [])
    parts = conda.get("dependencies") or []
    if any(not isinstance(p, dict) for p in parts):
        return None
    return [line for p in parts for line in p.get("pip", [])]


def _conda_lines(spec: Any) -> str:
    """One package a line, those of pip under a line of its own, as the file has them."""
    if _pip_alone(spec) is not None:
        return ""
    lines: list[str] = []
    for part in spec.python.conda.get("dependencies") or []:
        lines += [part] if isinstance(part, str) else ["pip:", *(f"  {line}" for line in part.get("pip", []))]
    return "\n".join(lines)


def _created(info: Any) -> str:
    return when(info.created_at) if info.created_at else "comes with the yard"


def _print(info: Any) -> None:
    print_record(
        [
            ("name", info.spec.name), ("version", info.spec.version), ("kind", _kind(info.spec)),
            ("conda", _conda_lines(info.spec)), ("requirements", "\n".join(_pip_alone(info.spec) or [])),
            ("variables", info.spec.variables), ("content hash", info.content_hash),
            ("created", _created(info)),
        ],
        info,
    )  # fmt: skip


@environment.command("list")
@workspace_option
def list_(workspace: str | None) -> None:
    """List registered environments."""
    from modelyard.wire.environments import EnvironmentList

    columns = [
        ("NAME", lambda e: e.spec.name), ("VERSION", lambda e: e.spec.version), ("KIND", lambda e: _kind(e.spec)),
        ("CREATED", _created),
    ]  # fmt: skip
    items = ask(open_workspace(workspace), EnvironmentList, "environments").items
    print_items(
        items, columns, lambda e: e, "No environments yet. `modelyard environment register` adds one."
    )


@environment.command()
@click.argument("name", metavar="NAME[:VERSION]", type=Name("environment"))
@workspace_option
def show(name: str, workspace: str | None) -> None:
    """Show a registered environment."""
    from modelyard.wire.environments import EnvironmentInfo

    name, _, version = name.partition(":")
    query = {"version": version} if version else None
    _print(ask(open_workspace(workspace), EnvironmentInfo, "environments", name, query=query))


@environment.command()
@click.argument("name")
@click.option("--conda-file", type=click.Path(exists=True, dir_okay=False), help="conda specification.")
@click.option("--requirements", type=click.Path(exists=True, dir_okay=False), help="pip requirements.")
@click.option("--python", metavar="PATH", help="An interpreter on the yard's machine, used as it is.")
@click.option("--env", "variables", multiple=True, metavar="KEY=VALUE", help="Environment variable.")
@workspace_option
def register(name: str, workspace: str | None, variables: tuple[str, ...], **given: Any) -> None:
    """Register an environment; the same content again is the same version."""
    import dataclasses

    from modelyard.wire.environments import EnvironmentInfo

    opened = open_workspace(workspace)
    made = environment_of(opened, None, **given)
    if made is None:
        raise click.UsageError("give one of --conda-file, --requirements and --python")
    spec = dataclasses.replace(made.to_spec(), name=name, variables=pairs(variables, "--env"))
    _print(change(opened, "POST", EnvironmentInfo, spec, "environments"))


@environment.command()
def builds() -> None:
    """List the environments that were built on this yard's nodes."""
    from modelyard.wire.environments import BuildList

    columns = [
        ("HASH", lambda b: b.content_hash[:12]), ("STATUS", lambda b: b.status.value),
        ("PYTHON", lambda b: b.python_version), ("PACKAGES", lambda b: len(b.lock)), ("NODE", lambda b: b.node),
        ("STARTED", lambda b: when(b.started_at)),
        ("TOOK", lambda b: seconds(b.finished_at - b.started_at) if b.finished_at else ""),
    ]  # fmt: skip
    print_items(yard_wide(BuildList, "environments", "builds").items, columns, lambda b: b, "No builds yet.")


@environment.command()
@click.argument("content_hash")
@click.option("-f", "--follow", is_flag=True, help="Go on until the build ends.")
def log(content_hash: str, follow: bool) -> None:
    """Print the log of a build; the first characters of its hash are enough."""
    from modelyard._client import path
    from modelyard.cli.connection import client
    from modelyard.cli.failures import NOT_FOUND, Failure
    from modelyard.wire.environments import BuildList

    known = [b.content_hash for b in yard_wide(BuildList, "environments", "builds").items]
    matching = sorted({h for h in known if h.startswith(content_hash)})
    if len(matching) != 1:
        raise Failure(f"{len(matching) or 'no'} builds begin with {content_hash!r}", NOT_FOUND)
    yard, offset, text = client(), 0, b""
    while True:
        query = {"offset": offset, "wait_s": 20 if follow and offset else 0}
        answer = yard.raw("GET", path("environments", "builds", matching[0], "log"), query=query)
        offset = int(answer.headers.get("x-log-offset", offset + len(answer.body)))
        text += answer.body if wants_json() else b""
        if not wants_json():
            sys.stdout.write(answer.body.decode("utf-8", "replace"))
            sys.stdout.flush()
        is_over = answer.headers.get("x-log-complete", "1") == "1"
        if (is_over or not follow) and not answer.body:
            break
    if wants_json():
        print_record([], {"content_hash": matching[0], "log": text.decode("utf-8", "replace")})
