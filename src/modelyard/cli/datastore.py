"""modelyard datastore"""

from __future__ import annotations

import os
from typing import Any

import click

from modelyard.cli.connection import ask, change, open_workspace
from modelyard.cli.lazy import YardGroup
from modelyard.cli.names import workspace_option
from modelyard.cli.output import (
    confirm,
    moving,
    print_items,
    print_json,
    print_record,
    say,
    size,
    wants_json,
    when,
)


@click.group(cls=YardGroup)
def datastore() -> None:
    """Datastores: files of a workspace, by path."""


def name_option(command: Any) -> Any:
    return click.option(
        "-n", "--name", default="workspaceblobstore", show_default=True, help="The datastore's name."
    )(command)


@datastore.command("list")
@workspace_option
def list_(workspace: str | None) -> None:
    """List the datastores of the workspace."""
    from modelyard.wire.data import DatastoreList

    columns = [
        ("NAME", lambda d: d.name), ("TYPE", lambda d: d.type), ("DEFAULT", lambda d: "yes" if d.is_default else ""),
        ("CREATED", lambda d: when(d.created_at)),
    ]  # fmt: skip
    items = ask(open_workspace(workspace), DatastoreList, "datastores").items
    print_items(items, columns, lambda d: d, "No datastores.")


@datastore.command()
@click.argument("name", default="workspaceblobstore")
@workspace_option
def show(name: str, workspace: str | None) -> None:
    """Show a datastore; the default one without a name."""
    from modelyard.wire.data import DatastoreInfo

    info = ask(open_workspace(workspace), DatastoreInfo, "datastores", name)
    print_record(
        [("name", info.name), ("type", info.type), ("default", info.is_default), ("created", when(info.created_at))],
        info,
    )  # fmt: skip


@datastore.command()
@click.argument("path", required=False)
@name_option
@workspace_option
def files(path: str | None, name: str, workspace: str | None) -> None:
    """List the files of a datastore: all of them, or those of the folder PATH."""
    from modelyard.wire.artifacts import FileList

    columns = [
        ("PATH", lambda f: f.path), ("SIZE", lambda f: size(f.size)), ("CREATED", lambda f: when(f.created_at)),
    ]  # fmt: skip
    items = ask(
        open_workspace(workspace),
        FileList,
        "datastores",
        name,
        "files",
        query={"path": (path or "").strip("/")},
    ).items
    print_items(items, columns, lambda f: f, f"Datastore {name} has no files.")


@datastore.command()
@click.argument("source", type=click.Path(exists=True))
@click.option("-t", "--target-path", default="", help="The folder in the datastore. Default: its root.")
@click.option("--overwrite", is_flag=True, help="Replace what is there.")
@name_option
@workspace_option
def upload(source: str, target_path: str, overwrite: bool, name: str, workspace: str | None) -> None:
    """Bring a file, or all files below a folder, into a datastore."""
    from modelyard.data.datastore import Datastore

    opened = open_workspace(workspace)
    store = Datastore.get(opened, name)
    with moving(opened._client, f"Uploading {source}"):
        if os.path.isdir(source):
            done = store._upload_folder(source, target_path, overwrite)
        else:
            done = store._upload([source], None, target_path, overwrite)
    if wants_json():
        print_json(done)
        return
    left = f"; left {len(done.skipped)} that were there (--overwrite replaces them)" if done.skipped else ""
    say(f"Uploaded {done.added} files to datastore {name}{left}.")


@datastore.command()
@click.argument("path", required=False)
@click.option("-d", "--directory", type=click.Path(file_okay=False), default=".", show_default=True)
@click.option("--overwrite", is_flag=True, help="Replace what is there.")
@name_option
@workspace_option
def download(path: str | None, directory: str, overwrite: bool, name: str, workspace: str | None) -> None:
    """Download a datastore's files: all of them, or the file or folder PATH."""
    from modelyard.data.datastore import Datastore

    opened = open_workspace(workspace)
    store = Datastore.get(opened, name)
    with moving(opened._client, f"Downloading from {name}"):
        fetched = store.download(directory, path, overwrite, show_progress=False)
    if wants_json():
        print_json({"files": fetched, "path": os.path.abspath(directory)})
        return
    say(f"Downloaded {fetched} files to {directory}{os.sep}")


@datastore.command()
@click.argument("path")
@click.option("--yes", is_flag=True, help="Do not ask.")
@name_option
@workspace_option
def delete(path: str, yes: bool, name: str, workspace: str | None) -> None:
    """Delete a file, or all files of a folder, from a datastore."""
    from modelyard.wire.artifacts import FileList

    opened = open_workspace(workspace)
    path = path.strip("/")
    count = len(ask(opened, FileList, "datastores", name, "files", query={"path": path}).items)
    confirm(f"Delete {count} files at {path!r} of datastore {name}?", yes)
    change(opened, "DELETE", None, None, "datastores", name, "files", path)
    say(f"Deleted {count} files from datastore {name}.")
