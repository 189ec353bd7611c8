"""Search against its meaning, told run by run (naive_search.py), while runs come, change and go; on both databases."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from naive_search import NaiveRun, holds, ordered
from run_yard import RunYard, W, run_yard

from modelyard.server.kernel.auth import Kind, Principal
from modelyard.server.runs import store
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
)
from modelyard.server.runs.search.query import Query, View
from modelyard.server.runs.search.service import Page

OWNER = Principal(Kind.OWNER)
_NAMES = ["a", "b"]
_TEXTS = ["", "x", "X1", "10", "9", "1e1", "long" * 100]
_NUMBERS = [-1.0, 0.0, 9.0, 10.0, math.inf]

LABELS = st.builds(Label, st.sampled_from(LabelKind), st.sampled_from(_NAMES))
METRICS = st.builds(Metric, st.sampled_from(_NAMES), st.sampled_from(Statistic))
TEXT_ATTRIBUTES = st.sampled_from(
    ["run_id", "run_name", "status", "mlflow_status", "experiment", "parent", "type"]
)
NUMBER_ATTRIBUTES = st.sampled_from(
    ["number", "duration", "start_time", "end_time", "created_at", "exit_code"]
)
COLUMNS = st.one_of(LABELS, METRICS, st.builds(Attribute, st.one_of(TEXT_ATTRIBUTES, NUMBER_ATTRIBUTES)))


def _tests(column: Column) -> st.SearchStrategy[Expression]:
    numbers, texts = (
        st.sampled_from(_NUMBERS),
        st.sampled_from([*_TEXTS, "FINISHED", "Running", "r0", "r1", "e"]),
    )
    is_text = isinstance(column, Label) or (
        isinstance(column, Attribute)
        and column.name not in ("number", "duration", "exit_code")
        and "_time" not in column.name
        and column.name != "created_at"
    )
    values: st.SearchStrategy[Any] = texts if is_text else numbers
    if isinstance(column, Label):
        values = st.one_of(numbers, texts)
    elif (
        isinstance(column, Attribute)
        and not is_text
        and column.name not in ("number", "duration", "exit_code")
    ):
        values = st.integers(1_600_000_000, 1_600_000_100).map(lambda s: s * 1000.0)
    made = [
        st.builds(Comparison, st.just(column), st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), values),
        st.builds(OneOf, st.just(column), st.lists(values, min_size=1, max_size=3).map(tuple)),
        st.just(IsNull(column)),
    ]
    if is_text:
        patterns = st.text(alphabet="xXr1%_eF", max_size=5)
        made.append(st.builds(Like, st.just(column), patterns, st.booleans()))
    return st.one_of(made)


def _groups(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    several = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return st.one_of(st.builds(Not, inner), st.builds(All, several), st.builds(AnyOf, several))


EXPRESSIONS = st.one_of(st.just(EVERYTHING), st.recursive(COLUMNS.flatmap(_tests), _groups, max_leaves=6))
ORDERS = st.lists(st.builds(OrderBy, COLUMNS, st.booleans()), max_size=3, unique_by=lambda o: o.column).map(
    tuple
)
CHANGES = st.lists(
    st.tuples(
        st.sampled_from(
            ["start", "tag", "untag", "param", "log", "end", "archive", "delete", "rename", "wait"]
        ),
        st.integers(0, 40),
        st.sampled_from(_NAMES),
        st.sampled_from(_TEXTS),
        st.sampled_from([*_NUMBERS, math.nan]),
    ),
    max_size=8,
)


class Mirror:
    """A yard, and what it must know of each run."""

    def __init__(self, yard: RunYard) -> None:
        self.yard = yard
        self.logged: dict[str, dict[str, list[float]]] = {}
        self.offsets: dict[str, int] = {}
        self.renamed = 0

    def change(self, what: str, pick: int, name: str, text: str, number: float) -> None:
        yard = self.yard
        if what == "start" or not self.logged:
            run_id = f"r{len(self.logged)}"
            parent = {"parent_id": "r0"} if pick % 3 == 0 and self.logged and self.running("r0") else {}
            experiment = {} if parent else {"experiment": f"e{pick % 2}"}
            answer = yard.start(run_id, **experiment, **parent, tags={name: text}, properties={name: text})
            if isinstance(answer, dict):
                self.logged[run_id] = {}
            return
        run_id = f"r{pick % len(self.logged)}"
        one = f"{W}/runs/{run_id}"
        if what == "tag":
            yard.call("PATCH", one, {"set_tags": {name: text}})
        elif what == "untag":
            yard.call("PATCH", one, {"remove_tags": [name], "display_name": text})
        elif what == "param":
            yard.call("PATCH", one, {"add_params": {name: text}})
        elif what == "log":
            self.log(run_id, name, number)
        elif what == "end":
            yard.report(run_id, "Completed" if pick % 2 else "Failed", exit_code=pick % 3)
        elif what == "archive":
            yard.call("PATCH", one, {"archived": bool(pick % 2)})
        elif what == "delete" and pick % 4 == 0:
            yard.call("DELETE", one)
        elif what == "rename":
            self.renamed += 1
            known = yard.call("GET", f"{W}/experiments?view=all")["items"][0]
            yard.call("PATCH", f"{W}/experiments/{known['id']}", {"name": f"e{self.renamed + 1}"})
        elif what == "wait":
            yard.clock.advance(pick / 7)

    def running(self, run_id: str) -> bool:
        answer = self.yard.run(run_id)
        return isinstance(answer, dict) and answer["status"] == "Running" and answer["archived_at"] is None

    def log(self, run_id: str, name: str, number: float) -> None:
        word = "NaN" if math.isnan(number) else "Infinity" if math.isinf(number) else ""
        value = f'"{word}","f":1' if word else repr(number)
        line = f'{{"k":"m","n":"{name}","v":{value},"t":1}}\n'.encode()
        answer = self.yard.journal(run_id, line, self.offsets.get(run_id, 0))
        if isinstance(answer, dict):
            self.offsets[run_id] = answer["offset"]
            self.logged[run_id].setdefault(name, []).append(number)

    def runs(self, view: View) -> list[NaiveRun]:
        with self.yard.db.read() as tx:
            rows = store.by_ids(tx, list(self.logged))
        infos = [store.info(row) for row in rows]
        shown = {
            View.ACTIVE: lambda i: i.archived_at is None and i.deleted_at is None,
            View.ARCHIVED: lambda i: i.archived_at is not None and i.deleted_at is None,
            View.ALL: lambda i: i.deleted_at is None,
            View.TRASH: lambda i: i.deleted_at is not None,
            View.EVERYTHING: lambda i: True,
        }[view]
        return [NaiveRun(info, self.logged[info.id]) for info in infos if shown(info)]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def mirror(request: pytest.FixtureRequest, service: Callable[[str], str]) -> Iterator[Mirror]:
    database = "" if request.param == "sqlite" else service("postgresql")
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=memory) as home, run_yard(Path(home), database=database) as yard:
        yield Mirror(yard)


def ids(page: Page) -> list[str]:
    return [found.info.id for found in page.items]


@settings(
    max_examples=150,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(CHANGES, EXPRESSIONS, ORDERS, st.sampled_from(View), st.booleans(), st.integers(1, 4))
def test_search_finds_what_the_expression_means(
    mirror: Mirror,
    changes: list[Any],
    filter_: Expression,
    order: tuple[OrderBy, ...],
    view: View,
    natural: bool,
    size: int,
) -> None:
    for change in changes:
        mirror.change(*change)
    yard = mirror.yard
    passing = [run for run in mirror.runs(view) if holds(run, filter_)]
    expected = [run.info.id for run in ordered(passing, order, natural)]

    query = Query(filter_, order, view=view, natural=natural, limit=1000, count=True)
    whole = yard.runs.search(yard.workspace_id, OWNER, query)
    assert ids(whole) == expected
    assert whole.next is None
    assert whole.count == len(expected)
    assert {f.info.id: {m.name: m.count for m in f.metrics} for f in whole.items} == {
        run.info.id: {name: len(logged) for name, logged in run.metrics.items()} for run in passing
    }

    paged: list[str] = []
    after = ""
    while True:
        page = yard.runs.search(
            yard.workspace_id,
            OWNER,
            Query(filter_, order, view=view, natural=natural, limit=size, after=after),
        )
        paged += ids(page)
        if page.next is None:
            break
        after = page.next
    assert paged == expected
