"""The verbs against a server in this process: JSON everywhere, mistyped names, questions before something is lost."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def served(server: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("MODELYARD_URL", server.url)
    monkeypatch.setenv("MODELYARD_TOKEN", server.owner_token)
    return server


@pytest.fixture
def filled(served: Any, modelyard: Callable, tmp_path: Path) -> Any:
    """An experiment with a run in the queue, a model and an environment."""
    (tmp_path / "train.py").write_text("print(1)\n")
    (tmp_path / "model.txt").write_text("a model\n")
    (tmp_path / "requirements.txt").write_text("tabulate\nsix\n")
    submitted = modelyard("run", "submit", "train.py", "-e", "forecast")
    assert submitted.code == 0
    assert re.search(r"Snapshot of .*; uploaded \d+ files, [\d,]+ bytes", submitted.err)
    assert modelyard("model", "register", "--name", "factor", "--path", "model.txt").code == 0
    assert modelyard("environment", "register", "small", "--requirements", "requirements.txt").code == 0
    return served


LISTS = ["workspace", "experiment", "run", "environment", "compute", "model", "endpoint"]


@pytest.mark.parametrize("concept", LISTS)
def test_every_list_is_json_also_when_it_is_empty(served: Any, modelyard: Callable, concept: str) -> None:
    done = modelyard(concept, "list", "-o", "json")
    assert (done.code, done.err) == (0, "")
    assert isinstance(done.json, list)


def test_every_delete_answers_json(filled: Any, modelyard: Callable) -> None:
    run = modelyard("run", "list", "-o", "json").json[0]["id"]
    assert modelyard("run", "cancel", run, "-o", "json").code == 0
    for command, deleted in (
        (("run", "delete", run), run),
        (("experiment", "delete", "forecast"), "forecast"),
        (("model", "delete", "factor:1"), "factor:1"),
    ):
        done = modelyard(*command, "--yes", "-o", "json")
        assert (done.code, done.err) == (0, "")
        assert done.json == {"deleted": [deleted]}


@pytest.mark.parametrize(
    ("command", "meant"),
    [
        (("model", "show", "facotr"), "factor"),
        (("model", "show", "FACTOR:1"), "factor"),
        (("experiment", "show", "forcast"), "forecast"),
        (("run", "list", "-e", "Forecast"), "forecast"),
        (("environment", "show", "smal"), "small"),
        (("compute", "show", "locl"), "local"),
        (("workspace", "show", "defualt"), "default"),
        (("run", "list", "-w", "defaults"), "default"),
        (("endpoint", "deploy", "new", "--model", "factr", "--entry-script", "train.py"), "factor"),
        (("run", "submit", "train.py", "--environment", "smalll"), "small"),
    ],
)
def test_a_mistyped_name_is_answered_with_the_near_one(
    filled: Any, modelyard: Callable, command: tuple[str, ...], meant: str
) -> None:
    done = modelyard(*command)
    assert done.code == 3
    assert done.err.endswith(f" Did you mean {meant!r}?\n")


def test_a_mistyped_run_is_answered_with_the_near_one(filled: Any, modelyard: Callable) -> None:
    run = modelyard("run", "list", "-o", "json").json[0]["id"]
    assert f"Did you mean {run!r}?" in modelyard("run", "show", run[:-1]).err
    assert "Did you mean" not in modelyard("run", "show", "forecast_1_00000000").err


def test_a_name_like_no_other_gets_no_suggestion(filled: Any, modelyard: Callable) -> None:
    done = modelyard("model", "show", "zzz")
    assert done.code == 3
    assert "Did you mean" not in done.err


@pytest.mark.parametrize("name", ["", " ", "../etc", "a/b"])
def test_what_can_be_no_name_is_wrong_usage(served: Any, modelyard: Callable, name: str) -> None:
    for command in (("run", "show", name), ("model", "show", name), ("endpoint", "logs", name)):
        assert modelyard(*command).code == 2


def test_a_shell_completes_the_names_there_are(filled: Any, home: Path) -> None:
    def complete(words: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-m", "modelyard"],
            env={
                **os.environ,
                "_MODELYARD_COMPLETE": "bash_complete",
                "COMP_WORDS": words,
                "COMP_CWORD": str(len(words.split())),
            },
            capture_output=True,
            text=True,
            check=True,
        )
        return [line.partition(",")[2] for line in done.stdout.split()]

    assert complete("modelyard model show") == ["factor"]
    assert complete("modelyard run list --experiment") == ["forecast"]
    assert complete("modelyard run show")[0].startswith("forecast_")


def test_a_deletion_is_asked_about_and_a_no_keeps_everything(
    filled: Any, modelyard: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    done = modelyard("model", "delete", "factor:1")
    assert done.code == 1
    assert "nothing was deleted" in done.err
    assert modelyard("model", "show", "factor").code == 0


def test_a_deletion_where_nobody_can_be_asked_needs_yes(
    filled: Any, modelyard: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    done = modelyard("model", "delete", "factor:1")
    assert done.code == 2
    assert "--yes" in done.err


def test_an_experiment_goes_with_its_runs_only_by_force(filled: Any, modelyard: Callable) -> None:
    run = modelyard("run", "list", "-o", "json").json[0]["id"]
    assert modelyard("experiment", "delete", "forecast", "--yes").code == 4
    assert modelyard("experiment", "delete", "forecast", "--force", "--yes").code == 4  # the run is not over
    assert modelyard("run", "cancel", run).code == 0
    assert modelyard("experiment", "delete", "forecast", "--force", "--yes").code == 0
    assert modelyard("run", "show", run).code == 3


def test_an_experiment_may_be_made_before_its_runs(served: Any, modelyard: Callable) -> None:
    done = modelyard("experiment", "create", "early", "--tag", "a=b", "-o", "json")
    assert (done.json["name"], done.json["tags"]) == ("early", {"a": "b"})


def test_a_workspace_s_tags_are_changed_one_by_one(served: Any, modelyard: Callable) -> None:
    modelyard("workspace", "update", "default", "--tag", "a=1", "--tag", "b=2")
    done = modelyard(
        "workspace", "update", "default", "--remove-tag", "a", "--description", "ours", "-o", "json"
    )
    assert (done.json["tags"], done.json["description"]) == ({"b": "2"}, "ours")


def test_an_environment_of_requirements_is_shown_as_its_lines(filled: Any, modelyard: Callable) -> None:
    lines = modelyard("environment", "show", "small").out.splitlines()
    assert "kind          pip" in lines
    assert "requirements  tabulate" in lines
    assert "              six" in lines


def test_an_environment_that_comes_with_the_yard_has_no_date(served: Any, modelyard: Callable) -> None:
    out = modelyard("environment", "list").out
    assert "comes with the yard" in out
    assert "1970" not in out


def test_a_run_without_a_name_of_its_own_shows_its_id_once(filled: Any, modelyard: Callable) -> None:
    run = modelyard("run", "list", "-o", "json").json[0]["id"]
    assert modelyard("run", "list").out.count(run) == 1


def test_a_list_shows_the_tags_that_people_gave_and_not_the_documents_of_a_client(
    filled: Any, modelyard: Callable
) -> None:
    run = modelyard("run", "list", "-o", "json").json[0]["id"]
    long = "x" * 500
    assert (
        modelyard("run", "tag", run, "team=a", f"note={long}", f"mlflow.log-model.history={long}").code == 0
    )
    shown = modelyard("run", "list").out
    assert "team=a" in shown
    assert "mlflow." not in shown
    assert "x" * 60 not in shown
    assert modelyard("run", "list", "-o", "json").json[0]["tags"]["note"] == long


def test_a_file_of_a_run_is_not_looked_for_here(filled: Any, modelyard: Callable) -> None:
    run = modelyard("run", "list", "-o", "json").json[0]["id"]
    done = modelyard("model", "register", "--name", "m", "--run", run, "--path", "outputs/model.txt")
    assert done.code == 2
    assert "by --run-path" in done.err


def test_a_model_that_is_there_already_names_the_option_that_replaces_it(
    filled: Any, modelyard: Callable
) -> None:
    done = modelyard("model", "download", "factor")
    assert done.code == 2
    assert "--overwrite" in done.err
    assert modelyard("model", "download", "factor", "--overwrite").code == 0


def test_a_version_nought_is_wrong_usage(filled: Any, modelyard: Callable) -> None:
    assert modelyard("model", "show", "factor:0").code == 2


def test_a_group_without_a_verb_shows_its_help(modelyard: Callable) -> None:
    done = modelyard("run")
    assert done.code == 2
    assert done.err.startswith("Usage: modelyard run")


def test_a_reader_that_has_enough_is_no_failure(filled: Any) -> None:
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {sys.executable} -m modelyard environment list -o json | head -1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "[\n")


def test_json_is_alone_on_stdout(filled: Any, modelyard: Callable) -> None:
    for command in (
        ("model", "register", "--name", "factor", "--path", "model.txt"),
        ("run", "submit", "train.py"),
        ("run", "list"),
        ("model", "show", "factor"),
    ):
        assert json.loads(modelyard(*command, "-o", "json").out)


def on_a_terminal(*arguments: str, stdout: bool = False) -> str:
    """What the command shows on a terminal of 80 columns: on stderr, or on stdout."""
    controller, terminal = os.openpty()
    with open(controller, "rb", buffering=0) as shown:
        process = subprocess.Popen(
            [sys.executable, "-m", "modelyard", *arguments],
            stdout=terminal if stdout else subprocess.DEVNULL,
            stderr=subprocess.DEVNULL if stdout else terminal,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "80"},
        )
        os.close(terminal)
        pieces = []
        with contextlib.suppress(OSError):  # how a terminal tells that nobody writes to it any more
            while piece := shown.read(4096):
                pieces.append(piece)
        assert process.wait(timeout=30) == 0
    return b"".join(pieces).decode()


def test_long_work_shows_how_far_it_is_on_a_terminal_only(
    filled: Any, modelyard: Callable, tmp_path: Path
) -> None:
    (tmp_path / "large.bin").write_bytes(os.urandom(3_000_000))
    assert "3.0/3.0 MB" not in modelyard("model", "register", "--name", "large", "--path", "large.bin").err
    assert "3.0/3.0 MB" in on_a_terminal("model", "download", "large", "-d", str(tmp_path / "there"))
    os.truncate(tmp_path / "large.bin", 2_000_000)
    assert "2.0/? MB" in on_a_terminal("model", "register", "--name", "large", "--path", "large.bin")


def test_a_snapshot_is_not_written_through_a_link_that_leads_outside(
    filled: Any, modelyard: Callable, tmp_path: Path
) -> None:
    (tmp_path / "tree" / "sub").mkdir(parents=True)
    (tmp_path / "tree" / "sub" / "a.py").write_text("print(1)\n")
    run = json.loads(
        modelyard("run", "submit", "sub/a.py", "--source-directory", str(tmp_path / "tree"), "-o", "json").out
    )["id"]
    (tmp_path / "outside").mkdir()
    (tmp_path / "into").mkdir()
    (tmp_path / "into" / "sub").symlink_to(tmp_path / "outside")
    done = modelyard("run", "snapshot", run, "--directory", "into")
    assert done.code == 1
    assert "leads outside" in done.err
    assert not list((tmp_path / "outside").iterdir())


def test_what_people_copy_from_a_table_is_whole_on_a_narrow_terminal(
    filled: Any, modelyard: Callable
) -> None:
    modelyard("run", "submit", "train.py", "-e", "an-experiment-with-quite-a-long-name")
    runs = modelyard("run", "list", "-o", "json").json
    shown = on_a_terminal("run", "list", stdout=True)
    assert all(run["id"] in shown for run in runs)
    assert "TAGS" not in shown  # nothing would be in it


def test_a_model_gets_an_alias_and_a_stage(filled: Any, modelyard: Callable) -> None:
    assert modelyard("model", "alias", "set", "factor:1", "champion").code == 0
    shown = modelyard("model", "show", "factor@champion", "-o", "json").json
    assert (shown["version"], shown["aliases"]) == (1, ["champion"])
    assert modelyard("model", "stage", "factor:1", "production", "-o", "json").json["stage"] == "Production"
    assert modelyard("model", "stage", "factor:1", "live").code == 2
    assert modelyard("model", "alias", "set", "factor", "champion").code == 2
    done = modelyard("model", "alias", "delete", "factor", "champion", "-o", "json")
    assert done.json == {"deleted": ["factor@champion"]}
    assert "no alias" in modelyard("model", "show", "factor@champion").err
