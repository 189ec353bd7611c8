"""modelyard compute"""

from __future__ import annotations

import click

from modelyard.cli.connection import ask, open_workspace
from modelyard.cli.lazy import YardGroup
from modelyard.cli.names import Name, workspace_option
from modelyard.cli.output import print_items, print_record


@click.group(cls=YardGroup)
def compute() -> None:
    """Compute targets: where runs and services run."""


@compute.command("list")
@workspace_option
def list_(workspace: str | None) -> None:
    """List compute targets."""
    from modelyard.wire.compute import ComputeTargetList

    columns = [
        ("NAME", lambda c: c.name), ("TYPE", lambda c: c.type), ("STATE", lambda c: c.state),
        ("BUSY", lambda c: f"{c.slots_busy}/{c.slots}"), ("QUEUED", lambda c: c.queued),
    ]  # fmt: skip
    items = ask(open_workspace(workspace), ComputeTargetList, "computes").items
    print_items(items, columns, lambda c: c, "No compute targets.")


@compute.command()
@click.argument("name", type=Name("compute"))
@workspace_option
def show(name: str, workspace: str | None) -> None:
    """Show a compute target."""
    from modelyard.wire.compute import ComputeTargetInfo

    info = ask(open_workspace(workspace), ComputeTargetInfo, "computes", name)
    print_record(
        [
            ("name", info.name), ("type", info.type), ("state", info.state), ("slots", info.slots),
            ("busy", info.slots_busy), ("queued", info.queued), ("nodes", info.nodes),
            ("description", info.description),
        ],
        info,
    )  # fmt: skip
