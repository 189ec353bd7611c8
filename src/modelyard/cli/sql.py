"""modelyard sql"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from modelyard.cli.connection import ask, open_workspace
from modelyard.cli.lazy import YardCommand
from modelyard.cli.names import workspace_option
from modelyard.cli.output import plain, print_items, print_json, print_table, say, size, wants_json
from modelyard.cli.values import pairs

_WIDEST = 200  # characters of something nested, in a table
_BINARY = ("arrow", "parquet")


class SqlCommand(YardCommand):
    outputs = ("table", "json", "csv", "arrow", "parquet")


@click.command(cls=SqlCommand)
@click.argument("words", nargs=-1, metavar="[QUERY] [TARGET]")
@click.option(
    "--file", type=click.Path(exists=True, dir_okay=False, allow_dash=True), help="Read the query from here."
)
@click.option(
    "--param", "params", multiple=True, metavar="NAME=VALUE", help="What $NAME in the query stands for."
)
@click.option("--schema", is_flag=True, help="List the views and their columns instead.")
@workspace_option
def sql(
    words: tuple[str, ...], file: str | None, params: tuple[str, ...], schema: bool, workspace: str | None
) -> None:
    """Answer QUERY, one SELECT over the workspace's runs, metrics, models …; `-` reads it from standard input.

    With TARGET the answer is written to that file: Arrow and Parquet need one where they would go to a terminal.
    """
    opened = open_workspace(workspace)
    if schema:
        _print_schema(opened)
        return
    from modelyard.sql import fetch

    query, target = _query_and_target(words, file)
    form = str(click.get_current_context().find_root().meta["modelyard.output"])
    if form in _BINARY and target is None and sys.stdout.isatty():
        raise click.UsageError(f"-o {form} is not for a terminal: name a file after the query")
    asked = "json" if form == "table" else form
    values = {name: _value(text) for name, text in pairs(params, "--param").items()}
    content = fetch(opened._client, opened._path("sql"), query, values, asked)
    if form == "table":
        _print_rows(content)
    elif target is not None:
        Path(target).write_bytes(content)
        say(f"Wrote {target} ({size(len(content))}).")
    elif form == "json":
        from modelyard.wire import codec
        from modelyard.wire.sql import SqlRows

        found = codec.loads(SqlRows, content)
        names = [c.name for c in found.columns]
        print_json([dict(zip(names, row, strict=True)) for row in found.rows])
    else:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()


def _query_and_target(words: tuple[str, ...], file: str | None) -> tuple[str, str | None]:
    rest = list(words)
    if file is None and not rest:
        raise click.UsageError("say the query, or --file, or - to read it from standard input")
    source = file if file is not None else rest.pop(0)
    if len(rest) > 1:
        raise click.UsageError(f"the query is one argument: put it in quotes ({rest[0]!r} follows it)")
    if source == "-":
        query = sys.stdin.read()
    elif file is not None:
        query = Path(file).read_text("utf-8")
    else:
        query = source
    return query, rest[0] if rest else None


def _value(text: str) -> Any:
    """A whole number or a number where it is written like one, else the text."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def _print_rows(content: bytes) -> None:
    from modelyard.wire import codec
    from modelyard.wire.sql import SqlRows

    found = codec.loads(SqlRows, content)
    if not found.rows:
        click.echo("No rows.", err=True)
        return
    print_table([c.name for c in found.columns], [[_cell(v) for v in row] for row in found.rows])


def _cell(value: Any) -> str:
    if isinstance(value, (list, dict)):
        text = json.dumps(value, ensure_ascii=False)
        return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"
    return plain(value)


def _print_schema(workspace: Any) -> None:
    from modelyard.wire.sql import SqlSchema

    found = ask(workspace, SqlSchema, "sql")
    if wants_json():
        print_json(found)
        return
    rows = [(view, column) for view in found.views for column in view.columns]
    columns = [
        ("VIEW", lambda r: r[0].name), ("COLUMN", lambda r: r[1].name), ("TYPE", lambda r: r[1].type),
        ("MEANING", lambda r: r[1].meaning),
    ]  # fmt: skip
    print_items(rows, columns, lambda r: r, "No views.")
