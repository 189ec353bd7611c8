"""MLflow's filters and orders of registered models and their versions, as the models slice takes them."""

from __future__ import annotations

from collections.abc import Sequence

from modelyard.server.mlflow import errors, filters
from modelyard.server.mlflow.filters import ATTRIBUTE, Clause
from modelyard.server.models.search import Condition, Order

_KINDS = {"tag": "tag", "tags": "tag"}
_OF_NAMES = {"name": "name"}
_OF_VERSIONS = {"name": "name", "version_number": "version", "run_id": "run_id", "source_path": "source"}
_LISTS = {"name", "run_id"}
_TIMES = {"creation_timestamp": "created_at", "last_updated_timestamp": "updated_at"}
_NAMES_BY = {"name": "name", "timestamp": "updated_at", **_TIMES}
_VERSIONS_BY = {"name": "name", "version_number": "version", **_TIMES}
_LATEST_FIRST = ("last_updated_timestamp DESC", "name ASC", "version_number DESC")
# Prompts are registered models with this tag, which only those see who ask for it.
_PROMPT = "mlflow.prompt.is_prompt"


def of_names(text: str, order_by: Sequence[str]) -> tuple[list[Condition], list[Order]]:
    return _conditions(text, _OF_NAMES), _orders(order_by, _NAMES_BY)


def of_versions(text: str, order_by: Sequence[str]) -> tuple[list[Condition], list[Order]]:
    return _conditions(text, _OF_VERSIONS), _orders(order_by or _LATEST_FIRST, _VERSIONS_BY)


def _conditions(text: str, fields: dict[str, str]) -> list[Condition]:
    clauses = filters.parse(text, fields, _KINDS)
    of_prompts = [c for c in clauses if (c.kind, c.key) == ("tag", _PROMPT)]
    found = [_condition(c, fields) for c in clauses if c not in of_prompts]
    wanted = any((c.op, str(c.value).lower()) in (("=", "true"), ("!=", "false")) for c in of_prompts)
    return [*found, Condition("tag", "=", "true", key=_PROMPT, without=not wanted)]


def _condition(clause: Clause, fields: dict[str, str]) -> Condition:
    is_attribute = clause.kind == ATTRIBUTE
    is_number = is_attribute and clause.key == "version_number"
    filters.check_ops(clause, is_number, is_attribute and clause.key in _LISTS)
    if clause.op.startswith("IS "):
        return Condition("tag", "LIKE", "%", key=clause.key, without=clause.op == "IS NULL")
    value = list(clause.value) if isinstance(clause.value, tuple) else clause.value
    assert value is not None
    if is_attribute:
        return Condition(fields[clause.key], clause.op, value)
    return Condition("tag", clause.op, value, key=clause.key)


def _orders(order_by: Sequence[str], fields: dict[str, str]) -> list[Order]:
    found: list[Order] = []
    for text in order_by:
        order = filters.parse_order(text, fields, {})
        if any(other.field == fields[order.key] for other in found):
            raise errors.invalid(f"`order_by` contains duplicate fields: {list(order_by)}")
        found.append(Order(fields[order.key], order.descending))
    return found
