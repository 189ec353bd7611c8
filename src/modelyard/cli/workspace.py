"""modelyard workspace"""

from __future__ import annotations

import click

from modelyard.cli.connection import client, yard_wide
from modelyard.cli.lazy import YardGroup
from modelyard.cli.names import Name
from modelyard.cli.output import confirm, print_items, print_record, tell_deleted, when
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
