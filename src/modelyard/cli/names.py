"""Names of things in the yard as people type them: completed by the shell, suggested when mistyped."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import click

_SHOWN = 200  # the latest ones; nobody looks through more in a shell


def _runs(workspace: Any) -> list[str]:
    from modelyard.cli.connection import ask
    from modelyard.wire.runs import RunPage

    return [r.id for r in ask(workspace, RunPage, "runs", query={"limit": _SHOWN}).items]


def _models(workspace: Any) -> list[str]:
    from modelyard.cli.connection import ask
    from modelyard.wire.models import ModelPage

    return [m.name for m in ask(workspace, ModelPage, "models", query={"latest": True, "limit": 100}).items]


def _endpoints(workspace: Any) -> list[str]:
    from modelyard.cli.connection import ask
    from modelyard.wire.endpoints import EndpointList

    return [e.name for e in ask(workspace, EndpointList, "endpoints").items]


def _experiments(workspace: Any) -> list[str]:
    from modelyard.cli.connection import ask
    from modelyard.wire.experiments import ExperimentList

    return [e.name for e in ask(workspace, ExperimentList, "experiments", query={"view": "all"}).items]


def _environments(workspace: Any) -> list[str]:
    from modelyard.cli.connection import ask
    from modelyard.wire.environments import EnvironmentList

    return [e.spec.name for e in ask(workspace, EnvironmentList, "environments").items]


def _computes(workspace: Any) -> list[str]:
    from modelyard.cli.connection import ask
    from modelyard.wire.compute import ComputeTargetList

    return [c.name for c in ask(workspace, ComputeTargetList, "computes").items]


def _workspaces(_workspace: Any) -> list[str]:
    from modelyard.cli.connection import yard_wide
    from modelyard.wire.workspaces import WorkspaceList

    return [w.name for w in yard_wide(WorkspaceList, "workspaces").items]


# kind -> how its names are listed, and how alike a mistyped one must be. Ids of runs differ in a few characters only.
_KINDS: dict[str, tuple[Callable[[Any], list[str]], float]] = {
    "run": (_runs, 0.9),
    "model": (_models, 0.7),
    "endpoint": (_endpoints, 0.7),
    "experiment": (_experiments, 0.7),
    "environment": (_environments, 0.7),
    "compute": (_computes, 0.7),
    "workspace": (_workspaces, 0.7),
}


class Name(click.types.StringParamType):
    """The name of a `kind` of thing, also as NAME:VERSION."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        if not text.strip():
            self.fail("it is empty", param, ctx)
        if "/" in text:
            self.fail(f"{text!r} is not a name", param, ctx)
        return text

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
        from click.shell_completion import CompletionItem  # only when a shell asks

        return [CompletionItem(n) for n in self.known(ctx) if n.startswith(incomplete)]

    def known(self, ctx: click.Context) -> list[str]:
        """The names there are; none where the yard does not say."""
        from modelyard import errors
        from modelyard.cli.connection import open_workspace

        try:
            workspace = None if self.kind == "workspace" else open_workspace(ctx.params.get("workspace"))
            return _KINDS[self.kind][0](workspace)
        except (errors.AzureMLException, OSError, ValueError):
            return []

    def near(self, ctx: click.Context, typed: str) -> str | None:
        """The name that was probably meant, or None when `typed` is there or like no other."""
        import difflib

        known = self.known(ctx)
        wanted = typed.partition(":")[0]
        if wanted in known:
            return None
        for name in known:
            if name.lower() == wanted.lower():
                return name
        found = difflib.get_close_matches(wanted, known, 1, _KINDS[self.kind][1])
        return found[0] if found else None


def suggestion(ctx: click.Context) -> str:
    """The sentence for a command whose thing was not found; empty when nothing is near."""
    for param in ctx.command.params:
        if isinstance(param.type, Name):
            for typed in _texts(ctx.params.get(param.name or "")):
                near = param.type.near(ctx, typed)
                if near:
                    return f" Did you mean {near!r}?"
    return ""


def _texts(value: Any) -> Iterable[str]:
    return [value] if isinstance(value, str) else value or ()


def workspace_option(command: Any) -> Any:
    return click.option(
        "-w",
        "--workspace",
        default=None,
        type=Name("workspace"),
        help="Workspace by name. Default: the yard's default one.",
    )(command)
