"""MLflow's search of runs: its filters are read by the yard's own language of search, in MLflow's dialect."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TypeVar

from modelyard.server.kernel.auth import Permission
from modelyard.server.kernel.http import Call, Routes
from modelyard.server.mlflow import errors, experiments, paging, shapes
from modelyard.server.mlflow.access import RunAccess
from modelyard.server.mlflow.experiments import ViewType, view_name
from modelyard.server.mlflow.protocol import Message, route
from modelyard.server.mlflow.shapes import NOTE, PARENT, RUN_NAME, USER, Json
from modelyard.server.runs.search.expression import (
    All,
    AnyOf,
    Attribute,
    Column,
    Expression,
    Label,
    LabelKind,
    Not,
    OrderBy,
)
from modelyard.server.runs.search.parser import Dialect, parse, parse_order
from modelyard.server.runs.search.query import Query, View

_DEFAULT_MAX = 1000
_VIEWS = {"ACTIVE_ONLY": View.ACTIVE, "DELETED_ONLY": View.TRASH, "ALL": View.EVERYTHING}
# Tags of MLflow's that are fields of ours.
_FIELDS = {
    RUN_NAME: Attribute("run_name"),
    NOTE: Attribute("description"),
    PARENT: Attribute("parent"),
    USER: Attribute("user_id"),
}

C = TypeVar("C", Column, Expression)


class SearchRuns(Message):
    experiment_ids: list[str] = []
    filter: str = ""
    run_view_type: ViewType = "ACTIVE_ONLY"
    max_results: int = _DEFAULT_MAX
    order_by: list[str] = []
    page_token: str = ""


def add(r: Routes, access: RunAccess) -> None:
    runs = access.runs

    @route(r, "POST", "2.0/mlflow/runs/search", Permission.READ)
    def search(call: Call, body: SearchRuns) -> Json:
        if body.max_results > paging.MAX_RESULTS:
            raise errors.invalid(
                f"Invalid value {body.max_results} for parameter 'max_results' supplied:  Hint: Value was of type "
                f"'int'.{errors.SEE_DOCS}"
            )
        paging.check_max_results(body.max_results)
        found = runs.search(call.workspace_id, call.principal, query(call, access, body))
        answer = shapes.without_empty({"runs": [shapes.run(one) for one in found.items]})
        return {**answer, "next_page_token": found.next} if found.next else answer


def query(call: Call, access: RunAccess, body: SearchRuns) -> Query:
    """Raises INVALID_PARAMETER_VALUE for a filter or an order that can't be read."""
    orders = parse_order(body.order_by, Dialect.MLFLOW)
    return Query(
        filter=_ours(parse(body.filter, Dialect.MLFLOW)),
        order_by=tuple(OrderBy(_column(one.column), one.descending) for one in orders),
        experiments=tuple(_known_ids(call, access, body.experiment_ids)),
        view=_VIEWS[view_name(body.run_view_type)],
        limit=body.max_results,
        after=body.page_token,
        natural=False,
    )


def _known_ids(call: Call, access: RunAccess, experiment_ids: Sequence[str]) -> list[str]:
    """MLflow finds no runs in an experiment that is not there."""
    default = experiments.DEFAULT_ID
    return [
        experiments.find(access.runs.experiments, call, one).id if one == default else one
        for one in experiment_ids
    ]


def _ours(expression: Expression) -> Expression:
    if isinstance(expression, All | AnyOf):
        return dataclasses.replace(expression, operands=tuple(map(_ours, expression.operands)))
    if isinstance(expression, Not):
        return Not(_ours(expression.operand))
    return dataclasses.replace(expression, column=_column(expression.column))


def _column(column: Column) -> Column:
    if isinstance(column, Label) and column.kind is LabelKind.TAG:
        return _FIELDS.get(column.key, column)
    return column
