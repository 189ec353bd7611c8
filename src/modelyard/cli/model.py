"""modelyard model"""

from __future__ import annotations

import os
from typing import Any

import click

from modelyard.cli.connection import ask, change, open_workspace
from modelyard.cli.lazy import YardGroup
from modelyard.cli.names import Name, workspace_option
from modelyard.cli.output import (
    confirm,
    counted,
    moving,
    print_items,
    print_json,
    print_record,
    size,
    tell_deleted,
    wants_json,
    when,
)
from modelyard.cli.values import name_and_version, pairs
from modelyard.wire.models import STAGES


@click.group(cls=YardGroup)
def model() -> None:
    """Registered models: named, versioned files with lineage."""


def _info(workspace: Any, text: str) -> Any:
    from modelyard.wire.models import ModelInfo

    name, version = name_and_version(text)
    return ask(workspace, ModelInfo, "models", name, "versions", version or "latest")


def _print(info: Any) -> None:
    print_record(
        [
            ("model", info.id), ("description", info.description),
            ("framework", f"{info.framework} {info.framework_version}".strip()),
            ("size", f"{size(info.size_bytes)} in {counted(info.file_count, 'file')}"), ("tags", info.tags),
            ("properties", info.properties), ("run", info.run_id), ("experiment", info.experiment),
            ("endpoints", info.endpoints), ("user", info.user), ("created", when(info.created_at)),
            ("stage", "" if info.stage == "None" else info.stage), ("aliases", info.aliases),
        ],
        info,
    )  # fmt: skip


@model.command()
@click.option("-n", "--name", required=True, help="The model's name.")
@click.option("-p", "--path", "model_path", type=click.Path(), help="A file or folder here.")
@click.option("--run", "run_id", type=Name("run"), metavar="RUN_ID", help="Take it from this run's files.")
@click.option(
    "--run-path", metavar="PATH", help="Which file or folder of the run, such as outputs/model.pkl."
)
@click.option("--description")
@click.option("--tag", "tags", multiple=True, metavar="KEY=VALUE")
@click.option("--property", "properties", multiple=True, metavar="KEY=VALUE")
@click.option("--framework", help="ScikitLearn, TensorFlow, Onnx, Custom …")
@click.option("--framework-version")
@workspace_option
def register(
    name: str, model_path: str | None, run_id: str | None, run_path: str | None, description: str | None,
    tags: tuple[str, ...], properties: tuple[str, ...], framework: str | None, framework_version: str | None,
    workspace: str | None,
) -> None:  # fmt: skip
    """Register the next version of a model, from files here (--path) or of a run (--run --run-path)."""
    if model_path and run_id:
        raise click.UsageError("--path is a file here; name a file of the run by --run-path")
    if not model_path and not run_id:
        raise click.UsageError("give --path, or --run with --run-path")
    if run_path and not run_id:
        raise click.UsageError("--run-path needs --run")
    if model_path and not os.path.exists(model_path):
        raise click.UsageError(f"--path {model_path!r}: there is no such file or folder here")
    opened = open_workspace(workspace)
    given: dict[str, Any] = {
        "tags": pairs(tags, "--tag"), "properties": pairs(properties, "--property"), "description": description,
        "model_framework": framework, "model_framework_version": framework_version,
    }  # fmt: skip
    with moving(opened._client, f"Registering {name}"):
        if run_id:
            made = opened.get_run(run_id).register_model(name, model_path=run_path, **given)
        else:
            from modelyard.models import Model

            made = Model.register(opened, model_path or "", name, **given)
    _print(_info(opened, f"{made.name}:{made.version}"))


