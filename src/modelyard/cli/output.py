"""What a command prints: tables for people, JSON for programs, progress on stderr where somebody watches."""

from __future__ import annotations

import contextlib
import datetime
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import click

from modelyard.cli.failures import FAILED, Failure

Column = tuple[str, Callable[[Any], Any]]


def wants_json() -> bool:
    return click.get_current_context().find_root().meta.get("modelyard.output") == "json"


def print_json(value: Any) -> None:
    from modelyard.wire.codec import to_json

    click.echo(json.dumps(to_json(value), indent=2, ensure_ascii=False, default=str))


def print_items(
    items: Sequence[Any], columns: Sequence[Column], as_json: Callable[[Any], Any], none: str
) -> None:
    """One line per item, or a JSON list. `none` is said (on stderr) where there is nothing."""
    if wants_json():
        print_json([as_json(i) for i in items])
        return
    if not items:
        click.echo(none, err=True)
        return
    print_table([title for title, _ in columns], [[plain(get(item)) for _, get in columns] for item in items])


def print_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Texts below their titles, in colour on a terminal."""
    if not sys.stdout.isatty():
        _print_plain(titles, rows)
        return
    from rich.console import Console  # 40 ms: only where a table is shown to somebody
    from rich.table import Table
    from rich.text import Text

    # A terminal is narrow: columns without a word in them go, and the first one, which people copy, is never broken.
    filled = [i for i in range(len(titles)) if i == 0 or any(row[i] for row in rows)]
    table = Table(box=None, header_style="bold", pad_edge=False)
    for i in filled:
        table.add_column(titles[i], overflow="fold", no_wrap=i == 0, min_width=_width(rows, i))
    for row in rows:
        table.add_row(*(Text(row[i], _style(row[i])) for i in filled))
    Console(highlight=False).print(table)


def _width(rows: Sequence[Sequence[str]], column: int) -> int | None:
    """The first column keeps its whole width, whatever the others need."""
    return max(len(row[0]) for row in rows) if column == 0 else None


def print_record(record: Sequence[tuple[str, Any]], as_json: Any) -> None:
    """One thing: its fields below each other, or a JSON object. Empty fields are left out for people."""
    if wants_json():
        print_json(as_json)
        return
    width = max((len(name) for name, _ in record), default=0)
    for name, value in record:
        text = plain(value)
        if text:
            first, *more = text.split("\n")
            label = click.style(name.ljust(width), bold=True)
            click.echo(f"{label}  {first}")
            for line in more:
                click.echo(" " * (width + 2) + line)


def _print_plain(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Aligned columns without colours or wrapping, for pipes."""
    widths = [max(len(r[i]) for r in [titles, *rows]) for i in range(len(titles))]
    for row in [titles, *rows]:
        click.echo("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip())


def plain(value: Any) -> str:
    if value is None or value == "":
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict):
        return ", ".join(f"{k}={v}" for k, v in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(str(v) for v in value)
    return str(value)


_STYLES = {
    "Completed": "green",
    "Healthy": "green",
    "Succeeded": "green",
    "Running": "cyan",
    "Failed": "red",
    "Unhealthy": "red",
    "Canceled": "yellow",
    "NotResponding": "yellow",
    "Transitioning": "cyan",
}


def _style(cell: str) -> str:
    return _STYLES.get(cell, "")


def when(unix_s: float | None) -> str:
    """Local time, to the second."""
    if unix_s is None:
        return ""
    return datetime.datetime.fromtimestamp(unix_s).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def seconds(value: float | None) -> str:
    if value is None:
        return ""
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def size(size_bytes: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if size_bytes < 1024:
            return f"{size_bytes:.0f} B" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1024
    return f"{size_bytes:.1f} GiB"


def counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def say(line: str) -> None:
    """What happens, for a person who waits; not part of the answer, so on stderr and not with JSON."""
    if not wants_json():
        click.echo(line, err=True)


def confirm(question: str, yes: bool) -> None:
    """Ask before something is lost. Raises Failure for a no, UsageError where nobody can be asked."""
    if yes:
        return
    try:
        agreed = click.confirm(question, err=True)
    except click.Abort as abort:
        if isinstance(abort.__context__, EOFError):
            raise click.UsageError("nobody can be asked here; --yes says that it is meant") from None
        raise
    if not agreed:
        raise Failure("nothing was deleted", FAILED)


def tell_deleted(kind: str, *names: str) -> None:
    if wants_json():
        print_json({"deleted": list(names)})
    for name in names:
        say(f"Deleted {kind} {name}.")


@contextlib.contextmanager
def waiting(what: str) -> Iterator[Callable[[str], None]]:
    """Show on a terminal that something takes its time; the function given changes the words.

    What the SDK prints meanwhile, as v1's did, goes to stderr: stdout is the answer's alone.
    """
    with contextlib.redirect_stdout(sys.stderr):
        if not sys.stderr.isatty() or wants_json():
            yield lambda _words: None
            return
        from rich.console import Console  # only where somebody watches

        with Console(stderr=True).status(what) as status:
            yield status.update


@contextlib.contextmanager
def moving(client: Any, what: str, total_bytes: int | None = None) -> Iterator[None]:
    """Show on a terminal how much of the files has gone over `client`, and of how much where that is known.

    The rest as `waiting`.
    """
    with contextlib.redirect_stdout(sys.stderr):
        if not sys.stderr.isatty() or wants_json():
            yield
            return
        from rich.console import Console  # as above
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(what, total=total_bytes)
            before, client.moved = client.moved, lambda size_bytes: bar.advance(task, size_bytes)
            try:
                yield
            finally:
                client.moved = before
