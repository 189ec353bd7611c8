"""Reads filters and orders: MLflow's filter grammar, and more (docs/how-to/search-runs.md)."""

from __future__ import annotations

import datetime
import difflib
from collections.abc import Callable, Sequence
from enum import Enum

from modelyard.server.kernel.errors import Invalid
from modelyard.server.runs.search import attributes
from modelyard.server.runs.search.attributes import ATTRIBUTES, Holds
from modelyard.server.runs.search.expression import (
    EVERYTHING,
    All,
    AnyOf,
    Attribute,
    Column,
    Comparison,
    Expression,
    IsNull,
    Label,
    LabelKind,
    Like,
    Metric,
    Not,
    OneOf,
    OrderBy,
    Statistic,
    Value,
)
from modelyard.server.runs.search.lexer import Kind, Part, Token, refused, tokens

MAX_DEPTH = 100
MAX_LIST = 10_000
MAX_ORDER = 20

# Names in front of the dot.
_METRICS = frozenset(("metric", "metrics"))
_LABELS = {
    **dict.fromkeys(("param", "params", "parameter", "parameters"), LabelKind.PARAM),
    **dict.fromkeys(("tag", "tags"), LabelKind.TAG),
    **dict.fromkeys(("property", "properties"), LabelKind.PROPERTY),
}
_ATTRIBUTES = frozenset(("attribute", "attributes", "attr", "run"))
_DATASETS = frozenset(("dataset", "datasets"))
_STATISTICS = {s.value: s for s in Statistic}
_EQUAL = {"==": "=", "<>": "!="}
_PREFIXES = "metrics, params, tags, properties or attributes, and a dot"


class Dialect(Enum):
    """How names are read. MLflow's has no statistics, so that `metrics.a.min` is the metric "a.min", and knows a run's status
    only in its own words."""

    OURS = "ours"
    MLFLOW = "mlflow"


def parse(source: str, dialect: Dialect = Dialect.OURS) -> Expression:
    """The expression that a filter's text says; of an empty one, that everything is wanted. Raises Invalid."""
    reader = _Reader(source, dialect)
    if reader.peek.kind is Kind.END:
        return EVERYTHING
    expression = reader.any_of(0)
    reader.expect_end()
    return expression


def parse_order(source: Sequence[str], dialect: Dialect = Dialect.OURS) -> tuple[OrderBy, ...]:
    """Each a column, and ASC or DESC. Raises Invalid."""
    if len(source) > MAX_ORDER:
        raise Invalid("bad_order", f"Runs are ordered by at most {MAX_ORDER} columns, not by {len(source)}.")
    found: list[OrderBy] = []
    for text in source:
        try:
            found.append(_Reader(text, dialect).order())
        except Invalid as error:
            detail = error.detail.replace("The filter", f"The order {text[:80]!r}", 1)
            raise Invalid("bad_order", detail, **error.extra) from None
    columns = [order.column for order in found]
    twice = next((c for i, c in enumerate(columns) if c in columns[:i]), None)
    if twice is not None:
        raise Invalid("bad_order", f"The order names {source[columns.index(twice)][:80]!r} twice.")
    return tuple(found)


