"""What a filter says, as frozen dataclasses: never text that is run, and the same for every face that asks."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

KEYWORDS = frozenset(("AND", "OR", "NOT", "IN", "IS", "NULL", "LIKE", "ILIKE", "BETWEEN", "ASC", "DESC"))
_WORD = re.compile(r"[^\W\d][\w/-]*")
_KEY = re.compile(r"[\w/-]+(\.[\w/-]+)*")


class Statistic(Enum):
    """What of a metric is meant."""

    LAST = "last"
    MIN = "min"
    MAX = "max"
    COUNT = "count"


class LabelKind(Enum):
    PARAM = "param"
    TAG = "tag"
    PROPERTY = "property"


@dataclass(frozen=True)
class Attribute:
    """A column that every run has; `name` is one of `attributes.ATTRIBUTES`."""

    name: str


@dataclass(frozen=True)
class Metric:
    key: str
    statistic: Statistic = Statistic.LAST


@dataclass(frozen=True)
class Label:
    kind: LabelKind
    key: str


Column = Attribute | Metric | Label
Value = float | str


@dataclass(frozen=True)
class Comparison:
    """`operator` is one of = != < <= > >=. Times are Unix milliseconds."""

    column: Column
    operator: str
    value: Value


@dataclass(frozen=True)
class OneOf:
    column: Column
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Like:
    """SQL's pattern: `%` is any text, `_` any one character."""

    column: Column
    pattern: str
    any_case: bool = False


@dataclass(frozen=True)
class IsNull:
    column: Column


@dataclass(frozen=True)
class Not:
    operand: Expression


@dataclass(frozen=True)
class All:
    """Nothing in it: true."""

    operands: tuple[Expression, ...]


@dataclass(frozen=True)
class AnyOf:
    """Nothing in it: false."""

    operands: tuple[Expression, ...]


Test = Comparison | OneOf | Like | IsNull
Expression = Test | Not | All | AnyOf

EVERYTHING = All(())


@dataclass(frozen=True)
class OrderBy:
    column: Column
    descending: bool = False


def columns(expression: Expression) -> Iterator[Column]:
    """The columns that an expression speaks of, some of them perhaps twice."""
    if isinstance(expression, Not):
        yield from columns(expression.operand)
    elif isinstance(expression, All | AnyOf):
        for operand in expression.operands:
            yield from columns(operand)
    else:
        yield expression.column


def text(expression: Expression) -> str:
    """The expression as somebody would write it; reading that gives the same expression."""
    if isinstance(expression, All | AnyOf):
        return _joined(expression)
    if isinstance(expression, Not):
        return f"NOT {_enclosed(expression.operand)}"
    name = column_text(expression.column)
    if isinstance(expression, Comparison):
        return f"{name} {expression.operator} {_value(expression.value)}"
    if isinstance(expression, OneOf):
        return f"{name} IN ({', '.join(map(_value, expression.values))})"
    if isinstance(expression, Like):
        return f"{name} {'ILIKE' if expression.any_case else 'LIKE'} {_value(expression.pattern)}"
    return f"{name} IS NULL"


def order_text(order: OrderBy) -> str:
    return column_text(order.column) + (" DESC" if order.descending else "")


def column_text(column: Column) -> str:
    if isinstance(column, Attribute):
        return column.name
    if isinstance(column, Label):
        prefix = "properties" if column.kind is LabelKind.PROPERTY else column.kind.value + "s"
        return f"{prefix}.{_key(column.key)}"
    statistic = "" if column.statistic is Statistic.LAST else f".{column.statistic.value}"
    *_, ending = column.key.split(".")
    # The end of a name that reads like a statistic is only quoted the name's own.
    is_plain = ending not in {s.value for s in Statistic} or "." not in column.key
    return f"metrics.{_key(column.key) if is_plain or statistic else _quoted(column.key)}{statistic}"


def _joined(expression: All | AnyOf) -> str:
    if not expression.operands:  # nothing that is never there is null, so this is always true
        return "run_id IS NULL" if isinstance(expression, AnyOf) else ""
    word = " AND " if isinstance(expression, All) else " OR "
    return word.join(map(_enclosed, expression.operands))


def _enclosed(expression: Expression) -> str:
    return f"({text(expression)})" if isinstance(expression, All | AnyOf) else text(expression)


def _key(key: str) -> str:
    return key if _KEY.fullmatch(key) else _quoted(key)


def _quoted(key: str) -> str:
    return '"' + key.replace('"', '""') + '"'


def _value(value: Value) -> str:
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if math.isinf(value):
        return "1e999" if value > 0 else "-1e999"
    return repr(value)
