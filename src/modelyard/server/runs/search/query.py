"""What a search asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from modelyard.server.runs.search.expression import EVERYTHING, Expression, OrderBy, Value

MAX_PAGE = 50_000  # as MLflow's


class View(Enum):
    """As in `views`, and EVERYTHING: with the trash, as MLflow's clients mean all."""

    ACTIVE = "active"
    ARCHIVED = "archived"
    ALL = "all"
    TRASH = "trash"
    EVERYTHING = "everything"


@dataclass(frozen=True)
class Query:
    """`experiments`: ids, None for all. `natural`: texts that are numbers are ordered as numbers. `after`: `next` of the page
    before. `count`: how many there are on all pages is wanted too. `metrics`: names of those to answer with, None for all."""

    filter: Expression = EVERYTHING
    order_by: tuple[OrderBy, ...] = ()
    experiments: tuple[str, ...] | None = None
    view: View = View.ACTIVE
    limit: int = 100
    after: str = ""
    count: bool = False
    natural: bool = True
    metrics: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Place:
    """Where a page ended: what the last run's columns of the order held, and what settles ties."""

    values: Sequence[Value | None]
    start: float
    run_id: str
