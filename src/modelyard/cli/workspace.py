"""modelyard workspace"""

from __future__ import annotations

import os

import click

from modelyard.cli.connection import client, yard_wide
from modelyard.cli.lazy import YardGroup
from modelyard.cli.names import Name
from modelyard.cli.output import (
    confirm,
    moving,
    print_items,
    print_json,
    print_record,
    say,
    size,
    tell_deleted,
    wants_json,
    when,
)
from modelyard.cli.transfer import tell_import
from modelyard.cli.values import pairs


@click.group(cls=YardGroup)
def workspace() -> None:
    """Workspaces: the top of everything."""


def _fields(info: object) -> list[tuple[str, object]]:
    from modelyard.wire.workspaces import WorkspaceInfo

    assert isinstance(info, WorkspaceInfo)
    return [
        ("name", info.name), ("id", info.id), ("friendly name", info.friendly_name), ("description", info.description),
        ("subscription", info.subscription_id), ("resource group", info.resource_group),
        ("location", info.location), ("tags", info.tags), ("created", when(info.created_at)),
    ]  # fmt: skip


@workspace.command()
@click.argument("name")
@click.option("--subscription-id", default="", help="A label, kept as v1 code expects it.")
@click.option("--resource-group", default="", help="A label, kept as v1 code expects it.")
@click.option("--location", default="", help="A label.")
@click.option("--friendly-name", default="")
@click.option("--description", default="")
@click.option("--tag", "tags", multiple=True, metavar="KEY=VALUE")
@click.option("--exist-ok", is_flag=True, help="Answer the workspace of this name if there is one.")
def create(tags: tuple[str, ...], **given: object) -> None:
    """Create a workspace."""
    from modelyard._client import path
    from modelyard.wire.workspaces import WorkspaceCreate, WorkspaceInfo

    body = WorkspaceCreate(tags=pairs(tags, "--tag"), **given)  # type: ignore[arg-type]  # click has typed them
    info = client().request("POST", path("workspaces"), body, kind=WorkspaceInfo)
    print_record(_fields(info), info)


@workspace.command("list")
def list_() -> None:
    """List workspaces."""
    from modelyard.wire.workspaces import WorkspaceList

    items = yard_wide(WorkspaceList, "workspaces").items
    columns = [
        ("NAME", lambda w: w.name), ("RESOURCE GROUP", lambda w: w.resource_group),
        ("CREATED", lambda w: when(w.created_at)), ("TAGS", lambda w: w.tags),
    ]  # fmt: skip
    print_items(items, columns, lambda w: w, "No workspaces.")


@workspace.command()
@click.argument("name", type=Name("workspace"))
def show(name: str) -> None:
    """Show a workspace."""
    from modelyard.wire.workspaces import WorkspaceInfo

    info = yard_wide(WorkspaceInfo, "workspaces", name)
    print_record(_fields(info), info)


@workspace.command()
@click.argument("name", type=Name("workspace"))
@click.option("--friendly-name")
@click.option("--description")
@click.option("--tag", "tags", multiple=True, metavar="KEY=VALUE", help="Set a tag.")
@click.option("--remove-tag", multiple=True, metavar="KEY")
def update(
    name: str, friendly_name: str | None, description: str | None, tags: tuple[str, ...], remove_tag: tuple[str, ...]
) -> None:  # fmt: skip
    """Change the friendly name, description and tags of a workspace."""
    from modelyard._client import path
    from modelyard.wire.workspaces import WorkspaceInfo, WorkspaceUpdate

    kept = yard_wide(WorkspaceInfo, "workspaces", name).tags
    changed = {k: v for k, v in {**kept, **pairs(tags, "--tag")}.items() if k not in remove_tag}
    body = WorkspaceUpdate(friendly_name, description, changed if changed != kept else None)
    info = client().request("PATCH", path("workspaces", name), body, kind=WorkspaceInfo)
    print_record(_fields(info), info)


@workspace.command()
@click.argument("name", type=Name("workspace"))
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete(name: str, yes: bool) -> None:
    """Delete a workspace with everything in it."""
    from modelyard.wire.workspaces import WorkspaceInfo
    from modelyard.workspace import Workspace

    yard_wide(WorkspaceInfo, "workspaces", name)
    confirm(f"Delete workspace {name!r} with all its runs, models and endpoints?", yes)
    Workspace._named(name, client()).delete()
    tell_deleted("workspace", name)


@workspace.command()
@click.argument("name", type=Name("workspace"))
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("--experiment", "experiments", multiple=True, help="Only this experiment; may be repeated.")
@click.option(
    "--run", "--runs", "runs", multiple=True, help="Only this run and those below it; may be repeated."
)
@click.option("--no-files", is_flag=True, help="Leave all bytes out: files, logs, snapshots, models.")
@click.option("--overwrite", is_flag=True, help="Replace FILE if it is there.")
def export(
    name: str, file: str, experiments: tuple[str, ...], runs: tuple[str, ...], no_files: bool, overwrite: bool
) -> None:
    """Write a workspace to one FILE: runs, metrics, files, models and the rest, but no keys and no tokens."""
    from modelyard.workspace import Workspace

    if os.path.exists(file) and not overwrite:
        raise click.UsageError(f"{file} exists already; --overwrite replaces it")
    opened = Workspace._named(name, client())
    with moving(opened._client, f"Exporting {name}"):
        bytes_ = opened.export(file, list(experiments), list(runs), files=not no_files)
    if wants_json():
        print_json({"file": os.path.abspath(file), "bytes": bytes_})
        return
    say(f"Exported workspace {name} to {file} ({size(bytes_)}).")


@workspace.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.option("--as", "as_", metavar="NAME", help="The name of the new workspace. Default: the one it had.")
@click.option("--into", metavar="NAME", help="Bring it into this workspace, which is there.")
@click.option(
    "--merge",
    type=click.Choice(["skip", "replace", "fail", "rename"]),
    default="fail",
    show_default=True,
    help="What becomes of a run, model, … that is there with other content.",
)
@click.option("--preview", is_flag=True, help="Only tell what would become of it.")
def import_(file: str, as_: str | None, into: str | None, merge: str, preview: bool) -> None:
    """Make a workspace of an exported FILE, or bring it into one that is there."""
    from modelyard.transfer import send

    if as_ and into:
        raise click.UsageError("give either --as or --into")
    yard = client()
    with moving(yard, f"Importing {file}", os.path.getsize(file)):
        report = send(yard, file, into or as_ or "", bool(into), merge, preview)
    tell_import(report)
