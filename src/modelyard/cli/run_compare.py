"""modelyard run compare"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any

import click

from modelyard.cli.connection import open_workspace
from modelyard.cli.lazy import YardCommand
from modelyard.cli.names import Name, workspace_option
from modelyard.cli.output import plain, print_json, print_table, seconds, size, wants_json

_SECTIONS = (
    ("run", "Run"), ("params", "Parameters"), ("arguments", "Arguments"), ("tags", "Tags"),
    ("configuration", "Configuration"), ("environment", "Environment"), ("packages", "Packages"), ("git", "Git"),
    ("data", "Data"), ("machine", "Machine"),
)  # fmt: skip
_WIDEST = 60  # characters of a cell


@click.command(cls=YardCommand)
@click.argument("run_ids", nargs=-1, required=True, metavar="RUN_ID RUN_ID...", type=Name("run"))
@click.option("--all", "everything", is_flag=True, help="What is equal too.")
@click.option("--diff", metavar="PATH", help="Only the difference of this file of their snapshots, whole.")
@workspace_option
def compare(run_ids: tuple[str, ...], everything: bool, diff: str | None, workspace: str | None) -> None:
    """Show what differs between runs: parameters, metrics (* is best), packages, code, machine …"""
    if len(set(run_ids)) < 2:
        raise click.UsageError("name two or more different runs")
    found = open_workspace(workspace).compare_runs(*run_ids, all=everything, diff=diff)
    if wants_json():
        print_json(found)
        return
    labels = [_label(place) for place in range(len(found.runs))]
    _print_runs(found, labels)
    if diff is not None:
        _print_code(found, labels)
        return
    if not any(getattr(found, name) for name, _ in _SECTIONS) and not found.code and not _differing(found):
        click.echo("Nothing differs.", err=True)
    for name, title in _SECTIONS:
        _print_section(title, labels, getattr(found, name), found.left_out.get(name, 0))
        if name == "tags":
            _print_metrics(found, labels, everything)
    _print_code(found, labels)


def _label(place: int) -> str:
    """A, B, … Z, AA, AB …"""
    letters = ""
    place += 1
    while place:
        place, letter = divmod(place - 1, 26)
        letters = chr(ord("A") + letter) + letters
    return letters


def _print_runs(found: Any, labels: Sequence[str]) -> None:
    rows = [
        [
            label,
            run.id,
            run.experiment,
            run.status,
            seconds(run.duration_s),
            "" if run.name == run.id else run.name,
        ]
        for label, run in zip(labels, found.runs, strict=True)
    ]
    print_table(["", "RUN", "EXPERIMENT", "STATUS", "TOOK", "NAME"], rows)


def _print_section(title: str, labels: Sequence[str], compared: Sequence[Any], left_out: int) -> None:
    if not compared:
        return
    _title(title, left_out)
    print_table(["", *labels], [[one.name, *map(_cell, one.values)] for one in compared])


def _print_metrics(found: Any, labels: Sequence[str], everything: bool) -> None:
    shown = found.metrics if everything else _differing(found)
    if not shown:
        return
    _title("Metrics", found.left_out.get("metrics", 0))
    rows = []
    for metric in shown:
        marked = [_cell(v) + (" *" if place in metric.best else "") for place, v in enumerate(metric.last)]
        rows.append([metric.name, *marked])
        if metric.min != metric.last or metric.max != metric.last:
            spans = zip(metric.min, metric.max, strict=True)
            rows.append(["  min … max", *("" if a is None else f"{_cell(a)} … {_cell(b)}" for a, b in spans)])
    print_table(["", *labels], rows)


def _differing(found: Any) -> list[Any]:
    return [m for m in found.metrics if any(value != m.last[0] for value in m.last)]


def _print_code(found: Any, labels: Sequence[str]) -> None:
    if not found.code:
        return
    _title("Code", found.left_out.get("code", 0))
    print_table(["", *labels], [[f.path, *_states(f)] for f in found.code])
    for file in found.code:
        shown: set[str] = set()
        for label, text in zip(labels[1:], file.diffs, strict=False):
            if text and text not in shown:
                shown.add(text)
                click.echo()
                click.secho(f"{file.path}: {labels[0]} → {label}", bold=True)
                for line in _coloured(text):
                    click.echo(line, nl=False)


def _states(file: Any) -> Iterator[str]:
    """What became of the file of the first run, in each."""
    first = file.hashes[0]
    for place, (hash_, bytes_) in enumerate(zip(file.hashes, file.sizes, strict=True)):
        if hash_ is None:
            yield "" if first is None else "removed"
        elif place == 0 or hash_ == first:
            yield size(bytes_)
        else:
            named = f" {hash_[:8]}" if file.not_shown else ""
            yield ("added" if first is None else "changed") + f" {size(bytes_)}{named}"


def _coloured(diff: str) -> Iterator[str]:
    colours = {"+": "green", "-": "red", "@": "cyan"}
    for line in diff.splitlines(keepends=True):
        yield click.style(line, fg=colours.get(line[:1])) if sys.stdout.isatty() else line


def _title(title: str, left_out: int) -> None:
    click.echo()
    click.secho(title + (f" ({left_out} more differ)" if left_out else ""), bold=True)


def _cell(value: Any) -> str:
    text = plain(value).replace("\n", " ")
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"