class _Reader:
    """Recursive descent: any_of > all_of > negated > test."""

    def __init__(self, source: str, dialect: Dialect) -> None:
        self._source = source
        self._dialect = dialect
        self._tokens = tokens(source)
        self._at = 0

    @property
    def peek(self) -> Token:
        return self._tokens[self._at]

    def any_of(self, depth: int) -> Expression:
        operands = self._chain("OR", lambda: self._chain_all(depth))
        return operands[0] if len(operands) == 1 else AnyOf(tuple(operands))

    def order(self) -> OrderBy:
        column = self._column()
        descending = self._skip("DESC") or (self._skip("ASC") and False)
        self.expect_end("ASC, DESC or nothing more")
        return OrderBy(column, descending)

    def expect_end(self, expected: str = "AND, OR or nothing more") -> None:
        if self.peek.kind is not Kind.END:
            raise self._refused(expected)

    def _chain_all(self, depth: int) -> Expression:
        operands = self._chain("AND", lambda: self._negated(depth))
        return operands[0] if len(operands) == 1 else All(tuple(operands))

    def _chain(self, word: str, operand: Callable[[], Expression]) -> list[Expression]:
        operands = [operand()]
        while self._skip(word):
            operands.append(operand())
        return operands

    def _negated(self, depth: int) -> Expression:
        if depth > MAX_DEPTH:
            raise refused(self._source, self.peek.start, f"it is more than {MAX_DEPTH} levels deep.")
        if self._skip("NOT"):
            return Not(self._negated(depth + 1))
        if self.peek.kind is Kind.OPEN:
            self._at += 1
            inside = self.any_of(depth + 1)
            self._take(Kind.CLOSE, "AND, OR or )")
            return inside
        return self._test()

    def _test(self) -> Expression:
        column = self._column()
        if self._skip("IS"):
            negated = self._skip("NOT")
            self._word("NULL")
            return _negated_if(negated, IsNull(column))
        if self.peek.kind is Kind.OPERATOR:
            operator = self._take(Kind.OPERATOR, "").text
            return Comparison(column, _EQUAL.get(operator, operator), self._value(column))
        negated = self._skip("NOT")
        if self._skip("IN"):
            return _negated_if(negated, OneOf(column, self._values(column)))
        for word in ("LIKE", "ILIKE"):
            if self._skip(word):
                return _negated_if(negated, Like(column, self._pattern(column), word == "ILIKE"))
        if self._skip("BETWEEN"):
            low = self._value(column)
            self._word("AND")
            ends = (Comparison(column, ">=", low), Comparison(column, "<=", self._value(column)))
            return _negated_if(negated, All(ends))
        expected = "IN, LIKE, ILIKE or BETWEEN" if negated else "=, !=, <, <=, >, >=, LIKE, IN, BETWEEN or IS"
        raise self._refused(expected)

    def _column(self) -> Column:
        token = self._take(Kind.NAME, "the name of a column, such as metrics.acc or status")
        first, rest = token.parts[0], token.parts[1:]
        prefix = first.text.lower()
        if not rest:
            return self._attribute(token, first.text)
        if prefix in _METRICS:
            return self._metric(rest)
        if prefix in _LABELS:
            return Label(_LABELS[prefix], _joined(rest))
        if prefix in _ATTRIBUTES:
            return self._attribute(token, _joined(rest))
        if prefix in _DATASETS:
            if self._dialect is Dialect.OURS:
                raise refused(
                    self._source, token.start, "data sets are searched by with MLflow's clients only."
                )
            return self._attribute(token, f"dataset_{_joined(rest)}")
        near = difflib.get_close_matches(prefix, [*_METRICS, *_LABELS, *_ATTRIBUTES], 1)
        hint = f"Did you mean {near[0]}.?" if near else f"It begins with {_PREFIXES}."
        raise refused(self._source, token.start, f"there is no kind of column {first.text[:80]!r}. {hint}")

    def _metric(self, parts: tuple[Part, ...]) -> Metric:
        """A statistic at the end is one unless it stands in quotes, or alone."""
        last = parts[-1]
        if len(parts) > 1 and not last.quote and self._dialect is Dialect.OURS:
            statistic = _STATISTICS.get(last.text.lower())
            if statistic is not None:
                return Metric(_joined(parts[:-1]), statistic)
        return Metric(_joined(parts))

    def _attribute(self, token: Token, name: str) -> Attribute:
        found = attributes.find(name)
        if found is None:
            near = attributes.near(name)
            hint = (
                f"Did you mean {' or '.join(near)}?"
                if near
                else f"Attributes are {', '.join(ATTRIBUTES)}; everything else begins with {_PREFIXES}."
            )
            raise refused(self._source, token.start, f"there is no attribute {name[:80]!r}. {hint}")
        if found.startswith("dataset_") and self._dialect is Dialect.OURS:
            raise refused(self._source, token.start, "data sets are searched by with MLflow's clients only.")
        if found == "status" and self._dialect is Dialect.MLFLOW:
            found = "mlflow_status"
        return Attribute(found)

    def _values(self, column: Column) -> tuple[Value, ...]:
        opened = self._take(Kind.OPEN, "( and a list of values")
        found = [self._value(column)]
        while self._skip_comma():
            if self.peek.kind is Kind.CLOSE and len(found) == 1:
                break  # a list of one as Python writes it
            found.append(self._value(column))
            if len(found) > MAX_LIST:
                raise refused(self._source, opened.start, f"a list has at most {MAX_LIST} values.")
        self._take(Kind.CLOSE, ", or )")
        return tuple(found)

    def _value(self, column: Column) -> Value:
        token = self.peek
        holds = _holds(column)
        if token.kind is Kind.NUMBER and holds is not Holds.TEXT:
            self._at += 1
            return float(token.text)
        text = _text(token)
        if text is None or holds is Holds.NUMBER:
            raise self._refused(_EXPECTED[holds])
        self._at += 1
        return self._milliseconds(token, text) if holds is Holds.TIME else text

    def _pattern(self, column: Column) -> str:
        token = self.peek
        if _holds(column) in (Holds.NUMBER, Holds.TIME):
            raise refused(self._source, token.start, "LIKE looks at texts, and this column holds numbers.")
        text = _text(token)
        if text is None:
            raise self._refused("a pattern in single quotes")
        self._at += 1
        return text

    def _milliseconds(self, token: Token, text: str) -> float:
        try:
            moment = datetime.datetime.fromisoformat(text)
        except ValueError:
            raise refused(
                self._source,
                token.start,
                f"{text[:80]!r} is no time. Write '2026-11-24', '2026-11-24T10:00:00+01:00' or Unix milliseconds.",
            ) from None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=datetime.UTC)
        return moment.timestamp() * 1000

    def _skip(self, word: str) -> bool:
        """Go over this keyword if it is the next."""
        is_next = self.peek.kind is Kind.KEYWORD and self.peek.text == word
        self._at += is_next
        return is_next

    def _skip_comma(self) -> bool:
        is_next = self.peek.kind is Kind.COMMA
        self._at += is_next
        return is_next

    def _word(self, word: str) -> None:
        if not self._skip(word):
            raise self._refused(word)

    def _take(self, kind: Kind, expected: str) -> Token:
        token = self.peek
        if token.kind is not kind:
            raise self._refused(expected)
        self._at += 1
        return token

    def _refused(self, expected: str) -> Invalid:
        return refused(self._source, self.peek.start, f"expected {expected}.")


_EXPECTED = {
    Holds.TEXT: "a text in single quotes",
    Holds.NUMBER: "a number",
    Holds.TIME: "a time: ISO text in single quotes, or Unix milliseconds",
    None: "a text in single quotes, or a number",
}


def _holds(column: Column) -> Holds | None:
    """None: texts, which may be those of numbers."""
    if isinstance(column, Attribute):
        return ATTRIBUTES[column.name].holds
    return Holds.NUMBER if isinstance(column, Metric) else None


def _text(token: Token) -> str | None:
    """A quoted text; MLflow takes double quotes for one too."""
    if token.kind is Kind.TEXT:
        return token.value
    if token.kind is Kind.NAME and len(token.parts) == 1 and token.parts[0].quote == '"':
        return token.parts[0].text
    return None


def _joined(parts: Sequence[Part]) -> str:
    return ".".join(part.text for part in parts)


def _negated_if(negated: bool, expression: Expression) -> Expression:
    return Not(expression) if negated else expression
