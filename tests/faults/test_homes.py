"""Homes that can't be used, or are used twice: clear words from `modelyard up`, and nothing half-done."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import load
import pytest


def test_of_two_yards_started_on_one_home_one_runs_and_both_tell_its_address(own_yard: Any) -> None:
    command = [sys.executable, "-m", "modelyard", "up", "--port", "0", "--detach", "--output", "json"]
    starting = [
        subprocess.Popen(command, env=own_yard.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    told = [s.communicate(timeout=60) for s in starting]
    assert [s.returncode for s in starting] == [0] * 4, told
    assert len({json.loads(out)["pid"] for out, _ in told}) == 1, told
    foreground = own_yard.cli("up", "--port", "0", check=False)
    assert "already running" in foreground.stdout + foreground.stderr


def stopped_yard(own_yard: Any) -> Path:
    own_yard.up()
    own_yard.cli("down", "--all")
    return own_yard.home / "yard.db"


def up_fails(own_yard: Any) -> str:
    done = own_yard.cli("up", "--port", "0", "--detach", check=False)
    assert done.returncode not in (0, 1) or "error" in done.stderr
    assert done.returncode != 0, done.stdout
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert not (own_yard.home / "yard.json").exists()
    return str(done.stderr)


def test_a_database_that_is_no_database_is_named(own_yard: Any) -> None:
    database = stopped_yard(own_yard)
    for rest in ("yard.db-wal", "yard.db-shm"):
        (own_yard.home / rest).unlink(missing_ok=True)
    database.write_bytes(b"this is not a database at all" * 1000)
    said = up_fails(own_yard)
    assert str(database) in said
    assert "not a database" in said


def test_a_database_that_is_damaged_is_named(own_yard: Any) -> None:
    database = stopped_yard(own_yard)
    content = bytearray(database.read_bytes())
    content[100 : len(content)] = b"\xff" * (len(content) - 100)  # all but the file's header
    database.write_bytes(content)
    said = up_fails(own_yard)
    assert str(database) in said


def test_a_database_of_a_newer_version_is_left_alone(own_yard: Any) -> None:
    database = stopped_yard(own_yard)
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    said = up_fails(own_yard)
    assert "newer version" in said
    assert "9999" in said


def test_a_yard_whose_database_was_deleted_starts_empty(own_yard: Any) -> None:
    database = stopped_yard(own_yard)
    for file in own_yard.home.glob("yard.db*"):
        file.unlink()
    own_yard.up()
    assert database.exists()
    listed = own_yard.cli("run", "list", "--output", "json")
    assert json.loads(listed.stdout) == []


def test_a_home_that_can_not_be_written_is_named(own_yard: Any, tmp_path: Path) -> None:
    if os.geteuid() == 0:  # permissions do not hold root back: mount it read-only
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "ro,size=1m", "tmpfs", str(own_yard.home)],
            check=False,
            capture_output=True,
        )
        if done.returncode:
            pytest.skip("a read-only file system can't be mounted here")
    else:
        own_yard.home.chmod(0o500)
    try:
        said = up_fails(own_yard)
        assert str(own_yard.home) in said
        assert "Read-only" in said or "Permission" in said
    finally:
        if os.geteuid() == 0:
            subprocess.run(["umount", "--lazy", str(own_yard.home)], check=False)
        else:
            own_yard.home.chmod(0o700)


def test_a_home_that_is_a_file_is_named(own_yard: Any) -> None:
    own_yard.home.rmdir()
    own_yard.home.write_text("")
    said = up_fails(own_yard)
    assert str(own_yard.home) in said


@pytest.mark.parametrize("name", ["with space & 'quote'", "größe-日本", "q?x=1#h%20"])
def test_a_home_may_have_any_name(own_yard: Any, tmp_path: Path, monkeypatch: Any, name: str) -> None:
    own_yard.home = tmp_path / name
    own_yard.env["MODELYARD_HOME"] = str(own_yard.home)
    own_yard.up()
    try:
        monkeypatch.setenv("MODELYARD_HOME", str(own_yard.home))
        from modelyard import Model, Workspace

        workspace = Workspace.get("default")
        script = "import os\nopen('outputs/m.txt', 'w').write('m')\nprint('line 0')\n"
        run = load.submit(workspace, tmp_path / "source", script)
        assert load.wait_status(run, *load.FINAL) == "Completed"
        assert load.std_log(run) == ["line 0"]
        model = run.register_model("m", "outputs/m.txt")
        assert Path(model.download(str(tmp_path / "fetched"))).read_text() == "m"
        assert [m.version for m in Model.list(workspace)] == [1]
        assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
            {"fetched", "source", "own-yard", name} & {p.name for p in tmp_path.iterdir()}
        )
    finally:
        own_yard.down()
