"""What queries find, the same on SQLite and PostgreSQL, and what comes of those that can't be answered."""

from __future__ import annotations

import io
from typing import Any

import arro3.io
import pytest

W = "/api/v1/workspaces/default"


def test_runs_are_found_with_their_experiment_times_and_tags(yard: Any) -> None:
    rows = yard.ask(
        "SELECT run_id, experiment, status, tags['team'], tags['it''s'], duration_s, ended_at - created_at "
        "FROM runs ORDER BY run_id"
    )
    assert rows == [
        ["a", "first", "Completed", "blue", "“odd”", 90.0, "00:01:30"],
        ["b", "first", "Running", "red", "“odd”", None, None],
        ["c", "second", "Running", None, None, None, None],
    ]
    assert yard.ask("SELECT * FROM tags WHERE key = 'team' ORDER BY ALL") == [
        ["a", "team", "blue"],
        ["b", "team", "red"],
    ]


def test_points_come_from_rows_and_from_blocks(yard: Any) -> None:
    assert yard.ask(
        "SELECT run_id, position, step, value FROM points WHERE name = 'loss' AND step > 1 ORDER BY ALL"
    ) == [
        ["a", 2, 2, 1 / 3],
        ["a", 3, 3, 0.25],
        ["b", 2, 2, 2 / 3],
        ["b", 3, 3, 0.5],
    ]
    assert yard.ask(
        "SELECT r.experiment, count(*), sum(p.value), min(p.time), max(step) FROM points p JOIN runs r USING (run_id) "
        "WHERE p.name = 'many' GROUP BY ALL"
    ) == [["first", 4000, 3 * 1999 * 1000.0, "1970-01-01T00:00:05", None]]
    rows = yard.ask(
        "SELECT count(*), count(step), sum(value), max(position) FROM points WHERE name = 'folded'"
    )
    assert rows == [[2000, 1000, 1999 * 1000.0, 1999]]


def test_nan_and_infinities_are_kept(yard: Any) -> None:
    assert yard.ask("SELECT value, step FROM points WHERE name = 'odd' ORDER BY position") == [
        ["NaN", None],
        ["Infinity", 1],
        ["-Infinity", 2],
    ]
    assert yard.ask(
        "SELECT name, last, count FROM metrics WHERE run_id = 'c' AND NOT system ORDER BY name"
    ) == [
        ["nan", "NaN", 1],
        ["odd", "-Infinity", 3],
    ]


def test_metrics_are_summaries_and_the_machine_s_are_marked(yard: Any) -> None:
    assert yard.ask(
        "SELECT name, last, min, max, count, last_step FROM metrics WHERE run_id = 'b' ORDER BY name"
    ) == [
        ["loss", 0.5, 0.5, 2.0, 4, 3],
        ["many", 3998.0, 0.0, 3998.0, 2000, None],
    ]
    assert yard.ask("SELECT name, last FROM metrics WHERE system") == [["cpu", 12.5]]


def test_artifacts_are_files_of_runs_and_models(yard: Any) -> None:
    rows = yard.ask(
        "SELECT kind, run_id, model, version, path, size_bytes FROM artifacts ORDER BY kind, path"
    )
    assert rows == [
        ["model", "a", "churn", 1, "outputs/model.pkl", 5],
        ["model", "a", "churn", 1, "outputs/notes.txt", 6],
        ["run", "a", None, None, "outputs/model.pkl", 5],
        ["run", "a", None, None, "outputs/notes.txt", 6],
    ]
    assert yard.ask("SELECT count(*) FROM artifacts WHERE kind = 'model' AND size_bytes > 5") == [[1]]


def test_every_view_can_be_read_whole(yard: Any) -> None:
    for view in yard.call("GET", f"{W}/sql").json()["views"]:
        answer = yard.call("POST", f"{W}/sql", json={"query": f"FROM {view['name']}"})
        assert answer.status_code == 200, answer.text
        shown = [(c["name"], c["type"]) for c in answer.json()["columns"]]
        assert shown == [(c["name"], c["type"]) for c in view["columns"]]


def test_a_query_sees_its_own_workspace_only(yard: Any) -> None:
    assert yard.ask("SELECT count(*) FROM runs WHERE run_id = 'elsewhere'") == [[0]]
    answer = yard.call("POST", "/api/v1/workspaces/other/sql", json={"query": "SELECT run_id FROM runs"})
    assert answer.json()["rows"] == [["elsewhere"]]


