"""What a real MLflow kept comes into a workspace, from each kind of place where it can lie."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from python_environments import MLFLOW, MLFLOW_1, environment
from servers import Server
from workspace_files import opened

from modelyard.importing.mlflow_files import FileSource
from modelyard.importing.mlflow_import import MlflowImport, Outcome, Wanted
from modelyard.importing.mlflow_records import Source, SourceError
from modelyard.importing.mlflow_rest import RestSource
from modelyard.importing.mlflow_sql import SqlSource
from modelyard.models import Model

SCRIPT = Path(__file__).parents[2] / "support" / "mlflow_source.py"
FIRST = "/Users/ann/first experiment"


@pytest.fixture
def yard(server: Server) -> Server:
    return server


def _fill(packages: tuple[str, ...], uri: str, root: Path) -> list[str]:
    """The ids of the run, its child, the one that goes on and the deleted one."""
    done = subprocess.run(
        [environment(*packages), SCRIPT, uri, root],
        capture_output=True, text=True, cwd=root, env={**os.environ, "MLFLOW_ALLOW_FILE_STORE": "true"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.split()[-4:]


@pytest.fixture(scope="module")
def mlruns(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A folder of 1.30's, moved after it was written."""
    made, moved = tmp_path_factory.mktemp("made"), tmp_path_factory.mktemp("moved")
    ids = _fill(MLFLOW_1, f"{made}/mlruns", made)
    shutil.move(f"{made}/mlruns", moved)
    shutil.move(f"{made}/artifacts", moved)
    return moved, ids


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    root = tmp_path_factory.mktemp("database")
    return root, _fill(MLFLOW, f"sqlite:///{root}/mlflow.db", root)


def _import(yard: Server, source: Source, workspace: str, **wanted: Any) -> Outcome:
    client = opened(yard)._client
    client.request("POST", "/api/v1/workspaces", {"name": workspace, "exist_ok": True})
    with contextlib.closing(source):
        return MlflowImport(source, client, workspace, Wanted(**wanted), lambda _words: None).run()


def _added(outcome: Outcome) -> dict[str, int]:
    return {kind: counts["added"] for kind, counts in outcome.counts.items() if counts["added"]}


def _check(yard: Server, workspace: str, ids: list[str], has_model: bool = True) -> None:
    run_id, child_id, going_on, gone = ids
    copy = opened(yard, workspace)
    run = copy.get_run(run_id)
    assert (run.experiment.name, run.name, run.status) == (FIRST, "calm-owl", "Completed")
    assert run.get_tags() == {"kind": "ünï"} | {
        k: v for k, v in run.get_tags().items() if k.startswith("mlflow.")
    }
    info = copy._client.request("GET", copy._path("runs", run_id))
    assert info["params"] == {"lr": "0.1", "deep/er": "yes"}
    assert (info["created_at"], info["ended_at"]) == (1_600_000_000.0, 1_600_000_300.0)
    assert info["description"] == "best so far"
    metrics = run.get_metrics()
    assert metrics["loss"] == [1 / (step + 1) for step in range(500)]
    assert math.isnan(float(metrics["odd"][0]))
    assert metrics["val/acc"] == [0.5, 0.75]
    assert sorted(run.get_file_names()) == ["model/MLmodel", "model/weights.bin", "notes.txt"]
    assert [c.id for c in run.get_children()] == [child_id]
    assert copy.get_run(child_id).status == "Failed"
    assert copy.get_run(going_on).status == "Canceled"
    assert gone not in copy.runs
    if has_model:
        assert Model(copy, "net", version=2).tags == {"checked": "yes"}
        assert Model(copy, "net").run_id == run_id


