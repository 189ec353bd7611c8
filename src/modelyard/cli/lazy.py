"""Commands that are imported when they are called, and the options that every command has."""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from typing import Any

import click

from modelyard.cli.failures import NOT_FOUND, Failure, code_of


class LazyGroup(click.Group):
    """`commands_at`: name -> (`module:attribute`, help line)."""

    def __init__(self, *args: Any, commands_at: dict[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._at = commands_at

    def list_commands(self, ctx: click.Context) -> list[str]:  # click's signature
        return list(self._at)

    def get_command(
        self,
        ctx: click.Context,  # click\'s signature
        cmd_name: str,
    ) -> click.Command | None:
        if cmd_name not in self._at:
            return None
        module, _, attribute = self._at[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(
        self,
        ctx: click.Context,  # click\'s signature
        formatter: click.HelpFormatter,
    ) -> None:
        """The list of commands without importing any of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in self._at.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self._at and not args[0].startswith("-"):
            raise click.UsageError(_no_such(args[0], list(self._at)), ctx)
        return super().resolve_command(ctx, args)


def _no_such(name: str, known: Sequence[str]) -> str:
    import difflib  # only where a command is mistyped

    near = difflib.get_close_matches(name, known, 1)
    return f"There is no command {name!r}." + (f" Did you mean {near[0]!r}?" if near else "")


def _set_home(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    if value:
        # The SDK reads the home from here, so an option and the variable mean the same everywhere.
        os.environ["MODELYARD_HOME"] = os.path.abspath(os.path.expanduser(value))
    return value


class YardCommand(click.Command):
    """A command with `--output`, `--home` and `--debug`, like all of them."""

    outputs: Sequence[str] = ("table", "json")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += [
            click.Option(
                ["-o", "--output"],
                type=click.Choice(self.outputs),
                default="table",
                expose_value=False,
                callback=_set_output,
                help="Tables for people, JSON for programs.",
            ),
            click.Option(
                ["--home"],
                type=click.Path(file_okay=False),
                expose_value=False,
                is_eager=True,
                callback=_set_home,
                help="The yard's home. Default: MODELYARD_HOME or ~/.modelyard.",
            ),
            click.Option(
                ["--debug"],
                is_flag=True,
                expose_value=False,
                is_eager=True,
                callback=_set_debug,
                help="Show the traceback of an error.",
            ),
        ]

    def invoke(self, ctx: click.Context) -> Any:
        from modelyard import errors  # not for --help

        try:
            return super().invoke(ctx)
        except errors.AzureMLException as error:
            if code_of(error) != NOT_FOUND:
                raise
            from modelyard.cli.names import suggestion  # only for a name that is not there

            near = suggestion(ctx)
            if not near:
                raise
            raise Failure((error.message or str(error)) + near, NOT_FOUND) from error


def _set_output(ctx: click.Context, _param: click.Parameter, value: str) -> None:
    ctx.find_root().meta["modelyard.output"] = value


def _set_debug(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    ctx.find_root().meta["modelyard.debug"] = value


class YardGroup(click.Group):
    """A concept: its verbs are YardCommands."""

    command_class = YardCommand
    group_class = type

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            raise click.UsageError(
                _no_such(f"{ctx.info_name} {args[0]}", [f"{ctx.info_name} {n}" for n in self.commands]), ctx
            )
        return super().resolve_command(ctx, args)
