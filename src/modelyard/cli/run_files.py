"""modelyard run logs | files | download | snapshot"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from modelyard.cli.connection import ask, open_workspace
from modelyard.cli.failures import FAILED, NOT_FOUND, Failure
from modelyard.cli.lazy import YardCommand
from modelyard.cli.names import Name, workspace_option
from modelyard.cli.output import (
    counted,
    moving,
    print_items,
    print_json,
    say,
    size,
    wants_json,
    when,
)

STD_LOG = "user_logs/std_log.txt"
_FINAL = ("Completed", "Failed", "Canceled")


@click.command(cls=YardCommand)
@click.argument("run_id", type=Name("run"))
@click.option(
    "-f", "--follow", "until_end", is_flag=True, help="Go on until the run ends; exit code 1 if it fails."
)
@click.option("--file", "name", default=STD_LOG, show_default=True, help="Which log.")
@click.option("--tail", type=click.IntRange(min=0), help="Only the last lines.")
@workspace_option
def logs(run_id: str, until_end: bool, name: str, tail: int | None, workspace: str | None) -> None:
    """Print a run's log."""
    from modelyard.wire.runs import RunInfo

    opened = open_workspace(workspace)
    ask(opened, RunInfo, "runs", run_id)
    pieces: list[bytes] = []
    write = pieces.append if wants_json() or tail is not None else _write
    if until_end:
        follow(opened, run_id, name, write)
    else:
        stream(opened, run_id, name, False, write)
    text = b"".join(pieces)
    if tail is not None:
        text = b"".join(text.splitlines(keepends=True)[-tail:]) if tail else b""
    if wants_json():
        print_json({"run_id": run_id, "file": name, "log": text.decode("utf-8", "replace")})
    elif tail is not None:
        _write(text)
    info = ask(opened, RunInfo, "runs", run_id)
    if until_end and info.status.value != "Completed":
        reason = info.error.line or info.error.message if info.error else info.status_reason
        raise Failure(f"Run {run_id} is {info.status.value}" + (f": {reason}" if reason else ""), FAILED)


def follow(workspace: Any, run_id: str, name: str, write: Callable[[bytes], Any]) -> None:
    """`stream` to the end; who stops it is told that the run goes on."""
    try:
        stream(workspace, run_id, name, True, write)
    except KeyboardInterrupt:
        from modelyard.runs.streaming import goes_on

        click.echo("\n" + goes_on(run_id), err=True)
        raise


def stream(workspace: Any, run_id: str, name: str, follow: bool, write: Callable[[bytes], Any]) -> None:
    """Give the log to `write` from its beginning; with `follow` until the run is over and all of it has come."""
    from modelyard import errors
    from modelyard.wire.runs import RunInfo

    offset = 0
    while True:
        query = {"offset": offset, "wait_s": 15 if follow else 0}
        is_final = ask(workspace, RunInfo, "runs", run_id).status.value in _FINAL
        try:
            answer = workspace._client.raw("GET", workspace._path("runs", run_id, "logs", name), query=query)
        except errors.NotFound:
            if not follow or is_final:
                if name == STD_LOG:
                    return  # it has not written anything
                raise Failure(
                    f"Run {run_id} has no log {name!r} (see modelyard run files {run_id})", NOT_FOUND
                ) from None
            _wait_for_change(workspace, run_id)
            continue
        offset = int(answer.headers.get("x-log-offset", offset + len(answer.body)))
        if answer.body:
            write(answer.body)
            continue
        if not follow or is_final or answer.headers.get("x-log-complete") == "1":
            return


def _wait_for_change(workspace: Any, run_id: str) -> None:
    from modelyard.wire.runs import RunInfo

    info = ask(workspace, RunInfo, "runs", run_id)
    if info.status.value not in _FINAL:
        ask(workspace, RunInfo, "runs", run_id, query={"wait_version": info.version, "wait_s": 2})


def _write(piece: bytes) -> None:
    sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()


@click.command(cls=YardCommand)
@click.argument("run_id", type=Name("run"))
@workspace_option
def files(run_id: str, workspace: str | None) -> None:
    """List a run's files: outputs, logs, what was uploaded."""
    from modelyard.wire.artifacts import FileList

    columns = [
        ("PATH", lambda f: f.path), ("SIZE", lambda f: size(f.size)), ("CREATED", lambda f: when(f.created_at)),
        ("", lambda f: "growing" if f.live else ""),
    ]  # fmt: skip
    items = ask(open_workspace(workspace), FileList, "runs", run_id, "files").items
    print_items(items, columns, lambda f: f, f"Run {run_id} has no files.")


@click.command(cls=YardCommand)
@click.argument("run_id", type=Name("run"))
@click.argument("path", required=False)
@click.option("-d", "--directory", type=click.Path(file_okay=False), help="Where to. Default: ./RUN_ID")
@workspace_option
def download(run_id: str, path: str | None, directory: str | None, workspace: str | None) -> None:
    """Download a run's files: all of them, or the file or folder PATH."""
    from modelyard.wire.artifacts import FileList

    opened = open_workspace(workspace)
    known = ask(opened, FileList, "runs", run_id, "files").items
    wanted = [f for f in known if path is None or f.path == path or f.path.startswith(path.rstrip("/") + "/")]
    if not wanted:
        raise Failure(f"Run {run_id} has no " + (f"file or folder {path!r}" if path else "files"), NOT_FOUND)
    target = Path(directory or run_id)
    what = f"Downloading {counted(len(wanted), 'file')}"
    with moving(opened._client, what, sum(f.size for f in wanted)):
        for file in wanted:
            opened._client.download(opened._path("runs", run_id, "files", file.path), str(target / file.path))
    if wants_json():
        print_json([str(target / f.path) for f in wanted])
        return
    say(f"Downloaded {counted(len(wanted), 'file')} to {target}{os.sep}")


@click.command(cls=YardCommand)
@click.argument("run_id", type=Name("run"))
@click.option("-d", "--directory", type=click.Path(file_okay=False), help="Write its files here.")
@click.option("--zip", "zip_file", type=click.Path(dir_okay=False), help="Write it as a zip.")
@workspace_option
def snapshot(run_id: str, directory: str | None, zip_file: str | None, workspace: str | None) -> None:
    """Show or download the source directory as the run got it."""
    from modelyard.wire.artifacts import SnapshotInfo
    from modelyard.wire.runs import RunInfo

    opened = open_workspace(workspace)
    snapshot_id = ask(opened, RunInfo, "runs", run_id).snapshot_id
    if not snapshot_id:
        raise Failure(
            f"Run {run_id} has no snapshot: it was not submitted with a source directory", NOT_FOUND
        )
    if zip_file:
        with moving(opened._client, f"Downloading {zip_file}"):
            opened._client.download(opened._path("snapshots", snapshot_id, "zip"), zip_file)
        say(f"Wrote {zip_file}.")
    if directory:
        from modelyard.snapshot import materialise

        info = ask(opened, SnapshotInfo, "snapshots", snapshot_id)
        with moving(opened._client, f"Downloading {counted(info.file_count, 'file')}", info.size_bytes):
            materialise(opened._client, lambda rest: opened._path(rest.lstrip("/")), info.entries, directory)
        say(f"Wrote {counted(info.file_count, 'file')} to {directory}{os.sep}")
    if not (zip_file or directory) or wants_json():
        info = ask(opened, SnapshotInfo, "snapshots", snapshot_id)
        if wants_json():
            print_json(info)
            return
        columns = [("PATH", lambda e: e.path), ("SIZE", lambda e: size(e.size))]
        print_items(info.entries, columns, lambda e: e, "The snapshot is empty.")
