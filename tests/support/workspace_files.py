"""Files of exported workspaces: made, brought to a yard, looked into and tampered with."""

from __future__ import annotations

import hashlib
import json
import math
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from modelyard._client import Client
from modelyard.experiment import Experiment
from modelyard.transfer import send
from modelyard.wire.runs import RunCreate
from modelyard.wire.transfer import ImportReport
from modelyard.workspace import Workspace

Rows = dict[str, list[tuple[str, ...]]]


def opened(server: Any, name: str = "default") -> Workspace:
    return Workspace._named(name, Client(server.url, server.owner_token, patience_s=0))


def bring(
    server: Any, file: Path, name: str = "", into: bool = False, merge: str = "fail", preview: bool = False
) -> ImportReport:
    client = Client(server.url, server.owner_token, patience_s=0)
    try:
        return send(client, str(file), name, into, merge, preview)
    finally:
        client.close()


def fill(workspace: Workspace, scratch: Path) -> None:
    """Runs with all kinds of values, a child run, one that goes on, a model with an alias, a file in the datastore."""
    (scratch / "code").mkdir()
    (scratch / "code" / "train.py").write_text("print('hello')\n")
    run = Experiment(workspace, "training").start_logging(snapshot_directory=str(scratch / "code"))
    for step in range(100):
        run.log("loss", step / 7, step=step)
    for value in (math.nan, math.inf, -math.inf, 3.5, -0.0):
        run.log("odd", value)
    for mixed in (1.0, "text", 2.0):
        run.log("mixed", mixed)
    run.log_list("list", [1, 2, 3])
    run.log_row("row", a=1, b=2)
    run.log_table("table", {"x": [1, 2]})
    run.tag("team", "ä")
    run.add_properties({"fixed": "yes"})
    file = scratch / "weights.bin"
    file.write_bytes(b"w" * 5000)
    run.upload_file("outputs/weights.bin", str(file))
    child = run.child_run("part")
    child.log("share", 0.5)
    child.complete()
    run.complete()
    run.register_model("net", model_path="outputs/weights.bin", tags={"best": "yes"}).set_alias("champion")
    _log_as_mlflow(workspace, run)
    going_on = RunCreate("going_on", "training", started=True)
    workspace._client.request("POST", workspace._path("runs"), going_on)
    workspace.get_default_datastore().upload_files([str(file)])


def _log_as_mlflow(workspace: Workspace, run: Any) -> None:
    """A data set that the run read, and a logged model."""

    def call(name: str, body: dict[str, Any]) -> Any:
        return workspace._client.request("POST", f"/mlflow/{workspace.name}/api/2.0/mlflow/{name}", body)

    data = {"name": "rows", "digest": "abc", "source_type": "local", "source": "rows.csv"}
    call("runs/log-inputs", {"run_id": run.id, "datasets": [{"dataset": data, "tags": []}]})
    experiment = workspace._client.request("GET", workspace._path("experiments", "training"))
    model = {"experiment_id": experiment["id"], "name": "logged", "source_run_id": run.id}
    model_id = call("logged-models", {**model, "params": [{"key": "lr", "value": "1"}]})["model"]["info"][
        "model_id"
    ]
    call("runs/outputs", {"run_id": run.id, "models": [{"model_id": model_id, "step": 3}]})
    metric = {"run_id": run.id, "key": "auc", "value": 0.5, "timestamp": 5, "step": 1, "model_id": model_id}
    call("runs/log-metric", metric)


def tables_of(file: Path, scratch: Path) -> Rows:
    """Table -> its rows, each value as its text, so that NaN is like NaN."""
    import duckdb

    found: Rows = {}
    part = scratch / "part.parquet"
    with zipfile.ZipFile(file) as archive:
        for name in sorted(n for n in archive.namelist() if n.startswith("tables/")):
            part.write_bytes(archive.read(name))
            rows = duckdb.sql(f"SELECT * FROM read_parquet('{part}')").fetchall()  # a path of the test's
            table = name.removeprefix("tables/").rpartition("-")[0]
            found.setdefault(table, []).extend(tuple(map(repr, row)) for row in rows)
    return found


def changed(
    file: Path, target: Path, change: Callable[[dict[str, bytes]], object], sign: bool = True
) -> Path:
    """The file with other members, and a manifest that says the right hashes of them unless it shall not `sign`."""
    with zipfile.ZipFile(file) as archive:
        found = {name: archive.read(name) for name in archive.namelist()}
    change(found)
    if sign and "manifest.json" in found:
        manifest = json.loads(found["manifest.json"])
        for name, part in manifest["parts"].items():
            if name in found:
                part["sha256"], part["bytes"] = hashlib.sha256(found[name]).hexdigest(), len(found[name])
        found["manifest.json"] = json.dumps(manifest).encode()
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in found.items():
            archive.writestr(name, content)
    return target


def changed_table(content: bytes, scratch: Path, sql: str) -> bytes:
    """A Parquet file as a query on `t` has it."""
    import duckdb

    before, after = scratch / "before.parquet", scratch / "after.parquet"
    before.write_bytes(content)
    duckdb.sql(
        f"COPY (WITH t AS (SELECT * FROM read_parquet('{before}')) {sql}) TO '{after}' (FORMAT parquet)"
    )
    return after.read_bytes()
