"""modelyard experiment"""

from __future__ import annotations

from typing import Any

import click

from modelyard.cli.connection import ask, change, open_workspace
from modelyard.cli.lazy import YardGroup
from modelyard.cli.names import Name, workspace_option
from modelyard.cli.output import confirm, print_items, print_record, tell_deleted, when
from modelyard.cli.values import pairs


@click.group(cls=YardGroup)
def experiment() -> None:
    """Experiments: named groups of runs."""


def _print(info: Any) -> None:
    print_record(
        [
            ("name", info.name), ("id", info.id), ("description", info.description), ("runs", info.run_count),
            ("last run", when(info.last_run_at)), ("tags", info.tags), ("created", when(info.created_at)),
            ("archived", when(info.archived_at)),
        ],
        info,
    )  # fmt: skip


def _change(which: str, workspace: str | None, **given: Any) -> None:
    from modelyard.wire.experiments import ExperimentInfo, ExperimentUpdate

    body = ExperimentUpdate(**given)
    _print(change(open_workspace(workspace), "PATCH", ExperimentInfo, body, "experiments", which))


@experiment.command()
@click.argument("name")
@click.option("--description", default="")
@click.option("--tag", "tags", multiple=True, metavar="KEY=VALUE")
@workspace_option
def create(name: str, description: str, tags: tuple[str, ...], workspace: str | None) -> None:
    """Create an experiment, or show the one of this name. `run submit` makes what it needs by itself."""
    from modelyard.wire.experiments import ExperimentCreate, ExperimentInfo

    body = ExperimentCreate(name, pairs(tags, "--tag"), description)
    _print(change(open_workspace(workspace), "POST", ExperimentInfo, body, "experiments"))


@experiment.command("list")
@click.option("--all", "archived_too", is_flag=True, help="Archived ones too.")
@workspace_option
def list_(archived_too: bool, workspace: str | None) -> None:
    """List experiments, those with the latest run first."""
    from modelyard.wire.experiments import ExperimentList

    query = {"view": "all" if archived_too else "active"}
    items = ask(open_workspace(workspace), ExperimentList, "experiments", query=query).items
    items.sort(key=lambda e: e.last_run_at or e.created_at, reverse=True)
    columns = [
        ("NAME", lambda e: e.name), ("RUNS", lambda e: e.run_count), ("LAST RUN", lambda e: when(e.last_run_at)),
        ("TAGS", lambda e: e.tags), ("ARCHIVED", lambda e: when(e.archived_at)),
    ]  # fmt: skip
    print_items(
        items, columns, lambda e: e, "No experiments yet. `modelyard run submit SCRIPT` makes the first."
    )


@experiment.command()
@click.argument("name", type=Name("experiment"))
@workspace_option
def show(name: str, workspace: str | None) -> None:
    """Show an experiment, by name or id."""
    from modelyard.wire.experiments import ExperimentInfo

    _print(ask(open_workspace(workspace), ExperimentInfo, "experiments", name))


@experiment.command()
@click.argument("name", type=Name("experiment"))
@workspace_option
def archive(name: str, workspace: str | None) -> None:
    """Put an experiment away; its runs stay."""
    _change(name, workspace, archived=True)


@experiment.command()
@click.argument("name", type=Name("experiment"))
@click.option("--new-name", help="Bring it back under another name.")
@workspace_option
def reactivate(name: str, new_name: str | None, workspace: str | None) -> None:
    """Bring an archived experiment back."""
    _change(name, workspace, archived=False, name=new_name)


@experiment.command()
@click.argument("name", type=Name("experiment"))
@click.argument("tags", nargs=-1, metavar="KEY=VALUE...")
@click.option("--remove", multiple=True, metavar="KEY", help="Take a tag away.")
@workspace_option
def tag(name: str, tags: tuple[str, ...], remove: tuple[str, ...], workspace: str | None) -> None:
    """Set and remove tags."""
    _change(name, workspace, set_tags=pairs(tags, "tag"), remove_tags=list(remove))


@experiment.command()
@click.argument("name", type=Name("experiment"))
@click.option("--force", is_flag=True, help="Its runs too, all of which must have ended.")
@click.option("--preview", is_flag=True, help="Show what would go, and change nothing.")
@click.option("--purge", is_flag=True, help="For good, at once, and not into the trash.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@workspace_option
def delete(name: str, force: bool, preview: bool, purge: bool, yes: bool, workspace: str | None) -> None:
    """Put an experiment that has no runs into the trash, or with --force its runs too."""
    from modelyard.cli import trash
    from modelyard.wire.experiments import ExperimentInfo

    opened = open_workspace(workspace)
    info = ask(opened, ExperimentInfo, "experiments", name)
    if preview:
        trash.print_preview(opened, [info.id])
        return
    what = f"experiment {info.name!r}" + (f" with {info.run_count} runs" if force else "")
    confirm(f"Delete {what}{' for good' if purge else ''}?", yes)
    opened._client.request(
        "DELETE", opened._path("experiments", info.id), query={"force": True} if force else None
    )
    if purge:
        trash.purge(opened, [info.id])
        return
    tell_deleted("experiment", info.name)
    trash.tell_undo(info.id)
