"""modelyard run metrics: what was logged, as a table of metrics, as series, or as it comes in."""

from __future__ import annotations

import contextlib
import csv
import math
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click

from modelyard.cli.connection import ask, open_workspace
from modelyard.cli.lazy import YardCommand
from modelyard.cli.names import Name, workspace_option
from modelyard.cli.output import plain, print_items, print_json, wants_json, when

_METHODS = ("minmax", "lttb")


class _Metrics(YardCommand):
    outputs = ("table", "json", "csv")


@click.command(cls=_Metrics)
@click.argument("run_id", type=Name("run"))
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--recursive", is_flag=True, help="Of its child runs too.")
@click.option("--system", is_flag=True, help="The machine's metrics too: cpu, memory, disk, network.")
@click.option("--series", is_flag=True, help="Every point, not a line per metric.")
@click.option(
    "--points", type=click.IntRange(3), metavar="N", help="A sample of at most N points of each metric."
)
@click.option(
    "--method",
    type=click.Choice(_METHODS),
    default="minmax",
    help="How to choose the sample. Default: minmax",
)
@click.option("--from-step", type=int, metavar="STEP", help="Points from this step on.")
@click.option("--to-step", type=int, metavar="STEP", help="Points up to this step.")
@click.option("-f", "--follow", is_flag=True, help="Points as they come in, until the run is over.")
@workspace_option
def metrics(
    run_id: str,
    names: tuple[str, ...],
    recursive: bool,
    system: bool,
    series: bool,
    points: int | None,
    method: str,
    from_step: int | None,
    to_step: int | None,
    follow: bool,
    workspace: str | None,
) -> None:
    """Show a run's metrics: the last value, smallest and largest of each; or their points."""
    opened = open_workspace(workspace)
    if follow:
        _follow(opened, run_id, names)
    elif series or points is not None or from_step is not None or to_step is not None or _wants_csv():
        from modelyard.wire.metrics import SeriesQuery

        runs = [run_id, *_below(opened, run_id)] if recursive else [run_id]
        _series(opened, SeriesQuery(runs, list(names), points, method, from_step, to_step, system=system))
    else:
        _summaries(opened, run_id, names, recursive, system)


def _wants_csv() -> bool:
    return bool(click.get_current_context().find_root().meta.get("modelyard.output") == "csv")


def _below(workspace: Any, run_id: str) -> list[str]:
    from modelyard.wire.runs import RunList

    return [
        r.id for r in ask(workspace, RunList, "runs", run_id, "children", query={"recursive": True}).items
    ]


def _summaries(workspace: Any, run_id: str, names: Sequence[str], recursive: bool, system: bool) -> None:
    from modelyard.wire.metrics import MetricsAnswer

    query = {
        "name": names[0] if len(names) == 1 else None,
        "recursive": recursive or None,
        "system": system or None,
    }
    answer = ask(workspace, MetricsAnswer, "runs", run_id, "metrics", query=query)
    if wants_json() and len(names) < 2:
        print_json(answer)
        return
    rows = [(r.run_id, m) for r in answer.runs for m in r.metrics if not names or m.name in names]
    columns = [
        ("METRIC", lambda x: x[1].name), ("VALUE", lambda x: _value(x[1])), ("COUNT", lambda x: x[1].count),
        ("MIN", lambda x: x[1].min), ("MAX", lambda x: x[1].max), ("LAST", lambda x: when(x[1].last_at)),
    ]  # fmt: skip
    if recursive:
        columns.insert(0, ("RUN", lambda x: x[0]))
    named = f" named {' or '.join(map(repr, names))}" if names else ""
    print_items(rows, columns, lambda x: x[1], f"Run {run_id} has no metrics{named}.")


def _value(metric: Any) -> str:
    if metric.kind in ("m", "s"):
        return plain(metric.last if metric.last is not None else metric.value)
    kinds = {"l": "list", "r": "row", "t": "table", "i": "image", "d": "document"}
    text = plain(metric.value)
    return text if len(text) <= 60 else f"({kinds.get(metric.kind, metric.kind)})"


def _series(workspace: Any, query: Any) -> None:
    from modelyard.runs.scope import Scope
    from modelyard.runs.series import read

    found = read(Scope(workspace._client, workspace.name), query)
    if wants_json():
        print_json([_as_json(one) for one in found])
        return
    rows = [
        (one.run_id, one.name, step, at, value)
        for one in found
        for step, at, value in zip(one.steps, one.times_ms, one.values, strict=True)
    ]
    if _wants_csv():
        _print_csv(("run_id", "name", "step", "time_ms", "value"), rows)
        return
    columns = [
        ("METRIC", lambda p: p[1]), ("STEP", lambda p: p[2]), ("AT", lambda p: when(p[3] / 1000)),
        ("VALUE", lambda p: p[4]),
    ]  # fmt: skip
    if len(query.runs) > 1:
        columns.insert(0, ("RUN", lambda p: p[0]))
    print_items(rows, columns, lambda p: p, f"Run {query.runs[0]} has no such points.")


def _as_json(one: Any) -> dict[str, Any]:
    """JSON has no word for what is not finite, so that is its name."""
    return {**one._asdict(), "values": [_worded(value) for value in one.values]}


def _worded(value: float) -> Any:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _print_csv(titles: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(titles)
    writer.writerows(rows)


def _follow(workspace: Any, run_id: str, names: Sequence[str]) -> None:
    """A line a point; who stops it is told that the run goes on."""
    import json

    from modelyard.runs.run import Run

    run = Run.get(workspace, run_id)
    out = csv.writer(sys.stdout, lineterminator="\n")
    if _wants_csv():
        out.writerow(("name", "step", "time_ms", "value"))
    try:
        for point in run.tail_metrics(*names):
            if wants_json():
                click.echo(json.dumps({**point._asdict(), "value": _worded(point.value)}))
            elif _wants_csv():
                out.writerow(point)
            else:
                step = "" if point.step is None else f"step {point.step}  "
                click.echo(f"{when(point.time_ms / 1000)}  {point.name}  {step}{plain(point.value)}")
            with contextlib.suppress(BrokenPipeError):
                sys.stdout.flush()
    except KeyboardInterrupt:
        from modelyard.runs.streaming import goes_on

        click.echo("\n" + goes_on(run_id), err=True)
        raise
