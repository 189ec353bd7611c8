"""What every request passes before any route: known Host, known Origin on unsafe verbs, safe answer headers."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from modelyard.server.kernel.errors import Forbidden, Invalid, ProblemError
from modelyard.server.kernel.http import problem_response

_SAFE = {"GET", "HEAD", "OPTIONS"}
_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
]


class Guard:
    """Refuses a Host the yard is not known by (DNS rebinding) and a foreign Origin (cross-site requests)."""

    def __init__(self, app: ASGIApp, hosts: set[str]) -> None:
        """`hosts` are names without port, lower case; `*` allows any, for a yard behind a proxy that checks."""
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers: dict[bytes, bytes] = dict(scope["headers"])
        host = headers.get(b"host", b"").decode("latin-1")
        refusal: ProblemError | None = None
        if not self._known(host):
            refusal = Invalid(
                "unknown_host",
                f"This yard is not known as {host!r}. Start it with --allowed-hosts {hostname(host)} to allow that name.",
            )
        elif scope["method"] not in _SAFE and (origin := headers.get(b"origin")) is not None:
            name = origin.decode("latin-1").partition("://")[2]
            if not self._known(name):
                refusal = Forbidden(
                    "foreign_origin", f"A page of {origin.decode('latin-1')!r} may not change this yard."
                )

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(h for h in _HEADERS if h[0] not in present)]
            await send(message)

        if refusal is not None:
            await problem_response(refusal.problem())(scope, receive, send_with_headers)
            return
        await self._app(scope, receive, send_with_headers)

    def _known(self, host: str) -> bool:
        return "*" in self._hosts or hostname(host) in self._hosts


def hostname(host: str) -> str:
    """The name part of a Host header, lower case; brackets of an IPv6 literal are kept."""
    host = host.strip().lower()
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0].rstrip(".")


def allowed_hosts(host: str, more: str) -> set[str]:
    """The names a yard listening on `host` is known by; `more` is the comma-separated setting."""
    names = {"localhost", "127.0.0.1", "[::1]"} | {n.strip().lower() for n in more.split(",") if n.strip()}
    if host not in ("0.0.0.0", "::"):  # compared, not bound
        names.add(f"[{host}]" if ":" in host else host.lower())
    return names
