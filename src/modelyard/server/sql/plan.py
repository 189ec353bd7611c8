"""Reads a query before it runs: what it may not contain, and which rows and columns of the database it needs.

DuckDB parses, binds and optimises; nothing here looks at the text. The query is planned over empty tables, and the scans
of the optimised plan say which columns are read and which simple conditions hold for all rows that matter.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import duckdb

from modelyard.server.kernel.queries import Refused

RAW = "raw"  # the schema of what views are made of

# Table functions that make rows out of their arguments alone. All others read files, settings, or memory.
_FUNCTIONS = frozenset(
    ("generate_series", "json_each", "json_tree", "range", "repeat", "repeat_row", "unnest")
)
_NODES = frozenset(("SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE", "STATEMENT_NODE"))
_COMPARISONS = {
    "COMPARE_EQUAL": "=",
    "COMPARE_GREATERTHAN": ">",
    "COMPARE_GREATERTHANOREQUALTO": ">=",
    "COMPARE_LESSTHAN": "<",
    "COMPARE_LESSTHANOREQUALTO": "<=",
}
# The optimiser must not conclude from the tables' emptiness.
_FROM_STATISTICS = "statistics_propagation,empty_result_pullup,compressed_materialization"


_STRING_OR_NAN = re.compile(r'"(?:[^"\\]|\\.)*"|-?\bNAN\b')


@dataclass(frozen=True)
class Condition:
    """`operator` is `=`, `<`, `<=`, `>`, `>=` or `IN`; `values` has one value but for `IN`."""

    column: str
    operator: str
    values: tuple[Any, ...]


@dataclass
class Need:
    """What a query reads of one table: these columns, of the rows for which all conditions of one of `any_of` hold."""

    columns: set[str] = field(default_factory=set)
    any_of: list[list[Condition]] = field(default_factory=list)


def check(
    connection: duckdb.DuckDBPyConnection, query: str, params: Mapping[str, Any], views: Collection[str]
) -> str:
    """The query with its parameters written in, for planning. Raises Refused for all that is not one SELECT over views."""
    answer = _parsed(_one(connection, "SELECT json_serialize_sql(?)", query))
    if answer["error"]:
        raise Refused("bad_query", _parse_problem(query, answer))
    statements = answer["statements"]
    if len(statements) != 1:
        raise Refused("bad_query", f"A query is one SELECT; these are {len(statements)} statements.")
    used: set[str] = set()
    tables = {*views, *_named_within(statements)}
    for part in _dictionaries(statements):
        kind = part.get("type")
        if kind == "TABLE_FUNCTION":
            _check_function(part["function"])
        elif kind == "BASE_TABLE":
            _check_table(part, tables)
        elif isinstance(kind, str) and kind.endswith("_NODE") and kind not in _NODES:
            raise Refused("bad_query", "A query only reads: SELECT, without INSERT, UPDATE or DELETE inside.")
        elif kind == "VALUE_PARAMETER":
            name = part["identifier"]
            if name not in params:
                raise Refused("bad_query", _no_value(name))
            used.add(name)
            part.update(_constant(part, params[name]))
            part.pop("identifier")
    unused = sorted(set(params) - used)
    if unused:
        raise Refused(
            "bad_query",
            f"The query has no parameter ${unused[0]}, which a value was given for. Write ${unused[0]} in it.",
        )
    return query if not used else str(_one(connection, "SELECT json_deserialize_sql(?)", json.dumps(answer)))


def needs(connection: duckdb.DuckDBPyConnection, query: str) -> dict[str, Need]:
    """By table of the schema RAW. Raises Refused for a query that does not fit the views."""
    connection.execute(f"SET disabled_optimizers = '{_FROM_STATISTICS}'")
    text = _one(connection, "SELECT json_serialize_plan(?, optimize := true)", query)
    if not text:
        raise Refused("bad_query", "The query holds a constant that can't be planned with, such as a BIT.")
    answer = _parsed(text)
    connection.execute("RESET disabled_optimizers")
    if answer["error"]:
        raise Refused("bad_query", without_kind(answer["error_message"]))
    found: dict[str, Need] = {}
    for part in _dictionaries(answer["plans"]):
        if part.get("type") != "LOGICAL_GET" or part.get("function_data", {}).get("schema") != RAW:
            continue
        need = found.setdefault(part["function_data"]["table"], Need())
        names = part["names"]
        # A row number, which some scans ask for, is beyond all columns.
        columns = [names[c["index"]] if c["index"] < len(names) else "" for c in part["column_indexes"]]
        need.columns |= {column for column in columns if column}
        need.any_of.append(list(_conditions(columns, part)))
    return found


def without_kind(message: str) -> str:
    """DuckDB's message without the kind of error that it begins with, and without its picture of the place."""
    kind, separator, rest = message.partition("\n\n")[0].partition(" Error: ")
    return rest if separator and len(kind) < 40 else kind + separator + rest


def _one(connection: duckdb.DuckDBPyConnection, statement: str, given: str) -> Any:
    return connection.execute(statement, [given]).fetchall()[0][0]


def _parsed(text: str) -> Any:
    """DuckDB's JSON, in which NaN is written in capitals."""
    return json.loads(_STRING_OR_NAN.sub(lambda found: "NaN" if found[0].endswith("NAN") else found[0], text))


