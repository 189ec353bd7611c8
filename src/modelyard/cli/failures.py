"""From what went wrong to one line on stderr and an exit code.

docs/reference/exit-codes.md says the codes to people.
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence

import click

FAILED = 1  # the thing itself failed: the run, the deployment, the build
USAGE = 2
NOT_FOUND = 3
REFUSED = 4  # not allowed, or in a state that refuses it
UNREACHABLE = 5  # no yard answers
INTERRUPTED = 130


class Failure(click.ClickException):
    """Something that a command itself found wrong."""

    def __init__(self, message: str, exit_code: int = FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]  # click reads it from the instance


def run_and_tell(command: click.Command, arguments: Sequence[str]) -> int:
    """Run the command and answer its exit code; whatever goes wrong becomes one line, never a traceback."""
    # Looked for before parsing too: wrong usage may keep the option from being read.
    debug = "--debug" in list(arguments)[: _before_dashes(arguments)]
    try:
        result = command.main(args=list(arguments), prog_name="modelyard", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except (KeyboardInterrupt, click.exceptions.Abort):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except SystemExit:
        return (
            0  # click's answer to a closed pipe (`modelyard run list | head`): the reader has what it wanted
        )
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return USAGE
    except (
        Exception
    ) as error:  # the one place where a command's errors end up; --debug shows where they came from
        if debug:
            traceback.print_exc()
        message, code = explain(error)
        click.echo(f"error: {message}", err=True)
        return code


def _before_dashes(arguments: Sequence[str]) -> int:
    return arguments.index("--") if "--" in arguments else len(arguments)


def explain(error: Exception) -> tuple[str, int]:
    """The line for a person, and the exit code, for anything that may be raised here."""
    if isinstance(error, click.NoSuchOption) and error.ctx and error.ctx.info_name == "submit":
        return f"{error.format_message().rstrip('.')} (the script's own arguments go after --)", USAGE
    if isinstance(error, click.UsageError):
        where = f" (see {error.ctx.command_path} --help)" if error.ctx else ""
        return f"{error.format_message().rstrip('.')}{where}", USAGE
    if isinstance(error, click.ClickException):
        return error.format_message(), error.exit_code
    from modelyard import errors

    if isinstance(error, errors.AzureMLException):
        return error.message or str(error), code_of(error)
    detail = getattr(error, "detail", None)
    if isinstance(detail, str):  # a ProblemError, raised in this process by the server's own start
        return " ".join(detail.split()), NOT_FOUND if getattr(error, "status", 0) == 404 else _problem_code(
            error
        )
    if isinstance(
        error, (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError, FileExistsError)
    ):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error), USAGE
    if isinstance(error, OSError):
        return f"{error.filename + ': ' if error.filename else ''}{error.strerror or error}", FAILED
    if isinstance(error, ModuleNotFoundError):
        return f"Python package {error.name!r} is missing: pip install modelyard", FAILED
    if isinstance(error, NotImplementedError):
        return str(error), REFUSED
    if isinstance(error, ValueError):
        return str(error), USAGE
    return f"{type(error).__name__}: {error} (a fault of modelyard; --debug shows where)", FAILED


def code_of(error: Exception) -> int:
    from modelyard import errors

    status = getattr(error, "status", None)
    if isinstance(error, errors.YardUnavailable):
        return UNREACHABLE
    if getattr(error, "code", None) == "scoring_failed":
        return FAILED  # the status is the web service's own, not the yard's
    if isinstance(error, errors.NotFound) or status == 404:
        return NOT_FOUND
    if (
        isinstance(error, (errors.Conflict, errors.AuthenticationException, errors.NotYetAvailable))
        or status == 409
    ):
        return REFUSED
    if isinstance(error, errors.UserErrorException) or status == 422:
        return USAGE
    return FAILED


def _problem_code(error: Exception) -> int:
    status = getattr(error, "status", 500)
    return REFUSED if status in (401, 403, 409) else USAGE if 400 <= status < 500 else FAILED
