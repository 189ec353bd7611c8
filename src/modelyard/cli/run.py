"""modelyard run: submit, and everything that is asked about runs afterwards."""

from __future__ import annotations

from typing import Any

import click

from modelyard.cli import run_compare, run_files, run_list, run_metrics, run_submit
from modelyard.cli.connection import ask, change, open_workspace
from modelyard.cli.lazy import YardGroup
from modelyard.cli.names import Name, workspace_option
from modelyard.cli.output import confirm, print_items, print_record, tell_deleted, when
from modelyard.cli.run_list import COLUMNS, took
from modelyard.cli.values import pairs


@click.group(cls=YardGroup)
def run() -> None:
    """Runs: submit a script, follow it, read what it left."""


run.add_command(run_submit.submit)
run.add_command(run_list.list_)
run.add_command(run_compare.compare)
run.add_command(run_metrics.metrics)
for _command in (run_files.logs, run_files.files, run_files.download, run_files.snapshot):
    run.add_command(_command)


def info_of(workspace: Any, run_id: str) -> Any:
    from modelyard.wire.runs import RunInfo

    return ask(workspace, RunInfo, "runs", run_id)


@run.command()
@click.argument("run_id", type=Name("run"))
@workspace_option
def show(run_id: str, workspace: str | None) -> None:
    """Show a run: what was asked for, what became of it."""
    print_run(info_of(open_workspace(workspace), run_id))


def print_run(info: Any) -> None:
    spec, error = info.spec, info.error
    asked = ""
    if spec is not None:
        asked = " ".join(spec.command or [spec.script, *spec.arguments])
    print_record(
        [
            ("run", info.id), ("name", info.display_name), ("experiment", f"{info.experiment} (nr {info.number})"),
            ("status", info.status.value), ("reason", info.status_reason), ("description", info.description),
            ("script", asked), ("target", spec.target if spec else ""), ("parent", info.parent_id),
            ("children", info.child_count or ""), ("user", info.user), ("node", info.node),
            ("created", when(info.created_at)), ("started", when(info.started_at)), ("ended", when(info.ended_at)),
            ("synced", when(info.synced_at)),
            ("archived", when(info.archived_at)),
            ("took", took(info)), ("exit code", info.exit_code), ("failing line", error.line if error else ""),
            ("error", (error.traceback or error.message).rstrip() if error else ""),
            ("warnings", "\n".join(info.warnings)), ("params", info.params), ("tags", info.tags),
            ("properties", "\n".join(f"{k}={v.splitlines()[0] if v else ''}" for k, v in info.properties.items())),
            ("snapshot", info.snapshot_id), ("environment", info.environment_hash),
            ("packages", len(info.environment_lock) or ""),
        ],
        info,
    )  # fmt: skip


@run.command()
@click.argument("run_id", type=Name("run"))
@workspace_option
def cancel(run_id: str, workspace: str | None) -> None:
    """Ask a run to stop: SIGTERM, a grace, then SIGKILL to all of its processes."""
    opened = open_workspace(workspace)
    opened.get_run(run_id).cancel()
    info = info_of(opened, run_id)
    print_record([("run", info.id), ("status", info.status.value)], info)


@run.command()
@click.argument("run_id", type=Name("run"))
@click.option("-f", "--follow", is_flag=True, help="Stream its log; exit code 1 if it fails.")
@workspace_option
def rerun(run_id: str, follow: bool, workspace: str | None) -> None:
    """Repeat a run from its record: snapshot, environment lock, arguments."""
    from modelyard.wire.runs import RunInfo

    opened = open_workspace(workspace)
    info = change(opened, "POST", RunInfo, None, "runs", run_id, "rerun")
    run_submit.tell_submitted(opened.get_run(info.id), follow)


@run.command()
@click.argument("run_id", type=Name("run"))
@click.argument("tags", nargs=-1, metavar="KEY=VALUE...")
@click.option("--remove", multiple=True, metavar="KEY", help="Take a tag away.")
@click.option("--name", help="Set the name people see.")
@click.option("--description", help="Set the description.")
@workspace_option
def tag(
    run_id: str, tags: tuple[str, ...], remove: tuple[str, ...], name: str | None, description: str | None,
    workspace: str | None,
) -> None:  # fmt: skip
    """Set and remove tags, name and description of a run."""
    from modelyard.wire.runs import RunInfo, RunUpdate

    body = RunUpdate(
        set_tags=pairs(tags, "tag"), remove_tags=list(remove), display_name=name, description=description
    )
    print_run(change(open_workspace(workspace), "PATCH", RunInfo, body, "runs", run_id))


@run.command()
@click.argument("run_ids", nargs=-1, required=True, metavar="RUN_ID...", type=Name("run"))
@click.option("--preview", is_flag=True, help="Show what would go, and change nothing.")
@click.option("--purge", is_flag=True, help="For good, at once, and not into the trash.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@workspace_option
def delete(run_ids: tuple[str, ...], preview: bool, purge: bool, yes: bool, workspace: str | None) -> None:
    """Put ended runs, with the runs below them, into the trash."""
    from modelyard.cli import trash

    opened = open_workspace(workspace)
    if preview:
        trash.print_preview(opened, run_ids)
        return
    for run_id in run_ids:
        info_of(opened, run_id)  # all of them are there before the first is gone
    confirm(f"Delete {', '.join(run_ids)}{' for good' if purge else ''}?", yes)
    for run_id in run_ids:
        change(opened, "DELETE", None, None, "runs", run_id)
    if purge:
        trash.purge(opened, run_ids)
        return
    tell_deleted("run", *run_ids)
    trash.tell_undo(*run_ids)


@run.command()
@click.argument("run_ids", nargs=-1, required=True, metavar="RUN_ID...", type=Name("run"))
@workspace_option
def archive(run_ids: tuple[str, ...], workspace: str | None) -> None:
    """Put runs, with the runs below them, away: out of lists, with everything kept."""
    _archive(run_ids, True, workspace)


@run.command()
@click.argument("run_ids", nargs=-1, required=True, metavar="RUN_ID...", type=Name("run"))
@workspace_option
def reactivate(run_ids: tuple[str, ...], workspace: str | None) -> None:
    """Bring archived runs back."""
    _archive(run_ids, False, workspace)


def _archive(run_ids: tuple[str, ...], archived: bool, workspace: str | None) -> None:
    from modelyard.wire.runs import RunInfo, RunUpdate

    opened = open_workspace(workspace)
    body = RunUpdate(archived=archived)
    infos = [change(opened, "PATCH", RunInfo, body, "runs", run_id) for run_id in run_ids]
    print_items(infos, COLUMNS, lambda r: r, "No runs.")


@run.command()
@click.argument("run_id", type=Name("run"))
@click.option("--recursive", is_flag=True, help="Their children too.")
@workspace_option
def children(run_id: str, recursive: bool, workspace: str | None) -> None:
    """List the child runs of a run."""
    from modelyard.wire.runs import RunList

    query = {"recursive": True} if recursive else None
    items = ask(open_workspace(workspace), RunList, "runs", run_id, "children", query=query).items
    print_items(items, COLUMNS, lambda r: r, f"Run {run_id} has no child runs.")
