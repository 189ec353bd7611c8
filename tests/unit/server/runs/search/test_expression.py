"""The expression language: what it reads, what it says of what it can't read."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard.server.kernel.errors import Invalid
from modelyard.server.runs.search.attributes import ATTRIBUTES, Holds
from modelyard.server.runs.search.expression import (
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
    order_text,
    text,
)
from modelyard.server.runs.search.parser import MAX_DEPTH, MAX_LIST, Dialect, parse, parse_order

_KEYS = st.one_of(
    st.sampled_from(["acc", "a.min", "min", "val-loss", "system/cpu", "a b", "", "x.y.max", "\"'`", "é"]),
    st.text(max_size=8),
)
_NUMBERS = st.floats(allow_nan=False)
_TEXTS = st.one_of(st.sampled_from(["", "it's", "%_", "NULL", "1"]), st.text(max_size=8))


def _tests(column: Column) -> st.SearchStrategy[Expression]:
    if isinstance(column, Attribute):
        values = _TEXTS if ATTRIBUTES[column.name].holds is Holds.TEXT else _NUMBERS
    else:
        values = _NUMBERS if isinstance(column, Metric) else st.one_of(_NUMBERS, _TEXTS)
    made = [
        st.builds(Comparison, st.just(column), st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), values),
        st.builds(OneOf, st.just(column), st.lists(values, min_size=1, max_size=3).map(tuple)),
        st.just(IsNull(column)),
    ]
    if values is not _NUMBERS:
        made.append(st.builds(Like, st.just(column), _TEXTS, st.booleans()))
    return st.one_of(made)


COLUMNS = st.one_of(
    st.builds(Attribute, st.sampled_from([name for name in ATTRIBUTES if not name.startswith("dataset_")])),
    st.builds(Metric, _KEYS, st.sampled_from(Statistic)),
    st.builds(Label, st.sampled_from(LabelKind), _KEYS),
)


def _groups(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    several = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return st.one_of(st.builds(Not, inner), st.builds(All, several), st.builds(AnyOf, several))


EXPRESSIONS = st.recursive(COLUMNS.flatmap(_tests), _groups, max_leaves=8)


@given(EXPRESSIONS)
def test_what_is_written_reads_as_it_was(expression: Expression) -> None:
    assert parse(text(expression)) == expression


@given(st.lists(st.builds(OrderBy, COLUMNS, st.booleans()), max_size=4, unique_by=lambda o: o.column))
def test_an_order_reads_as_it_was(order: list[OrderBy]) -> None:
    assert list(parse_order([order_text(one) for one in order])) == order


_PIECES = ["metrics", ".", "a", "=", "'", '"', "`", "(", ")", ",", " AND ", " NOT ", " IN ", " IS NULL", "1", "-", "e9", "<", "\x00", "é"]  # fmt: skip


def _problem(read: Callable[[], object]) -> Invalid | None:
    try:
        read()
    except Invalid as error:
        return error
    return None


@given(st.one_of(st.text(max_size=60), st.lists(st.sampled_from(_PIECES), max_size=20).map("".join)))
def test_any_text_is_read_or_refused_in_words(source: str) -> None:
    for dialect in Dialect:
        filter_problem = _problem(lambda dialect=dialect: parse(source, dialect))
        order_problem = _problem(lambda dialect=dialect: parse_order([source], dialect))
        for problem, code in ((filter_problem, "bad_filter"), (order_problem, "bad_order")):
            assert problem is None or problem.code == code
            assert problem is None or 0 <= problem.extra["position"] <= len(source)


_ACC, _TEAM, _LR = Metric("acc"), Label(LabelKind.TAG, "team"), Label(LabelKind.PARAM, "lr")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("", All(())),
        ("metrics.acc > 0.9 and (tags.team = 'a' or params.lr in ('1','2'))",
         All((Comparison(_ACC, ">", 0.9), AnyOf((Comparison(_TEAM, "=", "a"), OneOf(_LR, ("1", "2"))))))),
        ("metric.acc<>1 AND metrics.`acc` = -1e-3", All((Comparison(_ACC, "!=", 1.0), Comparison(_ACC, "=", -0.001)))),
        ("not tag.team is not null", Not(Not(IsNull(_TEAM)))),
        ('parameters."lr" not like "x%"', Not(Like(_LR, "x%"))),
        ("param.lr ILIKE 'A%' OR tags.team NOT IN ('x',)",
         AnyOf((Like(_LR, "A%", True), Not(OneOf(_TEAM, ("x",)))))),
        ("metrics.acc BETWEEN 1 AND 2", All((Comparison(_ACC, ">=", 1.0), Comparison(_ACC, "<=", 2.0)))),
        ("metrics.acc.max >= 1", Comparison(Metric("acc", Statistic.MAX), ">=", 1.0)),
        ('metrics."acc.max" >= 1', Comparison(Metric("acc.max"), ">=", 1.0)),
        ('metrics."acc.max".min >= 1', Comparison(Metric("acc.max", Statistic.MIN), ">=", 1.0)),
        ("metrics.max >= 1", Comparison(Metric("max"), ">=", 1.0)),
        ("tags.mlflow.source.name = 'x'", Comparison(Label(LabelKind.TAG, "mlflow.source.name"), "=", "x")),
        ("attributes.status = 'FINISHED'", Comparison(Attribute("status"), "=", "FINISHED")),
        ("attr.`Run name` = 'it''s'", Comparison(Attribute("run_name"), "=", "it's")),
        ("Created > 1700000000123", Comparison(Attribute("start_time"), ">", 1700000000123.0)),
        ("start_time >= '2026-11-24T01:00:00+01:00'", Comparison(Attribute("start_time"), ">=", 1795478400000.0)),
        ("end_time < '2026-11-24'", Comparison(Attribute("end_time"), "<", 1795478400000.0)),
    ],
)  # fmt: skip
def test_the_grammar(source: str, expected: Expression) -> None:
    assert parse(source) == expected


def test_mlflow_reads_a_dotted_metric_whole_and_a_status_in_its_words() -> None:
    assert parse("dataset.name = 'd'", Dialect.MLFLOW) == Comparison(Attribute("dataset_name"), "=", "d")
    assert parse("metrics.acc.max > 1", Dialect.MLFLOW) == Comparison(Metric("acc.max"), ">", 1.0)
    assert parse("status = 'FINISHED'", Dialect.MLFLOW) == Comparison(
        Attribute("mlflow_status"), "=", "FINISHED"
    )


@pytest.mark.parametrize(
    ("source", "position", "said"),
    [
        ("stats = 'x'", 0, "Did you mean status?"),
        ("colour = 'x'", 0, "Attributes are run_id"),
        ("metrics.acc > 'x'", 14, "expected a number"),
        ("metrics.acc >", 13, "at its end: expected a number"),
        ("metrics.acc 1", 12, "expected =, !="),
        ("(metrics.acc > 1", 16, "expected AND, OR or )"),
        ("metrics.acc > 1 tags.a = 'b'", 16, "expected AND, OR or nothing more"),
        ("status = Completed", 9, "expected a text in single quotes"),
        ("tags.a = 'b", 9, "is not closed"),
        ("a.b = 1", 0, "It begins with metrics, params"),
        ("dataset.name = 'd'", 0, "MLflow's clients only"),
        ("parms.b = 1", 0, "Did you mean params.?"),
        ("metrics.acc > 1 && tags.a = 'b'", 16, "Write AND or OR."),
        ("start_time > 'yesterday'", 13, "is no time"),
        ("metrics.acc LIKE 'a'", 17, "LIKE looks at texts"),
        ("tags.a IN ()", 11, "expected a text"),
        ("tags. = 'b'", 5, "goes on after its dot"),
    ],
)
def test_an_error_points_at_the_place_and_says_what_was_expected(
    source: str, position: int, said: str
) -> None:
    with pytest.raises(Invalid) as caught:
        parse(source)
    assert caught.value.extra["position"] == position
    assert said in caught.value.detail


def test_what_is_too_much_is_refused() -> None:
    values = ",".join(["'a'"] * (MAX_LIST + 1))
    for source in (
        "(" * (MAX_DEPTH + 2) + "status = 'x'",
        "NOT " * (MAX_DEPTH + 2) + "status = 'x'",
        f"tags.a IN ({values})",
        " " * 200_000,
    ):
        with pytest.raises(Invalid, match=r"at most|more than"):
            parse(source)
    with pytest.raises(Invalid, match="at most"):
        parse_order(["status"] * 30)
    with pytest.raises(Invalid, match="twice"):
        parse_order(["status", "attributes.status DESC"])


def test_a_bad_order_is_called_one() -> None:
    with pytest.raises(Invalid, match=r"The order .metrics.acc up. can.t be read at character 13") as caught:
        parse_order(["metrics.acc up"])
    assert caught.value.code == "bad_order"