@model.command("list")
@click.option("-n", "--name", type=Name("model"), help="Versions of this model only.")
@click.option("--tag", "tags", multiple=True, metavar="KEY[=VALUE]", help="All of these must hold.")
@click.option("--property", "properties", multiple=True, metavar="KEY[=VALUE]")
@click.option("--run", "run_id", type=Name("run"), metavar="RUN_ID", help="Registered from this run.")
@click.option("--framework")
@click.option("--latest", is_flag=True, help="Only the latest version of each.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=100, show_default=True)
@workspace_option
def list_(
    tags: tuple[str, ...], properties: tuple[str, ...], limit: int, workspace: str | None, **given: Any
) -> None:
    """List registered models, newest first."""
    from modelyard.wire.models import ModelPage

    opened = open_workspace(workspace)
    query = {**given, "latest": given["latest"] or None, "tag": list(tags), "property": list(properties)}
    items: list[Any] = []
    after = None
    while len(items) < limit:
        page = ask(
            opened,
            ModelPage,
            "models",
            query={**query, "limit": min(limit - len(items), 100), "after": after},
        )
        items += page.items
        after = page.next
        if not after:
            break
    columns = [
        ("MODEL", lambda m: m.name), ("VERSION", lambda m: m.version), ("FRAMEWORK", lambda m: m.framework),
        ("SIZE", lambda m: size(m.size_bytes)), ("RUN", lambda m: m.run_id), ("ENDPOINTS", lambda m: m.endpoints),
        ("CREATED", lambda m: when(m.created_at)), ("TAGS", lambda m: m.tags),
    ]  # fmt: skip
    none = "No such models." if any(query.values()) else "No models yet. `modelyard model register` adds one."
    print_items(items, columns, lambda m: m, none)


@model.command()
@click.argument("name", metavar="NAME[:VERSION|@ALIAS]", type=Name("model"))
@workspace_option
def show(name: str, workspace: str | None) -> None:
    """Show a version of a model; the latest without a number or alias."""
    _print(_info(open_workspace(workspace), name))


@model.command()
@click.argument("name", metavar="NAME[:VERSION]", type=Name("model"))
@click.option("-d", "--directory", type=click.Path(file_okay=False), default=".", show_default=True)
@click.option("--overwrite", is_flag=True, help="Replace what is there.")
@workspace_option
def download(name: str, directory: str, overwrite: bool, workspace: str | None) -> None:
    """Download the files of a model."""
    from modelyard.models import Model

    opened = open_workspace(workspace)
    info = _info(opened, name)
    with moving(opened._client, f"Downloading {info.id}", info.size_bytes):
        place = Model(opened, name=info.name, version=info.version).download(directory, exist_ok=overwrite)
    if wants_json():
        print_json({"path": os.path.abspath(place)})
        return
    click.echo(place)


@model.command()
@click.argument("name", metavar="NAME:VERSION", type=Name("model"))
@click.option("--preview", is_flag=True, help="Show what would go, and change nothing.")
@click.option("--purge", is_flag=True, help="For good, at once, and not into the trash.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@workspace_option
def delete(name: str, preview: bool, purge: bool, yes: bool, workspace: str | None) -> None:
    """Put a version of a model into the trash; refused while an endpoint serves it."""
    from modelyard.cli import trash

    check_version(name)
    opened = open_workspace(workspace)
    info = _info(opened, name)
    if preview:
        trash.print_preview(opened, [info.id])
        return
    confirm(f"Delete model {info.id}{' for good' if purge else ''}?", yes)
    change(opened, "DELETE", None, None, "models", info.name, "versions", info.version)
    if purge:
        trash.purge(opened, [info.id])
        return
    tell_deleted("model", info.id)
    trash.tell_undo(info.id)


@model.command()
@click.argument("name", metavar="NAME[:VERSION]", type=Name("model"))
@click.option("--description")
@click.option("--tag", "tags", multiple=True, metavar="KEY=VALUE", help="Set a tag.")
@click.option("--remove-tag", multiple=True, metavar="KEY")
@click.option(
    "--property", "properties", multiple=True, metavar="KEY=VALUE", help="Add a property, for good."
)
@click.option("--framework")
@click.option("--framework-version")
@workspace_option
def update(
    name: str, tags: tuple[str, ...], remove_tag: tuple[str, ...], properties: tuple[str, ...],
    workspace: str | None, **given: Any,
) -> None:  # fmt: skip
    """Change description, tags, properties and framework of a version."""
    from modelyard.wire.models import ModelInfo, ModelUpdate

    opened = open_workspace(workspace)
    info = _info(opened, name)
    body = ModelUpdate(
        set_tags=pairs(tags, "--tag"), remove_tags=list(remove_tag),
        add_properties=pairs(properties, "--property"), **given,
    )  # fmt: skip
    _print(change(opened, "PATCH", ModelInfo, body, "models", info.name, "versions", info.version))


@model.command()
@click.argument("name", metavar="NAME:VERSION", type=Name("model"))
@click.argument("stage", metavar="STAGE", type=click.Choice(STAGES, case_sensitive=False))
@click.option("--archive-existing", is_flag=True, help="Move the versions that are in STAGE to Archived.")
@workspace_option
def stage(name: str, stage: str, archive_existing: bool, workspace: str | None) -> None:
    """Move a version to a stage: None, Staging, Production or Archived."""
    from modelyard.wire.models import ModelInfo, ModelUpdate

    check_version(name)
    opened = open_workspace(workspace)
    info = _info(opened, name)
    body = ModelUpdate(stage=stage, archive_existing=archive_existing)
    _print(change(opened, "PATCH", ModelInfo, body, "models", info.name, "versions", info.version))


@model.group(cls=YardGroup)
def alias() -> None:
    """Names such as "champion" that move from version to version."""


@alias.command("set")
@click.argument("name", metavar="NAME:VERSION", type=Name("model"))
@click.argument("alias", metavar="ALIAS")
@workspace_option
def set_(name: str, alias: str, workspace: str | None) -> None:
    """Let ALIAS name a version, in place of the one it named."""
    from modelyard.wire.models import ModelAlias, RegisteredModel

    check_version(name)
    opened = open_workspace(workspace)
    info = _info(opened, name)
    body = ModelAlias(info.version)
    change(opened, "PUT", RegisteredModel, body, "registered-models", info.name, "aliases", alias)
    _print(_info(opened, info.id))


@alias.command("delete")
@click.argument("name", metavar="NAME", type=Name("model"))
@click.argument("alias", metavar="ALIAS")
@workspace_option
def delete_alias(name: str, alias: str, workspace: str | None) -> None:
    """Let ALIAS name nothing any more. The version it named stays."""
    opened = open_workspace(workspace)
    change(opened, "DELETE", None, None, "registered-models", name, "aliases", alias)
    tell_deleted("alias", f"{name}@{alias}")


def check_version(name: str) -> None:
    if ":" not in name:
        raise click.UsageError("say which version: NAME:VERSION")
