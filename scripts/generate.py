"""Writes what is generated from the code: openapi.json and the reference pages. `--check` only compares.

`schema --migration "message"` writes the next step of the database's history instead: what leads from the last step
to the tables as they are now. Read it before it is committed.
"""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
NOTE = "<!-- Generated from the code by scripts/docs; changes here are lost. -->\n\n"


def main() -> int:
    what, options = sys.argv[1], sys.argv[2:]
    if what == "schema" and options[:1] == ["--migration"]:
        if len(options) != 2 or not options[1].strip():
            sys.exit('error: say what changes: scripts/schema --migration "Keep the size of runs"')
        return write_migration(options[1])
    unknown = [o for o in options if o != "--check"]
    if unknown:
        sys.exit(f"error: unknown option {unknown[0]}")
    files = {"schema": schema_files, "docs": docs_files}[what]()
    stale = [name for name, text in files.items() if not _same(ROOT / name, text)]
    if "--check" in options:
        for name in stale:
            print(f"{name} is not what the code says now: run scripts/{what}", file=sys.stderr)
        return 1 if stale else 0
    for name in stale:
        (ROOT / name).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / name).write_text(files[name], "utf-8")
        print(f"wrote {name}", file=sys.stderr)
    return 0


def write_migration(message: str) -> int:
    from alembic import command

    from modelyard.server import migrations
    from modelyard.server.kernel.db import Database
    from modelyard.server.migrations.schema import whole

    following = f"{int(migrations.HEAD) + 1:04d}"
    with tempfile.TemporaryDirectory() as home:
        db = Database(f"sqlite:///{home}/yard.db")
        migrations.migrate(db)
        config = migrations.configuration()
        with db.engine.begin() as connection:
            config.attributes.update(connection=connection, metadata=whole())
            step = command.revision(config, message, autogenerate=True, rev_id=following)
        db.close()
    assert step is not None
    assert not isinstance(step, list)
    module = Path(migrations.__file__)
    text = module.read_text("utf-8")
    module.write_text(text.replace(f'HEAD = "{migrations.HEAD}"', f'HEAD = "{following}"'), "utf-8")
    subprocess.run([sys.executable, "-m", "ruff", "format", "-q", step.path], check=True)
    print(f"wrote {step.path}; HEAD is {following} now", file=sys.stderr)
    return 0


def _same(file: Path, text: str) -> bool:
    return file.exists() and file.read_text("utf-8") == text


