"""The route of run search."""

from __future__ import annotations

import math

from modelyard.server.kernel.auth import Permission
from modelyard.server.kernel.errors import Invalid
from modelyard.server.kernel.http import WORKSPACE, Call, Routes
from modelyard.server.runs import views
from modelyard.server.runs.search.parser import parse, parse_order
from modelyard.server.runs.search.query import Query, View
from modelyard.server.runs.search.service import FoundRun, Summary
from modelyard.server.runs.service import RunService
from modelyard.wire import search as wire

MAX_PAGE = 1000


def add(r: Routes, runs: RunService) -> None:
    @r.post(f"{WORKSPACE}/runs/search", Permission.READ)
    def search(call: Call, body: wire.RunQuery) -> wire.RunsFound:
        """Find runs by an expression, in any order, page by page."""
        views.check(body.view)
        if not 1 <= body.limit <= MAX_PAGE:
            raise Invalid("bad_limit", f"limit must be from 1 to {MAX_PAGE}, not {body.limit}.")
        query = Query(
            filter=parse(body.filter),
            order_by=parse_order(body.order_by),
            experiments=runs.experiments.ids(call.workspace_id, body.experiments)
            if body.experiments
            else None,
            view=View(body.view),
            limit=body.limit,
            after=body.after,
            count=body.count,
        )
        page = runs.search(call.workspace_id, call.principal, query)
        names = None if body.metrics is None else set(body.metrics)
        return wire.RunsFound([_shown(found, names) for found in page.items], page.next, page.count)


def _shown(found: FoundRun, names: set[str] | None) -> wire.FoundRun:
    metrics = {m.name: _summary(m) for m in found.metrics if names is None or m.name in names}
    return wire.FoundRun(found.info, metrics)


def _summary(given: Summary) -> wire.MetricSummary:
    nonfinite = {
        name: "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        for name, value in (("last", given.last), ("min", given.min), ("max", given.max))
        if value is not None and not math.isfinite(value)
    }
    last, least, most = (None if n in nonfinite else getattr(given, n) for n in ("last", "min", "max"))
    return wire.MetricSummary(given.count, last, given.last_step, least, most, nonfinite)
