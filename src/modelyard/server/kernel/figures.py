"""Figures of the yard in Prometheus' text format, and those of the requests it answers."""

from __future__ import annotations

import collections
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send


@dataclass(frozen=True)
class Figure:
    """One metric: a value for each set of labels. `kind` is `gauge`, or `counter` for a name that ends with _total."""

    name: str
    help: str
    kind: str
    values: Iterable[tuple[Mapping[str, object], float]]


def text(figures: Iterable[Figure]) -> str:
    lines: list[str] = []
    for figure in figures:
        lines += [f"# HELP {figure.name} {figure.help}", f"# TYPE {figure.name} {figure.kind}"]
        for labels, value in figure.values:
            named = ",".join(f'{key}="{_escaped(str(label))}"' for key, label in labels.items())
            lines.append(f"{figure.name}{{{named}}} {value}" if named else f"{figure.name} {value}")
    return "\n".join(lines) + "\n"


def _escaped(label: str) -> str:
    return label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


class Traffic:
    """Counts what passes to the app, by method and status."""

    _METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._answered: collections.Counter[tuple[str, int]] = collections.Counter()
        self._in_progress = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # Whatever a caller calls its method, there is a bounded number of labels.
        method = scope["method"] if scope["method"] in self._METHODS else "other"

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._answered[method, message["status"]] += 1
            await send(message)

        self._in_progress += 1
        try:
            await self._app(scope, receive, counted)
        finally:
            self._in_progress -= 1

    def figures(self) -> list[Figure]:
        return [
            Figure(
                "modelyard_http_requests_total", "Requests answered, by method and status.", "counter",
                [({"method": m, "status": s}, n) for (m, s), n in sorted(self._answered.items())],
            ),
            Figure(
                "modelyard_http_requests_in_progress",
                "Requests being answered, those that wait for news included.",
                "gauge",
                [({}, self._in_progress)],
            ),
        ]  # fmt: skip
