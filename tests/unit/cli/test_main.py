"""The root command: help without imports, mistyped names, options that every command has."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from modelyard.cli.lazy import YardCommand
from modelyard.cli.main import COMMANDS, cli


def modules_after(*arguments: str) -> set[str]:
    code = (
        "import sys, runpy\n"
        f"sys.argv = ['modelyard', *{list(arguments)!r}]\n"
        "try:\n    runpy.run_module('modelyard', run_name='__main__')\n"
        "except SystemExit:\n    pass\n"
        "print('\\n'.join(sys.modules), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


def every_command() -> list[tuple[str, click.Command]]:
    found = []
    for name in COMMANDS:
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        found += verbs_of(name, command)
    return found


def verbs_of(name: str, command: click.Command) -> list[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        return [(name, command)]
    return [found for verb, child in command.commands.items() for found in verbs_of(f"{name} {verb}", child)]


def test_help_imports_neither_concepts_nor_heavy_libraries() -> None:
    loaded = modules_after("--help")
    assert "click" in loaded
    heavy = {"rich", "starlette", "sqlalchemy", "uvicorn", "http.client", "asyncio", "yaml", "msgspec"}
    assert not loaded & heavy
    assert not [m for m in loaded if m.startswith("modelyard.server")]
    assert not {m for m in loaded if m.startswith("modelyard.cli.")} - {
        "modelyard.cli.main",
        "modelyard.cli.lazy",
        "modelyard.cli.failures",
    }


def test_the_help_of_one_concept_imports_only_that() -> None:
    loaded = modules_after("model", "--help")
    assert "modelyard.cli.model" in loaded
    assert not loaded & {"modelyard.cli.run", "modelyard.cli.endpoint", "rich", "sqlalchemy"}


@pytest.mark.parametrize(("name", "command"), every_command(), ids=lambda x: x if isinstance(x, str) else "")
def test_every_command_has_output_home_and_debug(name: str, command: click.Command) -> None:
    if name == "completion":
        return
    assert isinstance(command, YardCommand)
    options = {o for p in command.params for o in p.opts}
    assert {"--output", "-o", "--home", "--debug"} <= options
    assert command.help, f"{name} says nothing about itself"


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_every_command_can_be_shown(name: str, modelyard: Callable) -> None:
    done = modelyard(name, "--help")
    assert (done.code, done.err) == (0, "")
    assert "Usage: modelyard" in done.out


def test_a_mistyped_command_is_answered_with_the_near_one(modelyard: Callable) -> None:
    done = modelyard("statsu")
    assert done.code == 2
    assert done.err == "error: There is no command 'statsu'. Did you mean 'status'? (see modelyard --help)\n"


def test_a_mistyped_verb_is_answered_with_the_near_one(modelyard: Callable) -> None:
    done = modelyard("run", "sumbit", "train.py")
    assert done.code == 2
    assert "Did you mean 'run submit'?" in done.err


def test_a_wrong_option_is_wrong_usage(modelyard: Callable) -> None:
    done = modelyard("run", "list", "--colour")
    assert done.code == 2
    assert done.err.startswith("error: No such option '--colour'")
    assert "see modelyard run list --help" in done.err


def test_a_scripts_own_option_without_dashes_is_explained(modelyard: Callable, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("")
    done = modelyard("run", "submit", "train.py", "--alpha", "3")
    assert done.code == 2
    assert "after --" in done.err


def test_the_version_is_told(modelyard: Callable) -> None:
    from modelyard.version import VERSION

    assert modelyard("--version").out == f"modelyard, version {VERSION}\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script_that_asks_us(modelyard: Callable, shell: str) -> None:
    done = modelyard("completion", shell)
    assert done.code == 0
    assert "_MODELYARD_COMPLETE" in done.out


def test_an_unknown_shell_is_wrong_usage(modelyard: Callable) -> None:
    assert modelyard("completion", "tcsh").code == 2


def test_completion_completes_verbs() -> None:
    environ = {"_MODELYARD_COMPLETE": "bash_complete", "COMP_WORDS": "modelyard run su", "COMP_CWORD": "2"}
    done = subprocess.run(
        [sys.executable, "-c", "from modelyard.cli.main import main; main()"],
        env={**environ, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["plain,submit"]


def test_an_installation_without_the_commands_libraries_says_how_to_get_them(tmp_path: Path) -> None:
    code = "import sys; sys.modules['click'] = None\nfrom modelyard.__main__ import main\nsys.exit(main())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: Python package 'click' is missing")
    assert "pip install modelyard" in done.stderr
    assert "Traceback" not in done.stderr
