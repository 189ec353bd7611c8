"""The meaning of an expression, one run at a time, as the documentation tells it."""

from __future__ import annotations

import math
import operator
import re
from dataclasses import dataclass
from typing import Any

from modelyard.server.runs import lifecycle
from modelyard.server.runs.search.expression import (
    All,
    AnyOf,
    Attribute,
    Column,
    Comparison,
    Expression,
    IsNull,
    Label,
    Like,
    Metric,
    Not,
    OneOf,
    OrderBy,
)
from modelyard.wire.runs import RunInfo

_COMPARE = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_TIMES = {"start_time", "end_time", "created_at"}


@dataclass(frozen=True)
class NaiveRun:
    info: RunInfo
    metrics: dict[str, list[float]]  # all that was logged, in order


def value(run: NaiveRun, column: Column) -> Any:
    """None is NULL."""
    info = run.info
    if isinstance(column, Metric):
        logged = run.metrics.get(column.key)
        if logged is None:
            return None
        finite = [v for v in logged if not math.isnan(v)] or [math.nan]
        return {"last": logged[-1], "min": min(finite), "max": max(finite), "count": len(logged)}[
            column.statistic.value
        ]
    if isinstance(column, Label):
        return {"tag": info.tags, "property": info.properties, "param": info.params}[column.kind.value].get(
            column.key
        )
    took = None if info.ended_at is None or info.started_at is None else info.ended_at - info.started_at
    return {
        "run_id": info.id, "run_name": info.display_name, "status": info.status.value, "experiment": info.experiment,
        "mlflow_status": lifecycle.MLFLOW[info.status.value], "number": info.number, "parent": info.parent_id,
        "start_time": info.created_at if info.started_at is None else info.started_at, "end_time": info.ended_at,
        "created_at": info.created_at, "duration": took, "exit_code": info.exit_code, "type": info.type,
        "user_id": info.user, "description": info.description,
    }[column.name]  # fmt: skip


def holds(run: NaiveRun, expression: Expression) -> bool | None:
    """None: unknown."""
    if isinstance(expression, Not):
        inner = holds(run, expression.operand)
        return None if inner is None else not inner
    if isinstance(expression, All | AnyOf):
        decides = isinstance(expression, AnyOf)
        found = [holds(run, operand) for operand in expression.operands]
        return decides if decides in found else None if None in found else not decides
    held = value(run, expression.column)
    if isinstance(expression, IsNull):
        return held is None
    if held is None:
        return None
    if expression.column == Attribute("status"):
        names = [held, lifecycle.MLFLOW[held]]
        found = [_passes(name, expression) for name in names]
        return (
            all(found) if isinstance(expression, Comparison) and expression.operator == "!=" else any(found)
        )
    if isinstance(expression.column, Attribute) and expression.column.name in _TIMES:
        held = round(held * 1000)
    return _passes(held, expression)


def _passes(held: Any, test: Expression) -> bool | None:
    if isinstance(test, Like):
        pattern = re.escape(test.pattern).replace("%", ".*").replace("_", ".")
        flags = re.DOTALL | (re.IGNORECASE if test.any_case else 0)
        return re.fullmatch(pattern, held, flags) is not None
    if isinstance(test, OneOf):
        found = [_compare("=", held, one) for one in test.values]
        return True if True in found else None if None in found and False not in found else False
    assert isinstance(test, Comparison)
    return _compare(test.operator, held, test.value)


def _compare(sign: str, held: Any, wanted: float | str) -> bool | None:
    if isinstance(held, str) and not isinstance(wanted, str):
        held = number(held)
        if held is None:
            return None
    return bool(_COMPARE[sign](held, wanted))


def number(text: str) -> float | None:
    try:
        found = float(text)
    except ValueError:
        return None
    return None if math.isnan(found) else found


def ordered(runs: list[NaiveRun], order: tuple[OrderBy, ...], natural: bool) -> list[NaiveRun]:
    done = sorted(runs, key=lambda run: run.info.id)
    done.sort(key=lambda run: -value(run, Attribute("start_time")))
    for one in reversed(order):
        done.sort(key=lambda run: _key(value(run, one.column), natural), reverse=one.descending)
        done.sort(key=lambda run: _rank(value(run, one.column)))
    return done


def _rank(held: Any) -> int:
    return 2 if held is None else 1 if isinstance(held, float) and math.isnan(held) else 0


def _key(held: Any, natural: bool) -> tuple[int, float, str]:
    if _rank(held):
        return 0, 0.0, ""
    if not isinstance(held, str):
        return 0, float(held), ""
    found = number(held) if natural else None
    return (1, 0.0, held) if found is None else (0, found, held)
