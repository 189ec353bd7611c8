"""modelyard run list: runs found by filters or an expression, in any order, with the columns asked for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import click

from modelyard.cli.connection import open_workspace
from modelyard.cli.lazy import YardCommand
from modelyard.cli.names import Name, workspace_option
from modelyard.cli.output import Column, print_items, seconds, when
from modelyard.runs import search
from modelyard.wire import codec
from modelyard.wire.search import FoundRun


def took(info: Any) -> str:
    return seconds(info.ended_at - info.started_at) if info.ended_at and info.started_at else ""


_LONGEST_TAG = 40


def short_tags(info: Any) -> dict[str, str]:
    """The tags that a person gave, cut to what fits a table. MLflow's clients keep whole documents in tags of their own."""
    own = {key: value for key, value in info.tags.items() if not key.startswith("mlflow.")}
    return {k: v if len(v) <= _LONGEST_TAG else f"{v[: _LONGEST_TAG - 1]}…" for k, v in own.items()}


COLUMNS: list[Column] = [
    ("RUN", lambda r: r.id), ("EXPERIMENT", lambda r: r.experiment), ("NR", lambda r: r.number),
    ("STATUS", lambda r: r.status.value), ("CREATED", lambda r: when(r.created_at)),
    ("TOOK", took), ("NAME", lambda r: "" if r.display_name == r.id else r.display_name),
    ("TAGS", short_tags),
]  # fmt: skip

_ATTRIBUTES: dict[str, Callable[[Any], Any]] = {
    "run_id": lambda r: r.id, "run_name": lambda r: r.display_name, "status": lambda r: r.status.value,
    "start_time": lambda r: when(r.started_at or r.created_at), "end_time": lambda r: when(r.ended_at),
    "created_at": lambda r: when(r.created_at), "duration": took, "experiment": lambda r: r.experiment,
    "experiment_id": lambda r: r.experiment_id, "number": lambda r: r.number, "type": lambda r: r.type,
    "parent": lambda r: r.parent_id, "target": lambda r: r.spec.target if r.spec else "", "node": lambda r: r.node,
    "user_id": lambda r: r.user, "exit_code": lambda r: r.exit_code, "description": lambda r: r.description,
}  # fmt: skip
_BY_COMMAS = re.compile(r"""(?:"[^"]*"|`[^`]*`|[^,"`])+""")


@click.command("list", cls=YardCommand)
@click.option("-e", "--experiment", type=Name("experiment"), help="Of this experiment only.")
@click.option(
    "--filter",
    "filter_",
    metavar="EXPRESSION",
    default="",
    help="Such as \"metrics.acc > 0.9 and tags.team = 'a'\".",
)
@click.option(
    "--sort", multiple=True, metavar="COLUMN [DESC]", help='Such as "metrics.acc DESC"; may be repeated.'
)
@click.option(
    "--columns", multiple=True, metavar="NAMES", help="What to show, such as status,metrics.acc,params.lr."
)
@click.option(
    "--status", multiple=True, metavar="STATUS", help="Completed, Failed, Running …; may be repeated."
)
@click.option("--tag", "tags", multiple=True, metavar="KEY[=VALUE]", help="All of these must hold.")
@click.option("--property", "properties", multiple=True, metavar="KEY[=VALUE]")
@click.option("--type", "type_", help="Run type, such as azureml.scriptrun.")
@click.option("--all", "children_too", is_flag=True, help="Child runs too; with --filter they are.")
@click.option("--archived", is_flag=True, help="The archived ones instead.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True)
@workspace_option
def list_(
    experiment: str | None, filter_: str, sort: tuple[str, ...], columns: tuple[str, ...], status: tuple[str, ...],
    tags: tuple[str, ...], properties: tuple[str, ...], type_: str | None, children_too: bool, archived: bool, limit: int,
    workspace: str | None,
) -> None:  # fmt: skip
    """List runs, newest first."""
    from modelyard.server.runs.search.parser import parse  # the language itself, and no more of the server

    parse(filter_)  # here, so that an error points into what was typed
    shown, metrics = _columns(columns)
    tests = [f"({filter_})"] if filter_.strip() else []
    tests += _tests(status, tags, properties, type_)
    if not children_too and not filter_.strip():
        tests.append("parent IS NULL")
    found = search.pages(
        open_workspace(workspace)._scope,
        " AND ".join(tests),
        [part for one in sort for part in _BY_COMMAS.findall(one)] or ["created_at DESC"],
        experiment,
        "archived" if archived else "active",
        limit,
        metrics,
    )
    print_items(list(found), shown, _as_json, "No runs.")


def _tests(
    status: Sequence[str], tags: Sequence[str], properties: Sequence[str], type_: str | None
) -> Iterator[str]:
    """What each option says, in the language of --filter."""
    from modelyard.wire.runs import RunStatus

    known = {s.value.lower(): s.value for s in RunStatus}
    for text in status:
        if text.lower() not in known:
            raise click.UsageError(f"--status {text!r} is not one of {', '.join(known.values())}")
    if status:
        yield f"status IN ({', '.join(_quoted(known[s.lower()]) for s in status)})"
    if type_:
        yield f"type = {_quoted(type_)}"
    for kind, labels in (("tags", tags), ("properties", properties)):
        for label in labels:
            key, sign, value = label.partition("=")
            name = '{}."{}"'.format(kind, key.replace('"', '""'))
            yield f"{name} = {_quoted(value)}" if sign else f"{name} IS NOT NULL"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _columns(given: Sequence[str]) -> tuple[list[Column], list[str] | None]:
    """What to show of each run, and the metrics that are needed for it; None: all."""
    from modelyard.cli.output import wants_json
    from modelyard.server.runs.search.expression import (
        Attribute,
        Label,
        Metric,
    )  # the language itself, and no more
    from modelyard.server.runs.search.parser import parse_order

    names = [name.strip() for one in given for name in _BY_COMMAS.findall(one)]
    if not names:
        return [(title, _of_run(get)) for title, get in COLUMNS], None if wants_json() else []
    shown: list[Column] = [("RUN", lambda found: found.run.id)]
    metrics: list[str] = []
    for name, order in zip(names, parse_order(names), strict=True):
        column = order.column
        if isinstance(column, Metric):
            metrics.append(column.key)
            shown.append((name, _metric(column.key, column.statistic.value)))
        elif isinstance(column, Label):
            shown.append((name, _label(column.kind.value, column.key)))
        elif column == Attribute("run_id"):
            continue
        elif column.name in _ATTRIBUTES:
            shown.append((name.upper(), _of_run(_ATTRIBUTES[column.name])))
        else:
            raise click.UsageError(f"--columns {name!r} can be searched by, and not be shown")
    return shown, metrics


def _of_run(get: Callable[[Any], Any]) -> Callable[[FoundRun], Any]:
    return lambda found: get(found.run)


def _label(kind: str, key: str) -> Callable[[FoundRun], Any]:
    held = {"param": "params", "tag": "tags", "property": "properties"}[kind]
    return lambda found: getattr(found.run, held).get(key)


def _metric(key: str, statistic: str) -> Callable[[FoundRun], Any]:
    def get(found: FoundRun) -> Any:
        summary = found.metrics.get(key)
        return None if summary is None else summary.nonfinite.get(statistic, getattr(summary, statistic))

    return get


def _as_json(found: FoundRun) -> Any:
    return {**codec.to_json(found.run), "metrics": codec.to_json(found.metrics)}