def test_what_was_written_before_is_seen_and_the_trash_is_not(yard: Any) -> None:
    body = {"run_id": "late", "experiment": "third", "started": True, "tags": {"x": "y"}}
    assert yard.call("POST", f"{W}/runs", json=body).status_code == 201
    assert yard.ask("SELECT count(*) FROM runs WHERE run_id = 'late'") == [[1]]
    assert yard.call("POST", f"{W}/runs/late/status", json={"status": "Completed"}).status_code == 200
    assert yard.call("DELETE", f"{W}/runs/late").status_code in (200, 204)
    assert yard.ask(
        "SELECT (SELECT count(*) FROM runs WHERE run_id = 'late'), count(*) FROM tags WHERE key = 'x'"
    ) == [[0, 0]]


def test_parameters_are_values_and_nothing_else(yard: Any) -> None:
    query = "SELECT run_id FROM runs WHERE tags['team'] = $team OR number >= $n ORDER BY run_id"
    assert yard.ask(query, team="blue", n=2) == [["a"], ["b"]]
    assert yard.ask("SELECT $x", x="'; DROP TABLE runs; --") == [["'; DROP TABLE runs; --"]]
    assert yard.ask("SELECT $a, $b, $c, $d", a=1.5, b=True, c=None, d="ü") == [[1.5, True, None, "ü"]]
    assert "no value was given for it" in yard.refused("SELECT $x")[2]
    assert "has no parameter $y" in yard.refused("SELECT 1", y=1)[2]


def test_conditions_narrow_what_is_read_and_never_what_is_found(yard: Any) -> None:
    conditions = {
        "run_id IN ('a', 'c')": 2,
        "run_id = 'a' OR run_id = 'b'": 2,
        "run_id >= 'b'": 2,
        "run_id LIKE 'a%'": 1,
        "NOT run_id = 'a'": 2,
        "number BETWEEN 2 AND 3": 1,
        "number = 1.5": 0,
        "experiment = 'second' AND run_id = 'c'": 1,
        "run_id = 'A'": 0,
        "lower(run_id) = 'a'": 1,
        "parent_id IS NULL": 3,
        "run_id = 'a' || chr(0)": 0,
        "exit_code = 0": 0,
    }
    for where, found in conditions.items():
        assert yard.ask(f"SELECT count(*) FROM runs WHERE {where}") == [[found]], where
    rows = yard.ask(
        "SELECT count(*) FROM runs x JOIN runs y ON x.experiment = y.experiment WHERE x.run_id = 'a' AND y.run_id = 'b'"
    )
    assert rows == [[1]]


def test_the_answer_comes_as_csv_arrow_or_parquet(on_sqlite: Any) -> None:
    query = "SELECT run_id, tags, created_at, sum(number) OVER () AS n FROM runs WHERE run_id = 'a'"
    given = {
        form: on_sqlite.call("POST", f"{W}/sql", json={"query": query, "format": form})
        for form in ("csv", "arrow", "parquet")
    }
    assert {form: a.headers["content-type"].partition(";")[0] for form, a in given.items()} == {
        "csv": "text/csv",
        "arrow": "application/vnd.apache.arrow.stream",
        "parquet": "application/vnd.apache.parquet",
    }
    head, line = given["csv"].text.splitlines()
    assert head == "run_id,tags,created_at,n"
    assert line.startswith('a,"{""team"": ""blue"", ""it\'s"": ""“odd”""}",')
    for table in (
        arro3.io.read_ipc_stream(io.BytesIO(given["arrow"].content)).read_all(),
        arro3.io.read_parquet(io.BytesIO(given["parquet"].content)).read_all(),
    ):
        assert table["run_id"].to_pylist() == ["a"]
        assert table["n"].to_pylist() == [1]
        assert dict(table["tags"].to_pylist()[0])["team"] == "blue"


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("SELEC 1", "syntax error at or near"),
        ("SELECT * FROM runz", "Did you mean 'runs'?"),
        ("SELECT nmae FROM runs", 'Candidate bindings: "name"'),
        ("SELECT * FROM '/etc/passwd'", "There is no view"),
        ("SELECT error(status) FROM runs", "Completed"),
        ("", "these are 0 statements"),
    ],
)
def test_a_query_that_can_t_be_answered_says_why(on_sqlite: Any, query: str, words: str) -> None:
    status, code, detail = on_sqlite.refused(query)
    assert (status, code) == (422, "bad_query")
    assert words in detail


def test_only_the_owner_may_ask(on_sqlite: Any) -> None:
    for token, status in (("", 401), ("node", 403)):
        assert (
            on_sqlite.call("POST", f"{W}/sql", token=token, json={"query": "SELECT 1"}).status_code == status
        )


def test_an_unknown_format_is_refused(on_sqlite: Any) -> None:
    answer = on_sqlite.call("POST", f"{W}/sql", json={"query": "SELECT 1", "format": "xlsx"})
    assert answer.json()["detail"] == "format is 'xlsx'; it is one of json, csv, arrow, parquet."
