"""modelyard tensorboard: TensorBoard over runs, live ones too."""

from __future__ import annotations

import threading
from typing import Any

import click

from modelyard.cli.lazy import YardGroup
from modelyard.cli.names import Name, workspace_option
from modelyard.cli.output import print_json, say, wants_json


class _ShowByDefault(YardGroup):
    """`modelyard tensorboard RUN…` is `modelyard tensorboard show RUN…`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["show", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_ShowByDefault)
def tensorboard() -> None:
    """TensorBoard over runs: `modelyard tensorboard RUN...` shows their logs, while they are written too."""


@tensorboard.command()
@click.argument("run_ids", nargs=-1, metavar="[RUN_ID]...", type=Name("run"))
@click.option("-e", "--experiment", type=Name("experiment"), help="All runs of this experiment.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=6006, show_default=True, help="0: any free one."
)
@click.option(
    "--logdir-in-run", default="", metavar="PATH",
    help="Only logs of the runs below this path, as logs. Default: wherever events.out.tfevents* are.",
)  # fmt: skip
@click.option(
    "--local-root", type=click.Path(file_okay=False),
    help="Copy the logs here, and leave them. Default: a directory that goes at the end.",
)  # fmt: skip
@click.option("--open", "open_browser", is_flag=True, help="Open it in a browser.")
@workspace_option
def show(
    run_ids: tuple[str, ...], experiment: str | None, port: int, logdir_in_run: str, local_root: str | None,
    open_browser: bool, workspace: str | None,
) -> None:  # fmt: skip
    """Show the TensorBoard logs of runs and their children until Ctrl-C."""
    import contextlib
    import signal
    import sys

    from modelyard.tensorboard import Tensorboard

    prefix = logdir_in_run.strip("/") + "/" if logdir_in_run.strip("/") else ""
    board = Tensorboard(_runs(run_ids, experiment, workspace), local_root, port, _prefix=prefix)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a TensorBoard is not left behind
    try:
        with contextlib.redirect_stdout(sys.stderr) if wants_json() else contextlib.nullcontext():
            board.start(open_browser)
        if wants_json():
            print_json({"url": board.url})
        say("Ctrl-C stops it.")
        threading.Event().wait()
    except KeyboardInterrupt:
        say("Stopped.")
    finally:
        board.stop()


@tensorboard.command()
@click.argument("run_ids", nargs=-1, metavar="[RUN_ID]...", type=Name("run"))
@click.argument("directory", type=click.Path(file_okay=False))
@click.option("-e", "--experiment", type=Name("experiment"), help="All runs of this experiment.")
@click.option("--no-children", is_flag=True, help="The runs alone, without the runs below them.")
@workspace_option
def export(
    run_ids: tuple[str, ...], directory: str, experiment: str | None, no_children: bool, workspace: str | None
) -> None:
    """Write what runs logged as event files below DIRECTORY, a folder a run."""
    from modelyard.tensorboard import export_to_tensorboard

    export_to_tensorboard(_runs(run_ids, experiment, workspace), directory, recursive=not no_children)
    if wants_json():
        print_json({"directory": directory})
    say(f"Look at it with: tensorboard --logdir {directory}")


def _runs(run_ids: tuple[str, ...], experiment: str | None, workspace: str | None) -> list[Any]:
    from modelyard.cli.connection import open_workspace

    if bool(run_ids) == bool(experiment):
        raise click.UsageError("name runs, or an experiment with -e")
    opened = open_workspace(workspace)
    if experiment:
        return list(opened.experiments[experiment].get_runs())
    return [opened.get_run(run_id) for run_id in run_ids]
