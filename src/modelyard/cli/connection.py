"""The yard that a command speaks to. A command never starts one: a person is told how instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import click

from modelyard._client import Client, discover, path
from modelyard.workspace import DEFAULT_WORKSPACE, Workspace

T = TypeVar("T")

_PATIENCE_S = 3.0  # a person waits; `modelyard up` restarts in less
_TIMEOUT_S = 30.0  # of one answer, from a yard that takes connections and says nothing


def client() -> Client:
    """Raises YardUnavailable, saying where it looked."""
    address = discover()
    return Client(address.url, address.token, timeout_s=_TIMEOUT_S, patience_s=_PATIENCE_S)


def open_workspace(name: str | None) -> Workspace:
    """The workspace of that name, else the one that config.json here or above names, else the default one."""
    from modelyard import workspace_config  # the SDK's own search, without starting a yard

    yard = client()
    if name is None:
        config = workspace_config.find(None, "config.json")
        name = workspace_config.read(config)["workspace_name"] if config else DEFAULT_WORKSPACE
    return Workspace._named(name, yard)


def ask(workspace: Workspace, kind: type[T], *parts: Any, query: Mapping[str, Any] | None = None) -> T:
    """GET something of the workspace as its wire type: what lists and `--output json` show."""
    given = {k: v for k, v in (query or {}).items() if v not in (None, "", (), [])}
    answer: T = workspace._client.request("GET", _address(workspace, parts), query=given, kind=kind)
    return answer


def change(workspace: Workspace, method: str, kind: type[T] | None, body: Any, *parts: Any) -> Any:
    return workspace._client.request(method, _address(workspace, parts), body, kind=kind)


def _address(workspace: Workspace, parts: tuple[Any, ...]) -> str:
    if "" in parts:  # as of an unset variable; the address would be the whole collection's
        raise click.UsageError("a name is empty")
    return workspace._path(*parts)


def yard_wide(kind: type[T], *parts: Any, query: Mapping[str, Any] | None = None) -> T:
    """GET something that belongs to no workspace."""
    answer: T = client().request("GET", path(*parts), query=query, kind=kind)
    return answer