def _parse_problem(query: str, answer: Mapping[str, Any]) -> str:
    if answer["error_type"] != "parser":
        if "parameters" in answer["error_message"]:
            return "Write parameters as $name, all of them."
        return "A query is one SELECT (or WITH … SELECT, FROM …, VALUES …); nothing else is answered here."
    message = answer["error_message"]
    position = str(answer.get("position") or "")
    if position.isdigit():
        before = query[: int(position)]
        line = before.count("\n") + 1
        return f"{message} (line {line}, column {len(before) - before.rfind(chr(10))})"
    return str(message)


def _check_function(function: Mapping[str, Any]) -> None:
    name = str(function.get("function_name") or function.get("qualified_name", {}).get("path", [""])[-1])
    if name.lower() not in _FUNCTIONS:
        raise Refused(
            "bad_query",
            f"The table function {name}() is not available here: a query reads the views, no files and no settings. "
            f"Available: {', '.join(sorted(_FUNCTIONS))}.",
        )


def _named_within(statements: Any) -> Iterator[str]:
    """The names that the query's own WITH gives."""
    for part in _dictionaries(statements):
        if isinstance(part.get("cte_map"), dict):
            yield from (entry["key"].lower() for entry in part["cte_map"]["map"])
        if part.get("type") == "RECURSIVE_CTE_NODE":
            yield part["cte_name"].lower()


def _check_table(table: Mapping[str, Any], known: Collection[str]) -> None:
    """Before DuckDB looks for it: the system's own tables have names too."""
    path = table["qualified_name"]["path"]
    if len(path) == 1 and (path[0].lower() in known or not path[0]):
        return
    name = ".".join(path)
    near = difflib.get_close_matches(path[-1].lower(), known, 1)
    raise Refused(
        "bad_query",
        f"There is no view {name[:200]!r}."
        + (f" Did you mean {near[0]!r}?" if near else "")
        + " `modelyard sql --schema` lists them.",
    )


def _no_value(name: str) -> str:
    if name.isdigit():
        return "Write parameters with a name, as $name."
    return f"The query has a parameter ${name} and no value was given for it (--param {name}=…, or {name}=… in Python)."


def _constant(part: Mapping[str, Any], value: Any) -> dict[str, Any]:
    kind = {bool: "BOOLEAN", int: "BIGINT", float: "DOUBLE", str: "VARCHAR"}.get(type(value))
    if value is None:
        typed: dict[str, Any] = {"type": {"id": "NULL", "type_info": None}, "is_null": True}
    elif kind is None or (kind == "BIGINT" and not -(2**63) <= value < 2**63):
        raise Refused(
            "bad_query",
            f"A parameter is a text, a number of at most 64 bits, true, false or null, not {value!r:.80}.",
        )
    else:
        typed = {"type": {"id": kind, "type_info": None}, "is_null": False, "value": value}
    return {"class": "CONSTANT", "type": "VALUE_CONSTANT", "alias": part["alias"], "value": typed}


def _conditions(columns: list[str], scan: Mapping[str, Any]) -> Iterator[Condition]:
    """Those that are understood; leaving one out only means to read more rows."""
    if scan["table_filters_by_projection"]:  # they name columns by their place among those that are read
        for one in scan["table_filters"]["filters"]:
            if columns[one["key"]]:
                yield from _condition(columns[one["key"]], one["value"])


def _condition(column: str, condition: Mapping[str, Any]) -> Iterator[Condition]:
    kind = condition["filter_type"].removeprefix("LEGACY_")
    if kind == "CONJUNCTION_AND":
        for child in condition["child_filters"]:
            yield from _condition(column, child)
    elif kind == "OPTIONAL_FILTER" and condition.get("child_filter"):
        yield from _condition(column, condition["child_filter"])
    elif kind == "CONSTANT_COMPARISON" and condition["comparison_type"] in _COMPARISONS:
        if _is_plain(condition["constant"]):
            operator = _COMPARISONS[condition["comparison_type"]]
            # Texts are sorted in one way here and in another in the database.
            if operator == "=" or not isinstance(condition["constant"]["value"], str):
                yield Condition(column, operator, (condition["constant"]["value"],))
    elif kind == "IN_FILTER" and all(_is_plain(v) for v in condition["values"]):
        yield Condition(column, "IN", tuple(v["value"] for v in condition["values"]))
    elif kind == "CONJUNCTION_OR":
        children = [list(_condition(column, child)) for child in condition["child_filters"]]
        if all(len(child) == 1 and child[0].operator in ("=", "IN") for child in children):
            yield Condition(column, "IN", tuple(v for child in children for v in child[0].values))


def _is_plain(constant: Mapping[str, Any]) -> bool:
    """Whether the database means by this value what DuckDB means: texts and whole numbers, not NULL, no NUL within."""
    if constant["is_null"]:
        return False
    value = constant.get("value")
    if isinstance(value, str):
        return constant["type"]["id"] == "VARCHAR" and "\0" not in value
    return isinstance(value, int) and constant["type"]["id"] in ("BIGINT", "INTEGER", "BOOLEAN")


def _dictionaries(value: Any) -> Iterator[dict[str, Any]]:
    """Every dictionary in a JSON value. Not by recursion: a query may be nested deeper than Python goes."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            waiting += one.values()
            yield one
        elif isinstance(one, list):
            waiting += one
