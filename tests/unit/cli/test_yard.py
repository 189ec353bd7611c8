"""status, down, doctor, config: what works without a yard."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from modelyard.cli.quickstart import example_directory
from modelyard.server.serve import processes


def test_status_without_a_yard_tells_what_to_do(modelyard: Callable, home: Path) -> None:
    done = modelyard("status", "-o", "json")
    assert done.code == 5
    assert done.json["running"] is False
    assert done.json["home"] == str(home)


def test_home_may_be_given_after_the_command(modelyard: Callable, tmp_path: Path) -> None:
    done = modelyard("status", "--home", "elsewhere", "-o", "json")
    assert done.json["home"] == str(tmp_path / "elsewhere")


def test_down_without_a_yard_is_done_at_once(modelyard: Callable) -> None:
    done = modelyard("down")
    assert done.code == 0
    assert "No yard was running" in done.out


def test_down_cleans_up_after_a_killed_yard(modelyard: Callable, home: Path) -> None:
    home.mkdir()
    record = {"url": "http://127.0.0.1:1", "pid": 2**22 + 1, "start": "x:1", "version": "0"}
    (home / "yard.json").write_text(json.dumps(record))
    assert modelyard("status", "-o", "json").json["running"] is False
    assert modelyard("down").code == 0


def test_runs_and_services_that_go_on_are_counted(modelyard: Callable, home: Path) -> None:
    me = {"pid": os.getpid(), "started": processes.start_time(os.getpid())}
    for place, value in (
        ("runs/alive/host.json", me),
        ("runs/ended/host.json", me),
        ("runs/ended/exit.json", {}),
        ("runs/gone/host.json", {**me, "started": "x:1"}),
        ("services/one/keeper.json", me),
        ("services/damaged/keeper.json", []),
    ):
        file = home / "node" / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(value))
    answer = modelyard("status", "-o", "json").json
    assert (answer["runs"], answer["services"]) == (1, 1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--port", "x"], "not a valid integer"),
        (["--port", "70000", "--detach"], "between 0 and 65535"),
        (["--slots", "-1"], "-1 is not in the range"),
        (["--database", "mysql://x", "--detach", "--port", "0"], "mysql"),
        (["--colour"], "No such option"),
    ],
)
def test_up_with_a_wrong_value_is_wrong_usage(
    modelyard: Callable, arguments: list[str], words: str, home: Path
) -> None:
    done = modelyard("up", *arguments)
    assert done.code == 2, done.err
    assert done.err.startswith("error: ")
    assert words in done.err
    assert not (home / "yard.json").exists()


def test_up_on_a_taken_port_is_refused_with_what_to_do(modelyard: Callable, home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        done = modelyard("up", "--detach", "--port", str(other.getsockname()[1]))
    assert done.code == 4
    assert "is taken by another program" in done.err
    assert "--port 0" in done.err
    assert not (home / "yard.json").exists()


def test_up_in_a_home_that_can_not_be_is_wrong_usage(modelyard: Callable, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = modelyard("up", "--detach", "--home", str(tmp_path / "file"))
    assert done.code == 2
    assert "is a file" in done.err


def test_a_damaged_config_file_is_named(modelyard: Callable, home: Path) -> None:
    home.mkdir()
    (home / "config.toml").write_text("port = ")
    done = modelyard("up", "--detach")
    assert done.code == 2
    assert "config.toml is not valid TOML" in done.err


def test_config_tells_where_a_setting_came_from(
    modelyard: Callable, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.mkdir()
    (home / "config.toml").write_text("slots = 3\n")
    monkeypatch.setenv("MODELYARD_PORT", "7171")
    rows = {r["name"]: r for r in modelyard("config", "show", "--origin", "-o", "json").json}
    assert rows["port"] == {"name": "port", "value": 7171, "origin": "MODELYARD_PORT"}
    assert rows["slots"]["origin"] == str(home / "config.toml")
    assert rows["host"]["origin"] == "default"
    assert rows["home"]["origin"] == "MODELYARD_HOME"


def test_doctor_works_with_the_yard_down(modelyard: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELYARD_PORT", "0")  # the default one may be taken on this machine
    done = modelyard("doctor", "-o", "json")
    found = {f["what"]: f for f in done.json}
    assert done.code == 0, done.out
    assert found["python"]["state"] == "ok"
    assert found["uv"]["state"] == "ok"
    assert found["py-rattler"]["state"] == "ok"
    assert found["yard"]["next"] == "modelyard up --detach"


def test_doctor_finds_what_is_broken_and_says_what_to_do(modelyard: Callable, home: Path) -> None:
    home.mkdir()
    (home / "owner.token").write_text("open to all")
    (home / "owner.token").chmod(0o644)
    (home / "yard.db").write_bytes(b"this is no database" * 100)
    done = modelyard("doctor", "-o", "json")
    found = {f["what"]: f for f in done.json}
    assert done.code == 1
    assert found["owner.token"]["next"].startswith("chmod 600")
    assert found["database"]["state"] == "broken"


def test_doctor_names_a_wrong_setting(modelyard: Callable, home: Path) -> None:
    home.mkdir()
    (home / "config.toml").write_text("prot = 7070\n")
    done = modelyard("doctor")
    assert done.code == 1
    assert "unknown setting 'prot'" in done.out


def test_the_quickstart_files_are_found() -> None:
    names = set(os.listdir(example_directory()))
    assert {"train.py", "score.py", "requirements.txt"} <= names


def test_a_home_below_a_file_is_named_as_the_fault(modelyard: Callable, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = modelyard("up", "--home", "file/home", "--port", "0")
    assert done.code == 2
    assert "file/home can't be used: Not a directory" in done.err


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///yard.db", "sqlite:///:memory:"])
def test_a_database_that_moves_with_the_directory_is_refused(modelyard: Callable, url: str) -> None:
    done = modelyard("up", "--port", "0", "--database", url)
    assert done.code == 2
    assert "with four slashes" in done.err


def test_no_form_of_config_shows_a_password(modelyard: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELYARD_DATABASE", "postgresql://yard:s3cret@db.example/yard")
    monkeypatch.setenv("MODELYARD_BLOBS", "s3://bucket/x?secret_access_key=s3cret")
    for options in ((), ("--origin",), ("-o", "json"), ("--origin", "-o", "json")):
        done = modelyard("config", "show", *options)
        assert done.code == 0
        assert "s3cret" not in done.out
        assert "db.example" in done.out


def test_doctor_finds_a_database_that_a_newer_version_wrote(modelyard: Callable, home: Path) -> None:
    home.mkdir()
    with contextlib.closing(sqlite3.connect(home / "yard.db")) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("INSERT INTO alembic_version VALUES ('9999')")
        connection.commit()
    found = {f["what"]: f for f in modelyard("doctor", "-o", "json").json}
    assert found["database"]["state"] == "broken"
    assert "a newer modelyard wrote it (schema 9999" in found["database"]["detail"]
