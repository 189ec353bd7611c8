"""The rows of a query in Python: the same whether they came as Arrow or as JSON."""

from __future__ import annotations

import datetime
import io
import json
import math

import duckdb
import pytest

from modelyard import errors, sql
from modelyard.server.sql import answer

QUERY = """
SELECT 'a' AS text, 1 AS whole, 1.5::DOUBLE AS number, 'NaN'::DOUBLE AS nan, '-Infinity'::FLOAT AS least, true AS truth,
       NULL AS nothing, TIMESTAMP '2026-01-02 03:04:05.6' AS time, DATE '2026-01-02' AS day, 'x'::BLOB AS bytes,
       MAP {'k': 'v'} AS pairs, MAP {}::MAP(VARCHAR, VARCHAR) AS none, '{"a": [1, null]}'::JSON AS document, [1, 2] AS list,
       {'s': MAP {'a': [MAP {'b': 1}]}} AS struct, [MAP {'c': 2}] AS maps, sum(1) AS sum, INTERVAL 1 DAY AS span
"""


def answered(query: str, form: str) -> bytes:
    file = io.BytesIO()
    with duckdb.connect() as connection:
        connection.execute("CREATE SCHEMA raw")
        answer.keep(connection, connection.sql(query), 10)
        answer.write(connection, form, answer.Bounded(file, 1 << 20))
    return file.getvalue()


def of_arrow(content: bytes) -> sql.SqlResult:
    decode = sql._arrow_decoder()
    assert decode is not None
    table = decode(content)
    return sql.SqlResult([field.name for field in table.schema], None, table)


@pytest.mark.parametrize("form", ["json", "arrow"])
def test_values_are_python_s(form: str) -> None:
    read = {"json": sql.of_json, "arrow": of_arrow}[form]
    result = read(answered(QUERY, form))
    found = result.to_dicts()[0]
    assert math.isnan(found.pop("nan"))
    assert found == {
        "text": "a", "whole": 1, "number": 1.5, "least": -math.inf, "truth": True, "nothing": None,
        "time": datetime.datetime(2026, 1, 2, 3, 4, 5, 600_000), "day": datetime.date(2026, 1, 2), "bytes": b"x",
        "pairs": {"k": "v"}, "none": {}, "document": {"a": [1, None]}, "list": [1, 2], "struct": {"s": {"a": [{"b": 1}]}}, "maps": [{"c": 2}], "sum": 1,
        "span": "1 day",
    }  # fmt: skip
    assert len(result) == 1
    assert "1 rows of text, whole" in repr(result)


def test_json_on_the_wire_has_plain_values() -> None:
    row = json.loads(answered(QUERY, "json"))["rows"][0]
    assert row[3:5] == ["NaN", "-Infinity"]
    assert row[7:10] == ["2026-01-02T03:04:05.600000", "2026-01-02", "eA=="]


def test_no_rows_are_no_rows() -> None:
    for form, read in (("json", sql.of_json), ("arrow", of_arrow)):
        result = read(answered("SELECT 1 AS a WHERE false", form))
        assert (result.columns, result.rows) == (["a"], [])


def test_without_arrow_there_is_no_arrow_to_give() -> None:
    with pytest.raises(errors.UserErrorException, match="pip install pyarrow"):
        sql.of_json(answered("SELECT 1", "json")).to_arrow()


def test_intervals_within_lists_are_refused() -> None:
    with pytest.raises(answer.Refused, match="Column 'l' has intervals within"):
        answered("SELECT [INTERVAL 1 DAY] AS l", "json")


def test_an_order_is_kept_and_so_are_two_columns_of_one_name() -> None:
    query = "SELECT i, i AS i, sum(1) OVER () AS s FROM range(8) t(i) ORDER BY -i"
    assert [r[:2] for r in sql.of_json(answered(query, "json"))] == [(i, i) for i in range(7, -1, -1)]


@pytest.mark.parametrize("form", ["json", "csv", "arrow", "parquet"])
def test_answers_have_bounds(form: str) -> None:
    with duckdb.connect() as connection:
        connection.execute("CREATE SCHEMA raw")
        with pytest.raises(answer.Refused, match="more than 10 rows"):
            answer.keep(connection, connection.sql("FROM range(11)"), 10)
    with duckdb.connect() as connection:
        connection.execute("CREATE SCHEMA raw")
        answer.keep(connection, connection.sql("SELECT hash(i)::VARCHAR FROM range(10000) t(i)"), 10_000)
        file = io.BytesIO()
        with pytest.raises(answer.Refused, match="Select fewer columns"):
            answer.write(connection, form, answer.Bounded(file, 1 << 14))