def test_a_database_of_3_x(yard: Server, database: tuple[Path, list[str]], tmp_path: Path) -> None:
    root, ids = database
    outcome = _import(yard, SqlSource(f"{root}/mlflow.db"), "database")
    assert outcome.broken == []
    assert _added(outcome) == {"experiment": 3, "run": 3, "model name": 1, "model": 2, "alias": 1}
    _check(yard, "database", ids)
    champion = Model(opened(yard, "database"), "net@champion")
    assert champion.version == 2
    fetched = Path(champion.download(str(tmp_path / "model")))
    assert next(fetched.rglob("weights.bin")).read_bytes() == bytes(range(256)) * 40
    again = _import(yard, SqlSource(f"{root}/mlflow.db"), "database")
    assert _added(again) == {}
    assert again.known == 2
    with_deleted = _import(yard, SqlSource(f"{root}/mlflow.db"), "database", deleted=True)
    assert _added(with_deleted) == {"experiment": 1, "run": 1}
    trash = opened(yard, "database")._client.request(
        "POST", "/api/v1/workspaces/database/runs/search", {"view": "trash"}, idempotent=True
    )
    assert [item["run"]["id"] for item in trash["items"]] == [ids[3]]


def test_a_folder_of_1_30_that_was_moved(yard: Server, mlruns: tuple[Path, list[str]]) -> None:
    root, ids = mlruns
    outcome = _import(yard, FileSource(f"{root}/mlruns", f"{root}/artifacts"), "folder")
    assert outcome.broken == []
    _check(yard, "folder", ids, has_model=False)  # 1.30's files have no registry


def test_a_server_of_3_x(yard: Server, mlflow_server: str, tmp_path: Path) -> None:
    ids = _fill(MLFLOW, mlflow_server, tmp_path)
    outcome = _import(yard, RestSource(mlflow_server), "server", experiments=[FIRST])
    assert outcome.broken == []
    assert _added(outcome) == {"experiment": 1, "run": 3}
    _check(yard, "server", ids, has_model=False)
    whole = _import(yard, RestSource(mlflow_server), "server")
    assert whole.known == 2
    assert Model(opened(yard, "server"), "net").tags == {"checked": "yes"}


def test_what_is_broken_is_named_and_passed_over(
    yard: Server, mlruns: tuple[Path, list[str]], tmp_path: Path
) -> None:
    root, ids = mlruns
    shutil.copytree(root, tmp_path / "copy")
    (folder,) = (tmp_path / "copy" / "mlruns").glob(f"*/{ids[0]}")
    (folder / "metrics" / "loss").write_text("1600000000000 no-number 0\n")
    (child,) = (tmp_path / "copy" / "mlruns").glob(f"*/{ids[1]}")
    (child / "meta.yaml").write_text("!!python/object/apply:os.system ['touch /tmp/owned']")
    source = FileSource(str(tmp_path / "copy" / "mlruns"), str(tmp_path / "copy" / "artifacts"))
    outcome = _import(yard, source, "broken")
    assert {name for name, _ in outcome.broken} == set(ids[:2])
    assert any("no-number" in why for _, why in outcome.broken)
    assert set(opened(yard, "broken").runs) == {ids[2]}


def test_files_elsewhere_cost_a_run_its_files_alone(
    yard: Server, database: tuple[Path, list[str]], tmp_path: Path
) -> None:
    root, ids = database
    shutil.copy(f"{root}/mlflow.db", tmp_path)
    with sqlite3.connect(tmp_path / "mlflow.db") as db:
        db.execute("UPDATE runs SET artifact_uri = 's3://bucket/' || run_uuid")
    db.close()
    outcome = _import(yard, SqlSource(str(tmp_path / "mlflow.db")), "elsewhere", experiments=[FIRST])
    assert {name for name, _ in outcome.broken} == set(ids[:3])
    assert all("--artifacts" in why for _, why in outcome.broken)
    assert set(opened(yard, "elsewhere").runs) == set(ids[:3])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda root: FileSource(f"{root}"), "no mlruns folder"),
        (lambda root: FileSource(f"{root}/none"), "is no folder"),
        (lambda root: SqlSource(f"{root}/none.db"), "no file"),
        (lambda root: SqlSource(__file__), "can't be read as a SQLite file"),
        (lambda root: RestSource("ftp://x"), "not the address"),
        (lambda root: RestSource("http://127.0.0.1:1").experiments(), "does not answer"),
    ],
)
def test_a_source_that_is_none_is_refused_in_words(
    make: Callable[[Path], object], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelyard.importing.mlflow_rest._FIRST_PAUSE_S", 0.0)
    with pytest.raises(SourceError, match=words):
        make(tmp_path)
