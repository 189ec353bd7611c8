"""What an import has done, in a table."""

from __future__ import annotations

from modelyard.cli.output import print_items, print_json, say, wants_json
from modelyard.wire.transfer import ImportReport

_NAMED = 10


def tell_import(report: ImportReport) -> None:
    if wants_json():
        print_json(report)
        return
    columns = [
        ("KIND", lambda c: c.kind), ("ADDED", lambda c: c.added), ("SAME", lambda c: c.same), ("SKIPPED", lambda c: c.skipped),
        ("REPLACED", lambda c: c.replaced), ("RENAMED", lambda c: c.renamed),
    ]  # fmt: skip
    print_items(report.counts, columns, lambda c: c, "There is nothing in the file.")
    for count in report.counts:
        if count.others:
            more = ", …" if len(count.others) > _NAMED else ""
            say(f"There with other content ({count.kind}): {', '.join(count.others[:_NAMED])}{more}")
    if report.ended:
        runs = "1 run was" if report.ended == 1 else f"{report.ended} runs were"
        say(f"{runs} not over when it was exported: Canceled here.")
    if report.preview:
        say("Nothing was written: this was a preview.")
    elif report.created:
        say(f"Workspace {report.workspace} is made of {report.exported_from}.")
    else:
        say(f"Imported {report.exported_from} into workspace {report.workspace}.")
