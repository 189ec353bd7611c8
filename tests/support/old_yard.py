"""A yard as schema 0001 kept it: a little of everything, written as that version wrote it."""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command

from modelyard.server.kernel.blobs import FileBlobs
from modelyard.server.kernel.db import Database
from modelyard.server.migrations import configuration

WORKSPACE = "11111111-1111-1111-1111-111111111111"
FILE = b"the bytes of a file"
SOURCE = b"print('hello')\n"
LOG = b"line one\nline two\n"


def make_old(url: str, home: Path, runs: int = 3) -> None:
    """A database at schema 0001 with a workspace, experiment, runs, metrics, files, a model and a datastore, and the blobs."""
    db = Database(url)
    try:
        config = configuration()
        with db.engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "0001")
            tables = sa.MetaData()
            tables.reflect(connection)
            for name, rows in _rows(runs).items():
                connection.execute(sa.insert(tables.tables[name]), rows)
            if not db.is_sqlite:  # which counts on from ids that were given
                last = (
                    "SELECT setval(pg_get_serial_sequence('metric_series', 'id'), max(id)) FROM metric_series"
                )
                connection.execute(sa.text(last))
    finally:
        db.close()
    blobs = FileBlobs(home / "blobs")
    with blobs.staging() as staging:
        staged = []
        for content in (FILE, SOURCE):
            file = staging / _hash(content)
            file.write_bytes(content)
            staged.append((_hash(content), file))
        blobs.put(staged)
    blobs.close()


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _manifest(path: str, content: bytes) -> bytes:
    return f"{_hash(content)} {len(content)} - {path}\n".encode()


def _rows(count: int) -> dict[str, list[dict[str, Any]]]:
    source, model = _manifest("train.py", SOURCE), _manifest("model.bin", FILE)
    spec = {
        "script": "train.py",
        "snapshot_id": _hash(source),
        "target": "local",
        "arguments": ["--lr", "0.1"],
    }
    ids = [f"iris_{n}" for n in range(1, count + 1)]
    file = {"hash": _hash(FILE), "size": len(FILE), "executable": False, "created_at": 2.0}
    return {
        "workspaces": [
            {
                "id": WORKSPACE, "name": "default", "subscription_id": "s", "resource_group": "g", "location": "l",
                "sku": "basic", "friendly_name": "Default", "description": "", "tags": {}, "created_at": 1.0,
            }
        ],
        "experiments": [
            {
                "id": "e1", "workspace_id": WORKSPACE, "name": "iris", "tags": {"team": "a"}, "description": "flowers",
                "created_at": 1.0, "archived_at": None, "last_number": count, "run_count": count, "last_run_at": 9.0,
            }
        ],
        "runs": [
            {
                "id": run_id, "workspace_id": WORKSPACE, "workspace": "default", "experiment_id": "e1", "number": n,
                "type": "azureml.scriptrun", "request": "r", "status": "Completed", "status_reason": "",
                "display_name": run_id, "description": "", "parent_id": None, "root_id": run_id, "child_count": 0,
                "tags": {"lr": str(n)}, "properties": {"p": "1"}, "created_at": 10.0 + n, "started_at": 11.0,
                "ended_at": 20.0, "version": 5, "user": "u", "snapshot_id": _hash(source), "spec": spec,
                "target": "local", "node": "local", "exit_code": 0, "error": None, "warnings": [],
                "environment_hash": "h", "environment_lock": ["numpy==1.0"], "machine": {"cpu_count": 2},
                "lease_expires_at": None, "responding_as": None,
            }
            for n, run_id in enumerate(ids, 1)
        ],
        "run_labels": [
            {"run_id": run_id, "kind": kind, "key": key, "value": value}
            for n, run_id in enumerate(ids, 1)
            for kind, key, value in (("tag", "lr", str(n)), ("property", "p", "1"))
        ],
        "run_files": [{"run_id": run_id, "path": "outputs/a.bin", **file} for run_id in ids],
        "run_streams": [
            {"run_id": run_id, "kind": kind, "name": name, "size": size, "created_at": 2.0}
            for run_id in ids
            for kind, name, size in (("journal", "s", 100), ("log", "user_logs/std.txt", len(LOG)))
        ],
        "run_log_chunks": [
            {"run_id": run_id, "path": "user_logs/std.txt", "start": 0, "stop": len(LOG), "data": LOG} for run_id in ids
        ],
        "metric_series": [
            {
                "id": 2 * n + which, "run_id": run_id, "system": False, "name": name, "kind": kind, "description": "",
                "count": 5 if which == 0 else 1, "values_count": which, "whole": False, "nonfinite": False,
                "last": 5.5 if which == 0 else None, "min": 1.5 if which == 0 else None,
                "max": 5.5 if which == 0 else None, "first_at": 1.0, "last_at": 5.0,
            }
            for n, run_id in enumerate(ids, 1)
            for which, (name, kind) in enumerate((("loss", "m"), ("table", "l")))
        ],
        # Three points packed, two by themselves.
        "metric_blocks": [
            {
                "series_id": 2 * n, "seq": 0, "count": 3, "steps": struct.pack("<3q", 0, 1, 2),
                "times_ms": struct.pack("<3q", 1000, 2000, 3000), "values": struct.pack("<3d", 1.5, 2.5, 3.5),
            }
            for n in range(1, count + 1)
        ],
        "metric_points": [
            {"series_id": 2 * n, "seq": seq, "step": seq, "time_ms": 1000 * (seq + 1), "value": seq + 1.5}
            for n in range(1, count + 1)
            for seq in (3, 4)
        ],
        "metric_values": [
            {"series_id": 2 * n + 1, "seq": 0, "kind": "l", "step": None, "time_ms": 5000, "value": json.dumps([1, "x"])}
            for n in range(1, count + 1)
        ],
        "blobs": [
            {"workspace_id": WORKSPACE, "hash": _hash(c), "size": len(c), "created_at": 1.0} for c in (FILE, SOURCE)
        ],
        "trees": [
            {"id": _hash(m), "manifest": zlib.compress(m, 1), "file_count": 1, "size_bytes": len(c)}
            for m, c in ((source, SOURCE), (model, FILE))
        ],
        "snapshots": [{"workspace_id": WORKSPACE, "tree_id": _hash(source), "created_at": 1.0}],
        "model_names": [{"workspace_id": WORKSPACE, "name": "churn", "last_version": 1}],
        "models": [
            {
                "workspace_id": WORKSPACE, "name": "churn", "version": 1, "request_id": "q", "description": "d",
                "tags": {"stage": "old"}, "properties": {}, "framework": "Custom", "framework_version": "",
                "created_at": 30.0, "size_bytes": len(FILE), "file_count": 1, "tree_id": _hash(model),
                "is_folder": False, "user": "u", "run_id": ids[0], "experiment": "iris", "recorded": {},
            }
        ],
        "datastores": [
            {
                "id": "d1", "workspace_id": WORKSPACE, "name": "workspaceblobstore", "type": "AzureBlob",
                "is_default": True, "created_at": 1.0,
            }
        ],
        "datastore_files": [{"datastore_id": "d1", "path": "data/a.bin", **file}],
    }  # fmt: skip
