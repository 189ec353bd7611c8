"""modelyard sync: send runs that were kept offline."""

from __future__ import annotations

import time
from typing import Any

import click

from modelyard.cli.failures import FAILED, Failure
from modelyard.cli.lazy import YardCommand
from modelyard.cli.names import workspace_option
from modelyard.cli.output import counted, moving, print_items, print_json, say, size, wants_json, when

_FOLLOW_S = 1.0
_PATIENCE_S = 60.0  # a yard that restarts does not break off a sync


@click.command(cls=YardCommand)
@click.argument("directories", nargs=-1, metavar="[DIR]...", type=click.Path(exists=True, file_okay=False))
@click.option("-e", "--experiment", help="Keep the runs in this experiment. Default: each run's own.")
@click.option(
    "--list", "only_list", is_flag=True, help="Show what is kept here and what of it waits; send nothing."
)
@click.option("--follow", is_flag=True, help="Go on until every run is over, sending what is new.")
@click.option(
    "--delete",
    "delete_sent",
    is_flag=True,
    help="Take away each run that is over once the yard has all of it.",
)
@click.option(
    "--ended", is_flag=True, help="Runs without an end, begun on another machine, are over: they were killed."
)
@click.option(
    "--again",
    is_flag=True,
    help="Ask the yard about runs that were sent before, too; send deleted ones anew.",
)
@workspace_option
def sync(
    directories: tuple[str, ...], experiment: str | None, only_list: bool, follow: bool, delete_sent: bool,
    ended: bool, again: bool, workspace: str | None,
) -> None:  # fmt: skip
    """Send runs that were kept offline, each thing once, with its own times.

    DIR is a directory of runs, or the folder of one run; default: where MODELYARD_OFFLINE keeps them. Broken off anywhere,
    by anything, the command is just given again. Exit code 1: a run was not sent whole.
    """
    found = _found(directories)
    if only_list:
        _list(found)
        return
    if not found:
        say("No runs wait here.")
    from modelyard.cli.connection import open_workspace

    opened = open_workspace(workspace)
    opened._client.patience_s = _PATIENCE_S
    done: dict[str, Any] = {}
    failed: dict[str, str] = {}
    while found:
        with moving(opened._client, "Sending"):
            for folder in found:
                _send(
                    opened,
                    folder,
                    {"experiment": experiment or "", "again": again, "ended": ended},
                    done,
                    failed,
                )
        over = [f for f in found if f.run_id in failed or (f.run_id in done and done[f.run_id].is_over)]
        if delete_sent:
            _forget([f for f in over if f.run_id not in failed], done)
        found = [f for f in found if f not in over]
        if not follow:
            break
        again = False
        time.sleep(_FOLLOW_S if found else 0)
    _tell(done, failed)


def _found(directories: tuple[str, ...]) -> list[Any]:
    import os

    from modelyard.runs import context, story

    if directories:
        return [folder for directory in directories for folder in story.folders(directory)]
    directory = context.offline_directory()
    return list(story.folders(directory)) if os.path.isdir(directory) else []


def _list(found: list[Any]) -> None:
    from modelyard import errors
    from modelyard.runs import sync as runs_sync

    kept = []
    for folder in found:
        try:
            kept.append(runs_sync.look(folder))
        except (errors.UserErrorException, FileNotFoundError) as error:
            say(str(error))

    columns = [
        ("RUN", lambda k: k.info.id), ("EXPERIMENT", lambda k: k.info.experiment),
        ("STATUS", _status), ("CREATED", lambda k: when(k.info.created_at)),
        ("SIZE", lambda k: size(k.size_bytes)), ("SENT TO", lambda k: k.sent or "waits"),
        ("FOLDER", lambda k: k.folder.path),
    ]  # fmt: skip
    print_items(
        kept, columns,
        lambda k: {"run": k.info, "folder": k.folder.path, "is_alive": k.is_alive, "sent": k.sent, "size_bytes": k.size_bytes},
        "No runs are kept here.",
    )  # fmt: skip


def _status(kept: Any) -> str:
    from modelyard.runs.story import FINAL

    if kept.info.status in FINAL or kept.is_alive:
        return str(kept.info.status.value)
    return "killed"


def _send(
    opened: Any, folder: Any, options: dict[str, Any], done: dict[str, Any], failed: dict[str, str]
) -> None:
    """One run's trouble keeps no other from being sent; a yard that is away keeps all."""
    from modelyard import errors
    from modelyard.runs import sync as runs_sync
    from modelyard.runs.scope import Scope

    before = done.get(folder.run_id)
    try:
        sent = runs_sync.send(Scope(opened._client, opened.name), folder, **options)
    except (errors.YardUnavailable, errors.AuthenticationException):
        raise
    except FileNotFoundError:
        say(f"{folder.path} was taken away meanwhile.")
        return
    except (errors.AzureMLException, OSError) as error:
        failed[folder.run_id] = str(error)
        return
    for problem in sent.passed_over:
        say(f"{folder.run_id}: not kept: {problem}")
    if sent.sent_bytes and (before is None or sent.is_over):
        say(f"{folder.run_id}: {sent.status.value}, {size(sent.sent_bytes)} sent.")
    if before is not None:
        sent = sent._replace(
            sent_bytes=before.sent_bytes + sent.sent_bytes, passed_over=before.passed_over + sent.passed_over
        )
    done[folder.run_id] = sent


def _forget(over: list[Any], done: dict[str, Any]) -> None:
    from modelyard.runs import sync as runs_sync

    for folder in over:
        if not done[folder.run_id].passed_over:
            runs_sync.forget(folder)


def _tell(done: dict[str, Any], failed: dict[str, str]) -> None:
    if wants_json():
        print_json(
            {
                "sent": [
                    {
                        "run_id": one.run_id,
                        "status": one.status.value,
                        "sent_bytes": one.sent_bytes,
                        "is_over": one.is_over,
                        "passed_over": one.passed_over,
                    }
                    for one in done.values()
                ],
                "failed": failed,
            }
        )
    open_ = [one.run_id for one in done.values() if not one.is_over]
    new = sum(1 for one in done.values() if one.sent_bytes)
    say(f"{counted(new, 'run')} sent, {counted(len(done) - new, 'run')} had nothing new.")
    for run_id in open_:
        say(
            f"{run_id} is not over. Give the command again, or with --follow; --ended if its machine is gone."
        )
    if failed or any(one.passed_over for one in done.values()):
        told = [f"{run_id}: {why}" for run_id, why in failed.items()]
        raise Failure("\n".join([*told, "not everything was sent"]), FAILED)
