"""The routes that find many runs: by an expression, or by the filters of v1's lists."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from modelyard.server.kernel.auth import Permission
from modelyard.server.kernel.errors import Invalid
from modelyard.server.kernel.http import WORKSPACE, Call, Routes
from modelyard.server.runs import rules, views
from modelyard.server.runs.search.expression import (
    All,
    Attribute,
    Comparison,
    Expression,
    IsNull,
    Label,
    LabelKind,
    Not,
    OneOf,
    OrderBy,
)
from modelyard.server.runs.search.parser import parse, parse_order
from modelyard.server.runs.search.query import Query, View
from modelyard.server.runs.search.service import FoundRun, Summary
from modelyard.server.runs.service import RunService
from modelyard.wire import search as wire
from modelyard.wire.runs import RunPage, RunStatus

MAX_PAGE = 1000

_NEWEST_FIRST = (OrderBy(Attribute("created_at"), descending=True),)


@dataclass(frozen=True)
class RunsQuery:
    """`tag` and `property`: `k` or `k=v`; all that are given must hold. `after`: `next` of the page before.
    `view`: active, archived, all (but for the trash) or trash."""

    experiment: str = ""
    status: list[str] = field(default_factory=list)
    type: str = ""
    tag: list[str] = field(default_factory=list)
    property: list[str] = field(default_factory=list)
    parent: str = ""
    root_only: bool = False
    node: str = ""
    view: str = "active"
    limit: int = 100
    after: str = ""


def add(r: Routes, runs: RunService) -> None:
    def experiments(call: Call, names: Sequence[str]) -> tuple[str, ...] | None:
        return runs.experiments.ids(call.workspace_id, names) if names else None

    @r.get(f"{WORKSPACE}/runs", Permission.READ)
    def list_(call: Call, query: RunsQuery) -> RunPage:
        """List runs, newest first."""
        asked = Query(
            filter=All(tuple(_tests(query))),
            order_by=_NEWEST_FIRST,
            experiments=experiments(call, [query.experiment] if query.experiment else []),
            view=_view(query.view),
            limit=_limit(query.limit),
            after=query.after,
            metrics=(),
        )
        page = runs.search(call.workspace_id, call.principal, asked)
        return RunPage([found.info for found in page.items], page.next)

    @r.post(f"{WORKSPACE}/runs/search", Permission.READ)
    def search(call: Call, body: wire.RunQuery) -> wire.RunsFound:
        """Find runs by an expression, in any order, page by page."""
        asked = Query(
            filter=parse(body.filter),
            order_by=parse_order(body.order_by),
            experiments=experiments(call, body.experiments),
            view=_view(body.view),
            limit=_limit(body.limit),
            after=body.after,
            count=body.count,
            metrics=None if body.metrics is None else tuple(body.metrics),
        )
        page = runs.search(call.workspace_id, call.principal, asked)
        return wire.RunsFound([_shown(found) for found in page.items], page.next, page.count)


def _view(view: str) -> View:
    views.check(view)
    return View(view)


def _limit(limit: int) -> int:
    if not 1 <= limit <= MAX_PAGE:
        raise Invalid("bad_limit", f"limit must be from 1 to {MAX_PAGE}, not {limit}.")
    return limit


def _tests(query: RunsQuery) -> Iterator[Expression]:
    """What each filter that is given says."""
    known = {s.value for s in RunStatus}
    for status in query.status:
        if status not in known:
            raise Invalid("bad_status", f"{status[:80]!r} is no status. Known: {', '.join(sorted(known))}.")
    if query.status:
        yield OneOf(Attribute("status"), tuple(query.status))
    for name, value in (("type", query.type), ("parent", query.parent), ("node", query.node)):
        rules.check_text(name, value, rules.MAX_KEY)
        if value:
            yield Comparison(Attribute(name), "=", value)
    if query.root_only:
        yield IsNull(Attribute("parent"))
    for kind, labels in ((LabelKind.TAG, query.tag), (LabelKind.PROPERTY, query.property)):
        for label in labels:
            key, wanted = rules.parse_label(label)
            column = Label(kind, key)
            yield Not(IsNull(column)) if wanted is None else Comparison(column, "=", wanted)


def _shown(found: FoundRun) -> wire.FoundRun:
    return wire.FoundRun(found.info, {m.name: _summary(m) for m in found.metrics})


def _summary(given: Summary) -> wire.MetricSummary:
    nonfinite = {
        name: "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        for name, value in (("last", given.last), ("min", given.min), ("max", given.max))
        if value is not None and not math.isfinite(value)
    }
    last, least, most = (None if n in nonfinite else getattr(given, n) for n in ("last", "min", "max"))
    return wire.MetricSummary(given.count, last, given.last_step, least, most, nonfinite)