def schema_files() -> dict[str, str]:
    return {"openapi.json": json.dumps(_openapi(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"}


def docs_files() -> dict[str, str]:
    return {
        "docs/reference/cli.md": _cli_page(),
        "docs/reference/sdk.md": _sdk_page(),
        "docs/reference/rest.md": _rest_page(),
        "docs/reference/settings.md": _settings_page(),
        "docs/reference/sql.md": _sql_page(),
    }


def _openapi() -> dict[str, Any]:
    from modelyard.server.app import build
    from modelyard.server.kernel import openapi
    from modelyard.server.kernel.settings import Settings
    from modelyard.version import VERSION

    with tempfile.TemporaryDirectory() as home:
        yard = build(Settings(home=Path(home)), "owner", "node")
        try:
            return openapi.document(yard.routes, VERSION)
        finally:
            yard.close()


def _cli_page() -> str:
    import click

    from modelyard.cli.main import cli

    parts = ["# Command line\n", "Exit codes are in [exit-codes.md](exit-codes.md).\n"]
    for path, command in _commands(cli, ["modelyard"]):
        context = click.Context(command, info_name=" ".join(path))
        usage = " ".join([*path, *command.collect_usage_pieces(context)])
        parts.append(f"{'#' * min(len(path), 4)}# `{' '.join(path)}`\n")
        parts.append(f"{(inspect.cleandoc(command.help or '')).replace(chr(8), '').strip()}\n")
        parts.append(f"    {usage}\n")
        rows = [_option(p, context) for p in command.params if isinstance(p, click.Option)]
        if rows:
            parts.append("\n".join(["| option | meaning |", "|---|---|", *rows]) + "\n")
    return NOTE + "\n".join(parts)


def _commands(command: Any, path: list[str]) -> Iterator[tuple[list[str], Any]]:
    import click

    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from _commands(child, [*path, name])


def _option(option: Any, context: Any) -> str:
    record = option.get_help_record(context)
    assert record is not None, option.name
    return f"| `{record[0].replace('|', '&#124;')}` | {record[1].replace('|', '&#124;')} |"


def _sdk_page() -> str:
    import modelyard

    parts = [
        "# Python SDK\n",
        "`from modelyard import …`; the same names stand under v1's module paths in `azureml`.\n",
    ]
    for name in sorted(modelyard.__all__):
        thing = getattr(modelyard, name)
        if inspect.ismodule(thing) or not callable(thing):
            continue
        parts.append(f"## {name}\n")
        if _first(thing):
            parts.append(f"{_first(thing)}\n")
        if inspect.isclass(thing):
            rows = [f"| `{signature}` | {line} |" for signature, line in _members(thing)]
            if rows:
                parts.append("\n".join(["| member | meaning |", "|---|---|", *rows]) + "\n")
    return NOTE + "\n".join(parts)


def _members(kind: type) -> Iterator[tuple[str, str]]:
    yield kind.__name__ + _signature(kind.__init__), ""
    for name, value in sorted(inspect.getmembers(kind)):
        if name.startswith("_"):
            continue
        static = inspect.getattr_static(kind, name)
        if isinstance(static, property):
            yield f".{name}", _first(static)
        elif callable(value):
            yield f".{name}{_signature(value)}", _first(value)


def _signature(function: Any) -> str:
    try:
        parameters = [
            p for p in inspect.signature(function).parameters.values() if p.name not in ("self", "cls")
        ]
    except (TypeError, ValueError):
        return "(…)"
    shown = []
    for p in parameters:
        if p.name.startswith("_") and p.kind is not p.VAR_KEYWORD:
            continue
        star = {p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**"}.get(p.kind, "")
        default = "" if p.default is p.empty else f"={p.default!r}"
        shown.append(f"{star}{p.name}{default}")
    return f"({', '.join(shown)})".replace("|", "&#124;")


def _first(thing: Any) -> str:
    """The first paragraph of the docstring that is the thing's own."""
    text = getattr(thing, "__doc__", None)
    if not text or text == getattr(object, getattr(thing, "__name__", ""), object).__doc__:
        return ""
    return " ".join(inspect.cleandoc(text).split("\n\n")[0].split()).replace("|", "&#124;")


def _rest_page() -> str:
    document = _openapi()
    parts = [
        "# REST API\n",
        "The whole of it, with every type, is in `openapi.json` and at `/openapi.json` of a yard.\n",
    ]
    by_tag: dict[str, list[str]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            tag = (operation.get("tags") or ["other"])[0]
            summary = (operation.get("summary") or operation.get("description") or "").split("\n")[0]
            permission = operation.get("x-permission", "")
            by_tag.setdefault(tag, []).append(f"| `{method.upper()} {path}` | {summary} | {permission} |")
    for tag in sorted(by_tag):
        parts.append(f"## {tag}\n")
        parts.append("\n".join(["| route | meaning | permission |", "|---|---|---|", *by_tag[tag]]) + "\n")
    return NOTE + "\n".join(parts)


SETTINGS = {
    "home": "The directory of everything the yard keeps on this machine. Given by `--home` or `MODELYARD_HOME` only.",
    "host": "Address to listen on.",
    "port": "Port to listen on; 0 for any free one, the same again where it is still free.",
    "database": "`postgresql://…`; empty for SQLite in the home.",
    "blobs": "`s3://…`, `az://…` or `gs://…`; empty for files in the home.",
    "slots": "How many runs `local` runs at once; 0 for one a core.",
    "allowed_hosts": "Names, by commas, under which a proxy shows the yard; `*` for any.",
    "lease_s": "Seconds without a sign of life after which a run is NotResponding.",
    "lost_after_s": "Seconds without a sign of life after which a run is Failed.",
    "trash_days": "Days after which what was deleted goes for good. 0: only when the trash is emptied by hand.",
    "sql_time_s": "Seconds that one query in SQL may take.",
    "sql_memory_mib": "MiB of memory that one query in SQL may use.",
    "log_level": "debug, info, warning or error.",
}


def _settings_page() -> str:
    import dataclasses

    from modelyard.server.kernel.settings import Settings

    rows = []
    for field in dataclasses.fields(Settings):
        default = "`~/.modelyard`" if field.name == "home" else f"`{field.default!r}`"
        rows.append(
            f"| `{field.name}` | `MODELYARD_{field.name.upper()}` | {default} | {SETTINGS[field.name]} |"
        )
    text = (
        "# Settings\n\nA flag of `modelyard up` wins over an environment variable, that over `config.toml` in the home, "
        "that over the default. `modelyard config show --origin` tells what holds and where it came from.\n\n"
        "| setting | variable | default | meaning |\n|---|---|---|---|\n"
    )
    return NOTE + text + "\n".join(rows) + "\n"


def _sql_page() -> str:
    from modelyard.server.sql.catalog import VIEWS

    text = (
        "What `modelyard sql`, `ws.sql(…)` and `POST …/sql` may ask; see [how to](../how-to/sql.md). Times are UTC. What lies "
        "in the trash is in none of them. `MAP` and `JSON` are read as `tags['team']` and `error->>'message'`.\n"
    )
    parts = ["# Views of SQL\n", text]
    for view in VIEWS:
        rows = [f"| `{c.name}` | {c.type} | {c.meaning} |" for c in view.columns]
        parts.append(f"## {view.name}\n\n{view.meaning}\n")
        parts.append("\n".join(["| column | type | meaning |", "|---|---|---|", *rows]) + "\n")
    return NOTE + "\n".join(parts)


if __name__ == "__main__":
    sys.exit(main())
