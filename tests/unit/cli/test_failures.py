"""What went wrong becomes one line and an exit code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
import pytest

from modelyard import errors
from modelyard.cli import failures
from modelyard.server.kernel.errors import Conflict, Forbidden, Invalid, NotFound

CASES = [
    (errors.YardUnavailable("away"), failures.UNREACHABLE),
    (errors.NotFound("no run"), failures.NOT_FOUND),
    (errors.ModelNotFoundException("no model"), failures.NOT_FOUND),
    (errors.ExperimentNotFoundException("no experiment"), failures.NOT_FOUND),
    (errors.WorkspaceException("no workspace", status=404), failures.NOT_FOUND),
    (errors.WorkspaceException("exists", status=409), failures.REFUSED),
    (errors.Conflict("in use"), failures.REFUSED),
    (errors.AuthenticationException("no token"), failures.REFUSED),
    (errors.NotYetAvailable("not there yet"), failures.REFUSED),
    (errors.UserErrorException("wrong argument"), failures.USAGE),
    (errors.RunConfigurationException("wrong"), failures.USAGE),
    (errors.ActivityFailedException("failed"), failures.FAILED),
    (errors.WebserviceException("failed"), failures.FAILED),
    (errors.ServiceException("500", status=500), failures.FAILED),
    (Invalid("bad_setting", "wrong setting"), failures.USAGE),
    (Conflict("port_taken", "taken"), failures.REFUSED),
    (Forbidden("not_allowed", "no"), failures.REFUSED),
    (NotFound("no_such", "none"), failures.NOT_FOUND),
    (FileNotFoundError(2, "No such file or directory", "x.yml"), failures.USAGE),
    (OSError(28, "No space left on device", "/full"), failures.FAILED),
    (ValueError("not a number"), failures.USAGE),
    (failures.Failure("own", 3), 3),
    (click.UsageError("usage"), failures.USAGE),
    (RuntimeError("a bug"), failures.FAILED),
]


@pytest.mark.parametrize(("error", "code"), CASES, ids=lambda c: type(c).__name__)
def test_every_kind_of_error_has_its_exit_code(error: Exception, code: int) -> None:
    message, found = failures.explain(error)
    assert found == code
    assert message
    assert "Traceback" not in message


def test_a_fault_of_ours_is_called_one() -> None:
    assert "a fault of modelyard" in failures.explain(KeyError("x"))[0]


@click.command()
@click.option("--debug", is_flag=True)
@click.option("--interrupt", is_flag=True)
@click.argument("rest", nargs=-1)
def breaks(debug: bool, interrupt: bool, rest: tuple[str, ...]) -> None:
    if interrupt:
        raise KeyboardInterrupt
    raise RuntimeError("inner words")


def test_an_error_is_one_line_without_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert failures.run_and_tell(breaks, []) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert err.startswith("error: RuntimeError: inner words")


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert failures.run_and_tell(breaks, ["--debug"]) == 1
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert 'raise RuntimeError("inner words")' in err


def test_debug_of_the_script_is_not_ours(capsys: pytest.CaptureFixture[str]) -> None:
    failures.run_and_tell(breaks, ["--", "--debug"])
    assert "Traceback" not in capsys.readouterr().err


def test_an_interrupt_is_130(capsys: pytest.CaptureFixture[str]) -> None:
    assert failures.run_and_tell(breaks, ["--interrupt"]) == 130


COMMANDS = [
    ("workspace", "list"), ("experiment", "list"), ("run", "list"), ("run", "show", "x"), ("run", "logs", "x"),
    ("environment", "list"), ("environment", "builds"), ("compute", "list"), ("model", "list"),
    ("endpoint", "list"), ("status",),
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_without_a_yard_every_command_says_so_with_5(modelyard: Callable, command: tuple[str, ...]) -> None:
    done = modelyard(*command)
    assert done.code == failures.UNREACHABLE
    assert "modelyard up" in done.out + done.err


def test_a_command_never_starts_a_yard(modelyard: Callable, home: Path) -> None:
    modelyard("run", "list")
    assert not home.exists()


def test_the_documented_exit_codes_are_the_ones() -> None:
    page = (Path(__file__).parents[3] / "docs" / "reference" / "exit-codes.md").read_text("utf-8")
    for code in (0, 1, 2, 3, 4, 5, 130):
        assert f"| {code} |" in page
