"""Runs found by an expression, a page at a time."""

from __future__ import annotations

from typing import Iterator, List, Optional, Sequence, Union

from modelyard.runs.scope import Scope
from modelyard.wire.search import FoundRun, RunQuery, RunsFound

_PAGE = 200


def pages(
    scope: Scope,
    filter: str,
    order_by: Union[str, Sequence[str], None],
    experiments: Union[str, Sequence[str], None],
    view: str,
    limit: Optional[int] = None,
    metrics: Optional[Sequence[str]] = None,
) -> Iterator[FoundRun]:
    """At most `limit` runs. `metrics`: names of those to fetch, None for all. Raises what the yard says of the filter."""
    left, after = limit, ""
    while left is None or left > 0:
        found = page(
            scope,
            RunQuery(
                filter=filter,
                order_by=listed(order_by),
                experiments=listed(experiments),
                view=view,
                limit=_PAGE if left is None else min(left, _PAGE),
                after=after,
                metrics=None if metrics is None else list(metrics),
            ),
        )
        yield from found.items
        if found.next is None:
            return
        after = found.next
        left = None if left is None else left - len(found.items)


def count(scope: Scope, filter: str, experiments: Union[str, Sequence[str], None], view: str) -> int:
    query = RunQuery(filter, experiments=listed(experiments), view=view, limit=1, count=True, metrics=[])
    return page(scope, query).count or 0


def page(scope: Scope, query: RunQuery) -> RunsFound:
    found: RunsFound = scope.client.request(
        "POST", scope.path("runs", "search"), query, kind=RunsFound, idempotent=True
    )
    return found


def listed(given: Union[str, Sequence[str], None]) -> List[str]:
    if given is None:
        return []
    return [given] if isinstance(given, str) else [str(one) for one in given]
