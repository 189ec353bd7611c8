"""The small filters of MLflow's lists (of experiments, models, traces): comparisons joined by AND.

Runs have a language of their own (`runs/search`). Nothing here is evaluated as code.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from modelyard.server.mlflow import errors
from modelyard.server.runs.search.patterns import matcher

MAX_LENGTH = 100_000
ATTRIBUTE = "attribute"

Value = str | float | tuple[str, ...] | None

_SPACE = r"\s*"
_NAME = r"""(?P<name>(?:[\w-]+\.)?(?:`[^`]*`|"[^"]*"|[\w./-]+))"""
_OPERATOR = r"(?P<op><=|>=|!=|<>|=|<|>|NOT\s+IN\b|IN\b|LIKE\b|ILIKE\b|RLIKE\b|IS\s+NOT\s+NULL\b|IS\s+NULL\b)"
_TEXT = r"""'(?:[^'\\]|''|\\.)*'|"[^"]*\""""
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_VALUE = rf"(?P<value>{_TEXT}|{_NUMBER}|\((?:[^()'\"]|{_TEXT})*\))?"
_CLAUSE = re.compile(_SPACE + _NAME + _SPACE + _OPERATOR + _SPACE + _VALUE + _SPACE, re.IGNORECASE)
_AND = re.compile(r"AND\b\s*", re.IGNORECASE)
_TEXTS = re.compile(_TEXT)
_ORDER = re.compile(rf"{_SPACE}{_NAME}{_SPACE}(?P<way>ASC|DESC)?{_SPACE}$", re.IGNORECASE)

T = TypeVar("T")


@dataclass(frozen=True)
class Clause:
    """`kind` is ATTRIBUTE or what stands before the dot, in the singular; `op` in capitals."""

    kind: str
    key: str
    op: str
    value: Value


@dataclass(frozen=True)
class Order:
    kind: str
    key: str
    descending: bool


def parse(text: str, attributes: Collection[str], kinds: Mapping[str, str]) -> list[Clause]:
    """The clauses of a filter. `kinds`: what may stand before a dot -> the kind. Raises INVALID_PARAMETER_VALUE."""
    if len(text) > MAX_LENGTH:
        raise errors.invalid(f"The filter has {len(text)} characters; at most {MAX_LENGTH} are read.")
    found: list[Clause] = []
    at = 0
    while text[at:].strip():
        if found:
            joined = _AND.match(text, at)
            if joined is None:
                raise errors.invalid(f"Invalid clause(s) in filter string: {text[at : at + 80]}")
            at = joined.end()
        match = _CLAUSE.match(text, at)
        if match is None:
            raise errors.invalid(f"Invalid clause(s) in filter string: {text[at : at + 80]}")
        kind, key = _identifier(match["name"], attributes, kinds)
        op = " ".join(match["op"].upper().split())
        found.append(Clause(kind, key, "!=" if op == "<>" else op, _value(op, match["value"], match[0])))
        at = match.end()
    return found


def parse_order(text: str, attributes: Collection[str], kinds: Mapping[str, str]) -> Order:
    match = _ORDER.match(text)
    if match is None:
        raise errors.invalid(f"Invalid order_by clause '{text[:80]}'. Could not be parsed.")
    kind, key = _identifier(match["name"], attributes, kinds)
    return Order(kind, key, (match["way"] or "").upper() == "DESC")


def check_ops(clause: Clause, numeric: bool, lists: bool = False) -> None:
    """Texts are compared for being equal or alike, numbers by size. Raises INVALID_PARAMETER_VALUE."""
    allowed = {"=", "!=", "<", "<=", ">", ">="} if numeric else {"=", "!=", "LIKE", "ILIKE"}
    if lists:
        allowed |= {"IN", "NOT IN"}
    if clause.kind != ATTRIBUTE:
        allowed |= {"IS NULL", "IS NOT NULL"}
    if clause.op not in allowed:
        sort = (
            ("numeric " if numeric else "string ") + clause.kind if clause.kind == ATTRIBUTE else clause.kind
        )
        raise errors.invalid(f"Invalid comparator for {sort}: {clause.op}")
    if clause.op.startswith("IS "):
        return
    if numeric and not isinstance(clause.value, float):
        raise errors.invalid(f"Invalid value for numeric attribute '{clause.key}': {clause.value!r}")
    if not numeric and isinstance(clause.value, float):
        raise errors.invalid(
            f"Expected a quoted string value for {clause.kind} '{clause.key}'. Got value {clause.value:g}"
        )


def holds(clause: Clause, value: Any) -> bool:
    """Whether the comparison holds for a value; None is NULL, for which none does but IS NULL."""
    op, wanted = clause.op, clause.value
    if op == "IS NULL":
        return value is None
    if value is None:
        return False
    if op == "IS NOT NULL":
        return True
    return _COMPARED[op](value, wanted)


def in_order(rows: Iterable[T], keys: list[tuple[Callable[[T], Any], bool]]) -> list[T]:
    """Sorted by the first key, then the next …; each with whether it descends. None comes last."""
    found = list(rows)
    for key, descending in reversed(keys):
        found.sort(key=key_or_nothing(key, descending), reverse=descending)
    return found


def key_or_nothing(key: Callable[[T], Any], descending: bool) -> Callable[[T], tuple[bool, Any]]:
    def sortable(row: T) -> tuple[bool, Any]:
        value = key(row)
        return (value is None) is not descending, 0 if value is None else value

    return sortable


_COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "IN": lambda a, b: a in b,
    "NOT IN": lambda a, b: a not in b,
    "LIKE": lambda a, b: matcher(b, False)(a),
    "ILIKE": lambda a, b: matcher(b, True)(a),
}


def _identifier(name: str, attributes: Collection[str], kinds: Mapping[str, str]) -> tuple[str, str]:
    first, dot, rest = name.partition(".")
    if not dot or first[:1] in ("`", '"'):
        kind, key = ATTRIBUTE, name
    else:
        known = {**kinds, "attribute": ATTRIBUTE, "attributes": ATTRIBUTE, "attr": ATTRIBUTE}
        if first not in known:
            raise errors.invalid(
                f"Invalid entity type '{first}'. Valid entity types are {tuple(sorted(known))}"
            )
        kind, key = known[first], rest
    if key[:1] in ("`", '"'):
        key = key[1:-1]
    if not key:
        raise errors.invalid(f"Invalid clause(s) in filter string: {name}")
    if kind == ATTRIBUTE and key not in attributes:
        raise errors.invalid(
            f"Invalid attribute key '{key}' specified. Valid keys are '{sorted(attributes)}'"
        )
    return kind, key


def _value(op: str, text: str | None, clause: str) -> Value:
    if op.startswith("IS "):
        if text:
            raise errors.invalid(f"Invalid clause(s) in filter string: {clause.strip()}")
        return None
    if not text:
        raise errors.invalid(f"Invalid clause(s) in filter string: {clause.strip()}")
    if text[0] == "(":
        if not op.endswith("IN"):
            raise errors.invalid(f"Invalid clause(s) in filter string: {clause.strip()}")
        values = tuple(_unquoted(t) for t in _TEXTS.findall(text))
        if not values:
            raise errors.invalid(
                "While parsing a list in the query, expected a non-empty list of string values, but got empty list"
            )
        return values
    if op.endswith("IN"):
        raise errors.invalid(f"Invalid clause(s) in filter string: {clause.strip()}")
    return _unquoted(text) if text[0] in "'\"" else float(text)


def _unquoted(text: str) -> str:
    return text[1:-1].replace("''", "'") if text[0] == "'" else text[1:-1]
