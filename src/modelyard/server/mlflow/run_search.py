"""MLflow's search of runs: its filters are read by the yard's own language of search, in MLflow's dialect."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

from modelyard.server.kernel.auth import Permission
from modelyard.server.kernel.http import Call, Routes
from modelyard.server.mlflow import errors, experiments, paging, shapes
from modelyard.server.mlflow.access import RunAccess
from modelyard.server.mlflow.experiments import ViewType, view_name
from modelyard.server.mlflow.protocol import Int64, Message, route
from modelyard.server.mlflow.shapes import NOTE, PARENT, RUN_NAME, USER, Json
from modelyard.server.runs.inputs_store import DatasetUse
from modelyard.server.runs.search.expression import (
    All,
    AnyOf,
    Attribute,
    Column,
    Expression,
    IsNull,
    Label,
    LabelKind,
    Like,
    Not,
    OneOf,
    OrderBy,
    Test,
)
from modelyard.server.runs.search.parser import Dialect, parse, parse_order
from modelyard.server.runs.search.patterns import matcher
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
# Attributes of a run's data sets -> fields of DatasetUse.
_DATASETS = {"dataset_name": "name", "dataset_digest": "digest", "dataset_context": "context"}


class SearchRuns(Message):
    experiment_ids: list[str] = []
    filter: str = ""
    run_view_type: ViewType = "ACTIVE_ONLY"
    max_results: Int64 = _DEFAULT_MAX
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
        inputs = runs.tracking.inputs_of([one.info.id for one in found.items])
        answer = shapes.without_empty(
            {"runs": [shapes.run(one, inputs.get(one.info.id)) for one in found.items]}
        )
        return {**answer, "next_page_token": found.next} if found.next else answer


def query(call: Call, access: RunAccess, body: SearchRuns) -> Query:
    """Raises INVALID_PARAMETER_VALUE for a filter or an order that can't be read."""
    orders = parse_order(body.order_by, Dialect.MLFLOW)
    ids = experiments.known_ids(access.runs.experiments, call, body.experiment_ids)
    uses = functools.cache(lambda: access.runs.tracking.dataset_uses(call.workspace_id, ids))
    return Query(
        filter=_ours(parse(body.filter, Dialect.MLFLOW), uses),
        order_by=tuple(OrderBy(_column(one.column), one.descending) for one in orders),
        experiments=tuple(ids),
        view=_VIEWS[view_name(body.run_view_type)],
        limit=body.max_results,
        after=body.page_token,
        natural=False,
    )


def _ours(expression: Expression, uses: Callable[[], list[DatasetUse]]) -> Expression:
    """With our columns for MLflow's, and with the runs that a test of data sets finds in its place: a run may read many."""
    if isinstance(expression, All | AnyOf):
        operands = tuple(_ours(operand, uses) for operand in expression.operands)
        return dataclasses.replace(expression, operands=operands)
    if isinstance(expression, Not):
        return Not(_ours(expression.operand, uses))
    column = expression.column
    if isinstance(column, Attribute) and column.name in _DATASETS:
        found = {use.run_id for use in uses() if _holds(expression, getattr(use, _DATASETS[column.name]))}
        return OneOf(Attribute("run_id"), tuple(sorted(found))) if found else AnyOf(())
    return dataclasses.replace(expression, column=_column(column))


def _holds(test: Test, value: str | None) -> bool:
    if isinstance(test, IsNull):
        return value is None
    if value is None:
        return False
    if isinstance(test, OneOf):
        return value in test.values
    if isinstance(test, Like):
        return matcher(test.pattern, test.any_case)(value)
    return (value == test.value) is (test.operator == "=")


def _column(column: Column) -> Column:
    if isinstance(column, Label) and column.kind is LabelKind.TAG:
        return _FIELDS.get(column.key, column)
    return column
