"""`modelyard sql` and `modelyard run compare`, against a server in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import arro3.io
import pytest


@pytest.fixture
def filled(
    server: Any, modelyard: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """Two runs in the queue, whose script and arguments differ; their ids."""
    monkeypatch.setenv("MODELYARD_URL", server.url)
    monkeypatch.setenv("MODELYARD_TOKEN", server.owner_token)
    script = tmp_path / "code" / "train.py"
    script.parent.mkdir()
    monkeypatch.chdir(script.parent)
    for rate in ("0.1", "0.2"):
        script.write_text(f"# {rate}\nprint(1)\n")
        assert modelyard("run", "submit", "-e", "forecast", "--", "train.py", "--lr", rate).code == 0
    return [r["id"] for r in reversed(modelyard("run", "list", "-o", "json").json)]


def test_rows_are_a_table_or_json_or_a_file(
    filled: list[str], modelyard: Callable[..., Any], tmp_path: Path
) -> None:
    query = "SELECT run_id, number, tags FROM runs WHERE experiment = $e ORDER BY number"
    table = modelyard("sql", query, "--param", "e=forecast").out.splitlines()
    assert [line.split() for line in table] == [
        ["run_id", "number", "tags"],
        [filled[0], "1", "{}"],
        [filled[1], "2", "{}"],
    ]
    (tmp_path / "code" / "q.sql").write_text(query)
    assert modelyard("sql", "--file", "q.sql", "--param", "e=forecast", "-o", "json").json == [
        {"run_id": filled[0], "number": 1, "tags": {}},
        {"run_id": filled[1], "number": 2, "tags": {}},
    ]
    done = modelyard("sql", "SELECT number FROM runs ORDER BY 1", "runs.parquet", "-o", "parquet")
    assert done.err.startswith("Wrote runs.parquet (")
    assert arro3.io.read_parquet(str(tmp_path / "code" / "runs.parquet")).read_all()[
        "number"
    ].to_pylist() == [1, 2]
    assert modelyard("sql", "SELECT 1 AS a, 'x,y' AS b", "-o", "csv").out == 'a,b\n1,"x,y"\n'


def test_wrong_usage_of_sql_is_said(filled: list[str], modelyard: Callable[..., Any]) -> None:
    for arguments, words in (
        ((), "say the query"),
        (("SELECT", "1", "2"), "put it in quotes"),
        (("SELECT $x",), "no value was given for it (--param x="),
        (("SELECT 1", "--param", "x"), "write KEY=VALUE"),
        (("DROP TABLE runs",), "A query is one SELECT"),
        (("SELECT * FROM rnus",), "Did you mean 'runs'?"),
    ):
        done = modelyard("sql", *arguments)
        assert done.code == 2
        assert words in done.err
    none = modelyard("sql", "SELECT * FROM models")
    assert (none.code, none.err) == (0, "No rows.\n")


def test_the_schema_is_listed(filled: list[str], modelyard: Callable[..., Any]) -> None:
    views = modelyard("sql", "--schema", "-o", "json").json["views"]
    assert {"runs", "metrics", "points", "params", "tags", "models", "artifacts", "events"} <= {
        v["name"] for v in views
    }
    assert modelyard("sql", "--schema").out.splitlines()[1].split()[:3] == ["runs", "run_id", "VARCHAR"]


def test_runs_are_compared(filled: list[str], modelyard: Callable[..., Any]) -> None:
    shown = modelyard("run", "compare", *filled).out
    assert "--lr  0.1  0.2" in shown
    assert "-# 0.1\n+# 0.2\n" in shown
    assert "\nTags" not in shown
    assert "framework" in modelyard("run", "compare", *filled, "--all").out
    found = modelyard("run", "compare", *filled, "-o", "json").json
    assert [r["id"] for r in found["runs"]] == filled
    alone = modelyard("run", "compare", *filled, "--diff", "train.py").out
    assert "Arguments" not in alone
    assert "+# 0.2" in alone


def test_wrong_usage_of_compare_is_said(filled: list[str], modelyard: Callable[..., Any]) -> None:
    assert "two or more different runs" in modelyard("run", "compare", filled[0]).err
    assert modelyard("run", "compare", filled[0], "nowhere").code == 3
    missing = modelyard("run", "compare", *filled, "--diff", "tain.py")
    assert (missing.code, "Did you mean 'train.py'?" in missing.err) == (3, True)
    assert json.loads(modelyard("run", "compare", *filled, "-o", "json").out)["left_out"] == {}
