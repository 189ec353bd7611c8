"""Rows of a query as pandas and pyarrow have them, in an environment of a user's own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from python_environments import MLFLOW, environment

ROOT = Path(__file__).parents[3]
SCRIPT = """
import json, sys
from modelyard import Workspace
ws = Workspace.from_config()
found = ws.sql("SELECT i AS whole, i / 2 AS half, 'NaN'::DOUBLE AS nan, TIMESTAMP '2026-01-02' AS time, MAP {'k': 'v'} AS tags, "
               "'[1]'::JSON AS document FROM range($n) t(i)", n=3)
frame, table = found.to_pandas(), found.to_arrow()
print(json.dumps({
    "kinds": {name: str(kind) for name, kind in frame.dtypes.items()},
    "halves": frame["half"].tolist(), "arrow": type(table).__module__, "rows": table.num_rows,
    "tags": found.to_dicts()[0]["tags"], "document": found.to_dicts()[0]["document"],
    "times": sorted(set(map(str, frame["time"]))),
}))
"""


def run(python: Path, server: Any, tmp_path: Path) -> Any:
    (tmp_path / "ask.py").write_text(SCRIPT)
    environ = {
        "PYTHONPATH": str(ROOT / "src"),
        "MODELYARD_URL": server.url,
        "MODELYARD_TOKEN": server.owner_token,
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
    }
    done = subprocess.run(
        [str(python), "ask.py"], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_pandas_and_pyarrow_take_the_rows(start_server: Callable[..., Any], tmp_path: Path) -> None:
    found = run(environment(*MLFLOW), start_server(), tmp_path)
    assert found["kinds"]["whole"] == "int64"
    assert found["kinds"]["half"] == "float64"
    assert found["kinds"]["time"].startswith("datetime64")
    assert found["halves"] == [0.0, 0.5, 1.0]
    assert (found["arrow"].partition(".")[0], found["rows"]) == ("pyarrow", 3)
    assert (found["tags"], found["document"]) == ({"k": "v"}, [1])
    assert found["times"] == ["2026-01-02 00:00:00"]
