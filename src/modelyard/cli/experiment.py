"""modelyard experiment"""

from __future__ import annotations

from typing import Any

import click

from modelyard.cli.connection import ask, change, open_workspace
from modelyard.cli.lazy import YardGroup, workspace_option
from modelyard.cli.output import print_items, print_record, say, when
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


@experiment.command("list")
@click.option("--all", "archived_too", is_flag=True, help="Archived ones too.")
@workspace_option
def list_(archived_too: bool, workspace: str | None) -> None:
    """List experiments, those with the latest run first."""
    from modelyard.wire.experiments import ExperimentList

    items = [
        e for e in ask(open_workspace(workspace), ExperimentList, "experiments").items
        if archived_too or e.archived_at is None
    ]  # fmt: skip
    items.sort(key=lambda e: e.last_run_at or e.created_at, reverse=True)
    columns = [
        ("NAME", lambda e: e.name), ("RUNS", lambda e: e.run_count), ("LAST RUN", lambda e: when(e.last_run_at)),
        ("TAGS", lambda e: e.tags), ("ARCHIVED", lambda e: when(e.archived_at)),
    ]  # fmt: skip
    print_items(
        items, columns, lambda e: e, "No experiments yet. `modelyard run submit SCRIPT` makes the first."
    )


@experiment.command()
@click.argument("name")
@workspace_option
def show(name: str, workspace: str | None) -> None:
    """Show an experiment, by name or id."""
    from modelyard.wire.experiments import ExperimentInfo

    _print(ask(open_workspace(workspace), ExperimentInfo, "experiments", name))


@experiment.command()
@click.argument("name")
@workspace_option
def archive(name: str, workspace: str | None) -> None:
    """Put an experiment away; its runs stay."""
    _change(name, workspace, archived=True)


@experiment.command()
@click.argument("name")
@click.option("--new-name", help="Bring it back under another name.")
@workspace_option
def reactivate(name: str, new_name: str | None, workspace: str | None) -> None:
    """Bring an archived experiment back."""
    _change(name, workspace, archived=False, name=new_name)


@experiment.command()
@click.argument("name")
@click.argument("tags", nargs=-1, metavar="KEY=VALUE...")
@click.option("--remove", multiple=True, metavar="KEY", help="Take a tag away.")
@workspace_option
def tag(name: str, tags: tuple[str, ...], remove: tuple[str, ...], workspace: str | None) -> None:
    """Set and remove tags."""
    _change(name, workspace, set_tags=pairs(tags, "tag"), remove_tags=list(remove))


@experiment.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@workspace_option
def delete(name: str, yes: bool, workspace: str | None) -> None:
    """Delete an experiment that has no runs."""
    opened = open_workspace(workspace)
    if not yes:
        click.confirm(f"Delete experiment {name!r}?", abort=True, err=True)
    change(opened, "DELETE", None, None, "experiments", name)
    say(f"Deleted experiment {name}.")
