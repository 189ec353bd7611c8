"""What a query may not contain, and what is read of the database for it."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

from modelyard.server.kernel.queries import Refused
from modelyard.server.sql import catalog, plan
from modelyard.server.sql.plan import Condition

VIEWS = ("runs", "metrics")


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(":memory:", config={"enable_external_access": False}) as made:
        made.execute("CREATE SCHEMA raw")
        made.execute("CREATE TABLE raw.runs (id VARCHAR, status VARCHAR, n BIGINT, created_at DOUBLE)")
        made.execute(
            "CREATE VIEW runs AS SELECT id AS run_id, status, n, make_timestamp(created_at::BIGINT) AS made, created_at AS created FROM raw.runs"
        )
        made.execute("CREATE TABLE raw.metrics (run_id VARCHAR, name VARCHAR, last DOUBLE)")
        made.execute("CREATE VIEW metrics AS FROM raw.metrics")
        yield made


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1; SELECT 2",
        "SELECT 1; DROP TABLE runs",
        "DELETE FROM runs",
        "CREATE TABLE x AS SELECT 1",
        "COPY (SELECT 1) TO '/tmp/x.csv'",
        "EXPORT DATABASE '/tmp/x'",
        "ATTACH '/tmp/x.db' AS x",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "PRAGMA database_list",
        "CALL duckdb_settings()",
        "EXPLAIN ANALYZE SELECT 1",
        "WITH a AS (INSERT INTO runs VALUES (1) RETURNING *) SELECT * FROM a",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM READ_TEXT('/etc/passwd')",
        "SELECT (SELECT content FROM read_blob('/etc/passwd') LIMIT 1) FROM runs",
        "SELECT * FROM runs ORDER BY (SELECT count(*) FROM glob('/*'))",
        "SELECT * FROM runs, LATERAL (SELECT * FROM parquet_scan('/x'))",
        "FROM '/etc/passwd'",
        "FROM 'https://example.org/x.parquet'",
        "SELECT * FROM query('SELECT 1')",
        "SELECT * FROM query_table('runs')",
        "SELECT * FROM json_execute_serialized_sql('{}')",
        "SELECT * FROM arrow_scan(1, 2, 3)",
        "SELECT * FROM pandas_scan(1)",
        "SELECT * FROM python_map_function(1)",
        "SELECT * FROM duckdb_settings()",
        "SELECT * FROM which_secret('x', 'y')",
        "SELECT * FROM raw.runs",
        "SELECT * FROM memory.raw.runs",
        "SELECT * FROM information_schema.tables",
        "SELECT * FROM pg_tables",
        "SELECT * FROM sqlite_master",
        "SELECT * FROM duckdb_tables",
        "",
        "-- nothing",
    ],
)
def test_all_but_one_select_over_views_is_refused(connection: duckdb.DuckDBPyConnection, query: str) -> None:
    with pytest.raises(Refused):
        plan.check(connection, query, {}, VIEWS)


@pytest.mark.parametrize(
    "query", ["SELECT getenv('HOME')", "SELECT json_execute_serialized_sql('{}')", "SELECT BIT '101'"]
)
def test_what_can_t_be_planned_is_refused(connection: duckdb.DuckDBPyConnection, query: str) -> None:
    with pytest.raises(Refused):
        plan.needs(connection, plan.check(connection, query, {}, VIEWS))


@pytest.mark.parametrize(
    "query",
    [
        "FROM runs",
        "select * from RUNS; -- and no more",
        "WITH x AS (SELECT * FROM runs) SELECT * FROM x JOIN X AS y USING (run_id)",
        "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 5) SELECT sum(n) FROM t",
        "VALUES (1), (2)",
        "SELECT unnest([1, 2]), i FROM range(3) t(i)",
        "SUMMARIZE runs",
        "DESCRIBE runs",
        "SELECT * FROM runs UNION ALL BY NAME SELECT * FROM runs",
        "SELECT '; DROP TABLE runs; --'",
    ],
)
def test_selects_are_answered(connection: duckdb.DuckDBPyConnection, query: str) -> None:
    plan.needs(connection, plan.check(connection, query, {}, VIEWS))


def read(connection: duckdb.DuckDBPyConnection, query: str, **params: object) -> dict[str, plan.Need]:
    return plan.needs(connection, plan.check(connection, query, params, VIEWS))


def test_only_the_columns_that_a_query_uses_are_read(connection: duckdb.DuckDBPyConnection) -> None:
    assert {
        t: n.columns for t, n in read(connection, "SELECT run_id FROM runs WHERE status = 'x'").items()
    } == {"runs": {"id", "status"}}
    assert read(connection, "SELECT count(*) FROM metrics")["metrics"].columns == set()
    assert read(connection, "SELECT 1") == {}
    needed = read(connection, "SELECT max(last) FROM runs JOIN metrics USING (run_id) GROUP BY status")
    assert {t: n.columns for t, n in needed.items()} == {
        "runs": {"id", "status"},
        "metrics": {"run_id", "last"},
    }


@pytest.mark.parametrize(
    ("where", "conditions"),
    [
        ("n > 3 AND status = 'x'", [Condition("n", ">", (3,)), Condition("status", "=", ("x",))]),
        ("status IN ('x', 'y')", [Condition("status", "IN", ("x", "y"))]),
        ("status = 'x' OR status = 'it''s'", [Condition("status", "IN", ("x", "it's"))]),
        ("status = upper('x')", [Condition("status", "=", ("X",))]),
        ("status = $s", [Condition("status", "=", ("p",))]),
        ("n BETWEEN 1 AND 2", [Condition("n", ">=", (1,)), Condition("n", "<=", (2,))]),
        ("status LIKE 'x%'", []),  # texts have another order in the database
        ("status = 'x' OR n = 1", []),
        ("made > TIMESTAMP '2026-01-01'", []),
        ("n = 1 AND created = 'NaN'::DOUBLE", [Condition("n", "=", (1,))]),
        ("created < 'Infinity'::DOUBLE OR status = '\\\": NAN \"'", []),
        ("status <> 'x'", []),
        ("status IS NULL", []),
        ("status = 'x' || chr(0)", []),
    ],
)
def test_simple_conditions_are_put_to_the_database(
    connection: duckdb.DuckDBPyConnection, where: str, conditions: list[Condition]
) -> None:
    params = {"s": "p"} if "$s" in where else {}
    found = read(connection, f"SELECT run_id FROM runs WHERE {where}", **params)["runs"].any_of
    assert [sorted(c, key=str) for c in found] == [sorted(conditions, key=str)]


def test_a_table_that_is_read_twice_is_read_for_either(connection: duckdb.DuckDBPyConnection) -> None:
    query = "SELECT (SELECT count(*) FROM runs WHERE status = 'x'), (SELECT count(*) FROM runs WHERE n = 1)"
    assert sorted(map(str, read(connection, query)["runs"].any_of)) == sorted(
        map(str, [[Condition("status", "=", ("x",))], [Condition("n", "=", (1,))]])
    )


def test_a_query_nested_deeper_than_duckdb_goes_is_refused(connection: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(Refused):
        plan.check(connection, "SELECT " + "(" * 5000 + "1" + ")" * 5000, {}, VIEWS)


def test_every_column_can_be_named_without_quotes(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("DROP VIEW runs; DROP VIEW metrics")
    for view in catalog.VIEWS:
        columns = [f'"{c.name}" VARCHAR' for c in view.columns]
        connection.execute(f"CREATE TABLE {view.name} ({', '.join(columns)})")
        for column in view.columns:
            name = column.name
            made = connection.execute(
                f"SELECT {name} FROM {view.name} v WHERE v.{name} > {name} ORDER BY {name}"
            )
            assert [d[0] for d in made.description or []] == [name]
            made.fetchall()


@pytest.mark.parametrize(
    ("query", "params", "words"),
    [
        ("SELECT $x", {}, "parameter $x"),
        ("SELECT 1", {"x": 1}, "no parameter $x"),
        ("SELECT ?", {}, "as $name"),
        ("SELECT $x", {"x": [1]}, "A parameter is a text"),
        ("SELECT *\nFROM (SELEC 1)", {}, "line 2"),
        ("SELECT * FROM run", {}, "Did you mean 'runs'?"),
    ],
)
def test_what_is_wrong_is_said(
    connection: duckdb.DuckDBPyConnection, query: str, params: dict[str, object], words: str
) -> None:
    with pytest.raises(Refused) as raised:
        plan.check(connection, query, params, VIEWS)
    assert words in raised.value.detail
