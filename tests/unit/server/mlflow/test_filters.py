"""The small filters of MLflow's lists."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.server.kernel.errors import ProblemError
from modelyard.server.mlflow import filters
from modelyard.server.mlflow.filters import Clause, Order
from modelyard.server.mlflow.metrics import sampled

KINDS = {"tag": "tag", "tags": "tag", "metrics": "metric"}


def parse(text: str) -> list[Clause]:
    return filters.parse(text, {"name", "time"}, KINDS)


def test_clauses_are_joined_by_and() -> None:
    assert parse("name = 'it''s' AND tags.`a b` LIKE \"x%\" and metrics.acc>=-1.5e3") == [
        Clause("attribute", "name", "=", "it's"),
        Clause("tag", "a b", "LIKE", "x%"),
        Clause("metric", "acc", ">=", -1500.0),
    ]
    assert parse("  ") == []
    assert parse("name IN ('a', 'b') AND tag.x IS NOT NULL") == [
        Clause("attribute", "name", "IN", ("a", "b")),
        Clause("tag", "x", "IS NOT NULL", None),
    ]


@pytest.mark.parametrize(
    "text",
    ["name", "name =", "= 'a'", "name = 'a' OR name = 'b'", "name = 'a' name = 'b'", "other = 'a'", "x.y = 'a'",
     "name = a", "name IN 'a'", "name IN ()", "name = ('a')", "name IS NULL 'a'", "name = 'a", "name = 'a' AND"],
)  # fmt: skip
def test_what_is_no_filter_is_refused(text: str) -> None:
    with pytest.raises(ProblemError):
        parse(text)


@given(st.text(alphabet="name tag.='\"`()AND><IN,%1\\\n", max_size=60))
def test_no_text_ends_in_anything_but_clauses_or_a_refusal(text: str) -> None:
    with contextlib.suppress(ProblemError):
        assert isinstance(parse(text), list)


def test_nothing_is_last_in_either_direction() -> None:
    rows = [("a", 2), ("b", None), ("c", 1)]
    for descending, expected in ((False, "cab"), (True, "acb")):
        keys = [(lambda row: row[1], descending)]
        assert "".join(row[0] for row in filters.in_order(rows, keys)) == expected


def test_an_order_names_one_column_and_perhaps_a_direction() -> None:
    assert filters.parse_order("tags.x DESC", {"name"}, KINDS) == Order("tag", "x", True)
    assert filters.parse_order(" name ", {"name"}, KINDS) == Order("attribute", "name", False)
    with pytest.raises(ProblemError):
        filters.parse_order("name DOWN", {"name"}, KINDS)


@given(st.integers(0, 300), st.integers(1, 50))
def test_a_sample_holds_the_ends_and_no_more_than_was_asked(count: int, most: int) -> None:
    points = [(i, i, float(i)) for i in range(count)]
    chosen = sampled(points, most)
    assert len(chosen) == min(count, most)
    assert chosen == sorted(chosen)
    if count and most > 1:
        assert (chosen[0], chosen[-1]) == (points[0], points[-1])
