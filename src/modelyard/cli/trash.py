"""modelyard trash, receipt and gc: what was deleted, what went for good."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from modelyard.cli.connection import ask, client, open_workspace, yard_wide
from modelyard.cli.failures import FAILED, Failure
from modelyard.cli.lazy import YardCommand, YardGroup
from modelyard.cli.names import workspace_option
from modelyard.cli.output import (
    confirm,
    counted,
    print_items,
    print_json,
    print_record,
    say,
    size,
    waiting,
    wants_json,
    when,
)


@click.group(cls=YardGroup)
def trash() -> None:
    """The trash: what was deleted and can come back."""


@click.group(cls=YardGroup)
def receipt() -> None:
    """Receipts of what was deleted for good."""


@trash.command("list")
@workspace_option
def list_(workspace: str | None) -> None:
    """List what lies in the trash, newest first."""
    columns = [
        ("ID", lambda i: i.id), ("KIND", lambda i: i.kind), ("NAME", lambda i: "" if i.name == i.id else i.name),
        ("RUNS", lambda i: i.runs or ""), ("DELETED", lambda i: when(i.deleted_at)),
    ]  # fmt: skip
    print_items(open_workspace(workspace).trash.list(), columns, lambda i: i, "Nothing lies in the trash.")


@trash.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.option("--name", default="", help="A new name for an experiment whose name is taken by now.")
@workspace_option
def restore(ids: tuple[str, ...], name: str, workspace: str | None) -> None:
    """Bring back runs, experiments or models (NAME:VERSION), with what was deleted with them."""
    opened = open_workspace(workspace)
    items = [opened.trash.restore(id_, name) for id_ in ids]
    if wants_json():
        print_json(items)
    for item in items:
        say(f"Restored {item.kind} {item.name}.")


@trash.command()
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--preview", is_flag=True, help="Show what would go, and change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@workspace_option
def empty(ids: tuple[str, ...], preview: bool, yes: bool, workspace: str | None) -> None:
    """Delete things of the trash for good: those named, or all of it."""
    opened = open_workspace(workspace)
    if preview:
        print_preview(opened, ids)
        return
    what = ", ".join(ids) or f"all of the trash ({counted(len(opened.trash.list()), 'thing')})"
    confirm(f"Delete {what} for good?", yes)
    purge(opened, ids)


@receipt.command("list")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@workspace_option
def list_receipts(limit: int, workspace: str | None) -> None:
    """List receipts, newest first."""
    columns = [
        ("RECEIPT", lambda r: r.id), ("KIND", lambda r: r.kind), ("FINISHED", _finished),
        ("RUNS", lambda r: r.runs or ""), ("FREED", lambda r: size(r.freed_bytes)), ("BY", lambda r: r.actor),
        ("WHY", lambda r: r.reason),
    ]  # fmt: skip
    items = open_workspace(workspace).receipts.list(limit)
    print_items(items, columns, lambda r: r, "Nothing was deleted for good yet.")


@receipt.command()
@click.argument("receipt_id")
@click.option("--items", is_flag=True, help="With everything it lists, as JSON: for keeping elsewhere.")
@workspace_option
def show(receipt_id: str, items: bool, workspace: str | None) -> None:
    """Show a receipt: what was removed, when, for whom, and how much became free."""
    from modelyard.wire.lifetime import ReceiptItems

    opened = open_workspace(workspace)
    if items:
        print_json(ask(opened, ReceiptItems, "receipts", receipt_id, "items"))
        return
    print_receipt(opened.receipts.get(receipt_id))


@click.command(cls=YardCommand)
@click.option("--dry-run", is_flag=True, help="Show what would go, and change nothing.")
@click.option(
    "--grace", type=click.FloatRange(0), metavar="SECONDS",
    help="Keep what was brought less than this ago and is not used yet. Default: an hour.",
)  # fmt: skip
@click.option("--no-wait", is_flag=True, help="Do not wait for its end.")
@workspace_option
def gc(dry_run: bool, grace: float | None, no_wait: bool, workspace: str | None) -> None:
    """Collect garbage: remove the bytes of files that nothing in the yard refers to. It is done daily by itself."""
    from modelyard._client import path
    from modelyard.wire.lifetime import GarbageFound, GarbageQuery, Receipt

    if dry_run:
        query = {} if grace is None else {"grace_s": grace}
        found = yard_wide(GarbageFound, "garbage", query=query)
        record = [("blobs", found.blobs), ("bytes", size(found.size_bytes)), ("trees", found.trees)]
        print_record(record, found)
        return
    begun = client().request("POST", path("garbage"), GarbageQuery(grace), kind=Receipt)
    if no_wait:
        print_receipt(begun)
        return
    with waiting("Collecting garbage"):
        finished = open_workspace(workspace).receipts.wait(begun.id)
    print_receipt(finished)


def print_preview(opened: Any, ids: Sequence[str]) -> None:
    """What deleting these for good would take along. Raises Failure where it would be refused."""
    told = opened.trash.preview(*ids)
    print_record(
        [
            ("runs", told.runs and f"{told.runs} ({counted(told.children, 'child run')})"),
            ("experiments", told.experiments or ""), ("models", told.models), ("files", told.files),
            ("bytes", size(told.size_bytes)),
            ("freed", f"{size(told.freed_bytes)} in {told.freed_blobs} (the rest is used elsewhere too)"
             if told.freed_bytes < told.size_bytes else size(told.freed_bytes)),
            ("kept models", told.kept_models), ("serving them", told.endpoints), ("refused", "\n".join(told.refused)),
        ],
        told,
    )  # fmt: skip
    if told.refused:
        raise Failure("this can't be deleted now, see above", FAILED)


def purge(opened: Any, ids: Sequence[str]) -> None:
    """Delete things of the trash for good and show the receipt."""
    begun = opened.trash.empty(*ids, wait=False)
    with waiting("Deleting for good"):
        finished = opened.receipts.wait(begun.id)
    print_receipt(finished)


def tell_undo(*ids: str) -> None:
    say(f"It lies in the trash; 'modelyard trash restore {' '.join(ids)}' brings it back.")


def print_receipt(info: Any) -> None:
    print_record(
        [
            ("receipt", info.id), ("kind", info.kind), ("why", info.reason), ("by", info.actor),
            ("requested", when(info.requested_at)), ("finished", _finished(info)), ("runs", info.runs or ""),
            ("experiments", info.experiments or ""), ("models", info.models or ""), ("files", info.files or ""),
            ("bytes", size(info.size_bytes) if info.size_bytes else ""),
            ("freed", f"{size(info.freed_bytes)} ({counted(info.freed_blobs, 'blob')})"),
        ],
        info,
    )  # fmt: skip


def _finished(info: Any) -> str:
    return when(info.finished_at) or "under way"
