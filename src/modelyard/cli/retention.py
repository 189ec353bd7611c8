"""modelyard retention: what becomes of old runs by itself."""

from __future__ import annotations

import click

from modelyard.cli.connection import open_workspace
from modelyard.cli.lazy import YardGroup
from modelyard.cli.names import Name, workspace_option
from modelyard.cli.output import confirm, print_items, print_record, size, tell_deleted

_WHAT = ("runs", "outputs", "logs", "snapshots")


@click.group(cls=YardGroup)
def retention() -> None:
    """Retention rules: what becomes of old runs by itself."""


@retention.command("set")
@click.argument("name", required=False)
@click.option("-e", "--experiment", type=Name("experiment"), help="Of this experiment only. Default: each.")
@click.option(
    "--what", type=click.Choice(_WHAT), default="runs", show_default=True,
    help="Runs go into the trash; outputs, logs and snapshots go for good, and the runs stay.",
)  # fmt: skip
@click.option("--keep-days", type=click.FloatRange(0), default=0.0, help="Leave runs alone that are younger.")
@click.option(
    "--keep-last",
    type=click.IntRange(0),
    default=0,
    help="Leave so many newest runs of each experiment alone.",
)
@click.option(
    "--filter", "filter_", default="", metavar="EXPRESSION", help="Only runs that a search for this finds."
)
@workspace_option
def set_(
    name: str | None, experiment: str | None, what: str, keep_days: float, keep_last: int, filter_: str,
    workspace: str | None,
) -> None:  # fmt: skip
    """Make a rule, or change the one of this NAME (default: experiment and what). It is applied once a day.

    What is tagged `keep`, and what a registered model came from, is always left alone.
    """
    name = name or f"{experiment or 'all'}-{what}"
    rule = open_workspace(workspace).retention.set(
        name, what, experiment or "", keep_days, keep_last, filter_
    )
    record = [
        ("rule", rule.name), ("what", rule.what), ("experiment", rule.experiment or "each"),
        ("keep days", rule.keep_days or ""), ("keep last", rule.keep_last or ""), ("filter", rule.filter),
    ]  # fmt: skip
    print_record(record, rule)


@retention.command("list")
@workspace_option
def list_(workspace: str | None) -> None:
    """List the rules."""
    columns = [
        ("RULE", lambda r: r.name), ("WHAT", lambda r: r.what), ("EXPERIMENT", lambda r: r.experiment or "each"),
        ("KEEP DAYS", lambda r: r.keep_days or ""), ("KEEP LAST", lambda r: r.keep_last or ""),
        ("FILTER", lambda r: r.filter),
    ]  # fmt: skip
    items = open_workspace(workspace).retention.list()
    print_items(items, columns, lambda r: r, "No retention rules: everything is kept.")


@retention.command()
@click.argument("name")
@workspace_option
def remove(name: str, workspace: str | None) -> None:
    """Remove a rule. What it took away stays where it is."""
    open_workspace(workspace).retention.remove(name)
    tell_deleted("rule", name)


@retention.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--dry-run", is_flag=True, help="Show what would go, and change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@workspace_option
def apply(names: tuple[str, ...], dry_run: bool, yes: bool, workspace: str | None) -> None:
    """Apply rules now: those named, or all. The yard does it once a day."""
    opened = open_workspace(workspace)
    found = opened.retention.preview(*names)
    if dry_run:
        columns = [
            ("RULE", lambda f: f.rule), ("WHAT", lambda f: f.what), ("RUNS", lambda f: len(f.runs)),
            ("FILES", lambda f: f.files or ""), ("BYTES", lambda f: size(f.size_bytes) if f.files else ""),
            ("FIRST", lambda f: ", ".join(f.runs[:3])),
        ]  # fmt: skip
        print_items(found, columns, lambda f: f, "No retention rules: everything is kept.")
        return
    count = sum(len(f.runs) for f in found)
    if count:
        confirm(f"Apply {', '.join(f.rule for f in found)} to {count} runs?", yes)
    columns = [
        ("RECEIPT", lambda r: r.id), ("WHY", lambda r: r.reason), ("RUNS", lambda r: r.runs or ""),
        ("FILES", lambda r: r.files or ""),
    ]  # fmt: skip
    print_items(opened.retention.apply(*names), columns, lambda r: r, "The rules found nothing to take away.")
