"""Routes: a handler's signature is its contract, and a route without a permission can't be written.

    r = Routes("models")

    @r.post("/api/v1/workspaces/{workspace}/models", Permission.MODEL_REGISTER, status=201)
    def register(call: Call, body: ModelRegister) -> ModelInfo:
        "Register a version of a model."

`body` is decoded by msgspec into the wire dataclass (422 with the path that does not fit), `query` likewise from the
query string, and the returned dataclass is encoded. `None` answers 204; a Starlette response passes through (declare
it with `raw=`). Plain functions run in a thread; `async def` is for the named places that stream or wait. A slice that
speaks another product's protocol brings its own `Dialect`.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Mount, Router
from starlette.routing import Route as StarletteRoute

from modelyard.server.kernel.auth import Identity, Permission, Principal
from modelyard.server.kernel.errors import Invalid, NotFound, ProblemError, TooLarge, Unsupported
from modelyard.wire.problems import Problem

MAX_JSON_BYTES = 64 * 1024 * 1024

WORKSPACE = "/api/v1/workspaces/{workspace}"


@dataclass(frozen=True)
class Call:
    """One request: who, where, and the raw request for handlers that stream."""

    principal: Principal
    workspace_id: str  # empty outside a workspace
    path: dict[str, str]
    request: Request


@dataclass(frozen=True)
class Dialect:
    """How a family of routes reads bodies and writes answers and refusals.

    `reader(kind)` gives, once per route, what turns a request and its body into a `kind`. Routes of another product's
    protocol all lie `under` one path, are looked for only there, and are not in openapi.json: their own documents hold.
    """

    reader: Callable[[type], Callable[[Request, bytes], Any]]
    encode: Callable[[Any], bytes]
    refuse: Callable[[ProblemError], Response]
    under: str = ""


@dataclass(frozen=True)
class Route:
    method: str
    path: str
    permission: Permission
    handler: Callable[..., Any]
    tag: str
    status: int
    body: type | None
    query: type | None
    returns: type | None
    raw: str  # media type of a body that is not JSON (several with ", " between), empty for JSON
    raw_body: str  # media type of a streamed request body, empty for JSON or none
    dialect: Dialect
    often: bool  # called so often that finding it among all routes would be felt


class Routes:
    """Collects the routes of one slice."""

    def __init__(self, tag: str, dialect: Dialect | None = None) -> None:
        self.tag = tag
        self.items: list[Route] = []
        self._dialect = dialect or OWN

    def get(self, path: str, permission: Permission, **options: Any) -> Callable[[Any], Any]:
        return self._add("GET", path, permission, **options)

    def post(self, path: str, permission: Permission, **options: Any) -> Callable[[Any], Any]:
        return self._add("POST", path, permission, **options)

    def put(self, path: str, permission: Permission, **options: Any) -> Callable[[Any], Any]:
        return self._add("PUT", path, permission, **options)

    def patch(self, path: str, permission: Permission, **options: Any) -> Callable[[Any], Any]:
        return self._add("PATCH", path, permission, **options)

    def delete(self, path: str, permission: Permission, **options: Any) -> Callable[[Any], Any]:
        return self._add("DELETE", path, permission, **options)

    def _add(
        self,
        method: str,
        path: str,
        permission: Permission,
        *,
        status: int = 200,
        raw: str = "",
        raw_body: str = "",
        often: bool = False,
    ) -> Callable[[Any], Any]:
        def register(handler: Any) -> Any:
            hints = typing.get_type_hints(handler)
            extra = set(hints) - {"call", "body", "query", "return"}
            if extra:
                raise TypeError(
                    f"{handler.__qualname__}: a handler takes call, body and query, not {sorted(extra)}"
                )
            returns = hints.get("return")
            self.items.append(
                Route(
                    method,
                    path,
                    permission,
                    handler,
                    self.tag,
                    status,
                    hints.get("body"),
                    hints.get("query"),
                    None if raw or returns is type(None) else returns,
                    raw,
                    raw_body,
                    self._dialect,
                    often,
                )
            )
            return handler

        return register


class Workspaces(Protocol):
    def id_of(self, name: str) -> str:
        """The id behind a name in a path. Raises NotFound."""

    def known_id(self, name: str) -> str | None:
        """The same, where it can be told without a look at the database."""


def starlette_routes(routes: list[Route], identity: Identity, workspaces: Workspaces) -> list[BaseRoute]:
    """Bind routes to a server; those marked `often` are looked at before all others."""
    often: list[BaseRoute] = []
    bound: list[BaseRoute] = []
    families: dict[str, list[BaseRoute]] = {}
    for route in routes:
        under = route.dialect.under
        endpoint = _Endpoint(route, identity, workspaces).answer
        if route.often:
            often.append(StarletteRoute(route.path, endpoint, methods=[route.method]))
        # Those too: a family answers for itself what its paths take.
        one = StarletteRoute(route.path.removeprefix(under), endpoint, methods=[route.method])
        (families.setdefault(under, []) if under else bound).append(one)
    # Before all others, as each takes one look to tell that it is not meant.
    mounts = [Mount(under, Router(family, redirect_slashes=False)) for under, family in families.items()]
    return [*often, *mounts, *bound]


class _Endpoint:
    """One route bound to a server: who calls, what was sent, what is answered."""

    def __init__(self, route: Route, identity: Identity, workspaces: Workspaces) -> None:
        self._route = route
        self._identity = identity
        self._workspaces = workspaces
        self._read = route.dialect.reader(route.body) if route.body else None
        self._query = _query_reader(route.query) if route.query else None
        self._is_async = inspect.iscoroutinefunction(route.handler)

    async def answer(self, request: Request) -> Response:
        try:
            # The token is looked at before the body is read, so that a stranger can't make us hold 64 MiB.
            if self._read is None and not self._is_async:
                return await run_in_threadpool(self._run, request)
            # A visit to the thread pool costs more than all the rest of a small request.
            call = self._authorise_at_once(request)
            if call is None:
                call = await run_in_threadpool(self._authorise, request)
            content = await _body(request) if self._read is not None else b""
            if self._is_async:
                return self._respond(await self._route.handler(**self._arguments(call, content)))
            return await run_in_threadpool(self._handle, call, content)
        except ProblemError as error:
            return self._route.dialect.refuse(error)
        except ClientDisconnect:
            return Response(status_code=499)

    def _run(self, request: Request) -> Response:
        """Authorise and handle in one visit to the thread pool."""
        return self._handle(self._authorise(request), b"")

    def _handle(self, call: Call, content: bytes) -> Response:
        return self._respond(self._route.handler(**self._arguments(call, content)))

    def _authorise(self, request: Request) -> Call:
        principal = self._identity.resolve(request.headers.get("authorization"))
        self._identity.require(principal, self._route.permission)
        path = request.path_params
        wid = self._workspaces.id_of(path["workspace"]) if "workspace" in path else ""
        return self._admit(request, principal, wid)

    def _authorise_at_once(self, request: Request) -> Call | None:
        """None where it takes a look at the database."""
        principal = self._identity.known(request.headers.get("authorization"))
        if principal is None:
            return None
        self._identity.require(principal, self._route.permission)
        path = request.path_params
        wid = self._workspaces.known_id(path["workspace"]) if "workspace" in path else ""
        if wid is None or not self._identity.is_own_run(principal, path.get("run_id", principal.subject)):
            return None
        return self._admit(request, principal, wid)

    def _admit(self, request: Request, principal: Principal, wid: str) -> Call:
        path = request.path_params
        if wid:
            self._identity.require_workspace(principal, wid)
        if "run_id" in path:
            self._identity.require_run(principal, wid, path["run_id"])
        return Call(principal, wid, path, request)

    def _arguments(self, call: Call, content: bytes) -> dict[str, Any]:
        given: dict[str, Any] = {"call": call}
        if self._read is not None:
            given["body"] = self._read(call.request, content)
        if self._query is not None:
            given["query"] = self._query(call.request)
        return given

    def _respond(self, result: Any) -> Response:
        if isinstance(result, Response):
            return result
        if result is None:
            return Response(status_code=204)
        content = self._route.dialect.encode(result)
        return Response(content, status_code=self._route.status, media_type="application/json")


def problem_response(problem: Problem) -> Response:
    headers = {"www-authenticate": "Bearer"} if problem.status == 401 else None
    return Response(
        msgspec.json.encode(problem), problem.status, headers=headers, media_type="application/problem+json"
    )


async def _body(request: Request) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_JSON_BYTES:
            raise TooLarge(
                "body_too_large", f"The body is over {MAX_JSON_BYTES} bytes.", limit=MAX_JSON_BYTES
            )
        parts.append(part)
    return b"".join(parts)


def media_type(request: Request) -> str:
    """What the request says its body is, without parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _reader(kind: type) -> Callable[[Request, bytes], Any]:
    decode: Callable[[bytes], Any] = msgspec.json.Decoder(kind).decode

    def read(request: Request, content: bytes) -> Any:
        given = media_type(request)
        if given != "application/json":
            # Also what keeps a web page from posting a form here without a preflight.
            raise Unsupported(
                "json_required",
                f"Send the body as application/json, not {given or 'without a content type'}.",
            )
        try:
            return decode(content)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
            raise Invalid("bad_body", f"The body does not fit: {error}") from error

    return read


OWN = Dialect(_reader, msgspec.json.Encoder().encode, lambda error: problem_response(error.problem()))


def _query_reader(kind: type) -> Callable[[Request], Any]:
    hints = typing.get_type_hints(kind)
    lists = {name for name, hint in hints.items() if typing.get_origin(hint) is list}

    def read(request: Request) -> Any:
        unknown = sorted(set(request.query_params) - set(hints))
        if unknown:
            raise Invalid(
                "unknown_query",
                f"Unknown query parameter {unknown[0]!r}. Known: {', '.join(sorted(hints))}.",
            )
        given: dict[str, Any] = {}
        for name in set(request.query_params):
            given[name] = request.query_params.getlist(name) if name in lists else request.query_params[name]
        try:
            return msgspec.convert(given, kind, strict=False)
        except msgspec.ValidationError as error:
            raise Invalid("bad_query", f"The query does not fit: {error}") from error

    return read


async def no_such_route(request: Request, _error: Exception) -> Response:
    """Starlette's 404: nothing is at this path."""
    return problem_response(
        NotFound(
            "no_such_route", f"There is no {request.method} {request.url.path}. See /openapi.json."
        ).problem()
    )


async def no_such_method(request: Request, error: Exception) -> Response:
    """Starlette's 405: the path exists, for other methods."""
    assert isinstance(error, HTTPException)
    # Each route is one method, and Starlette names those of the first route at this path only.
    methods = {
        method
        for route in request.app.routes
        if isinstance(route, StarletteRoute) and route.matches(request.scope)[0] is not Match.NONE
        for method in route.methods or ()
    }
    allowed = ", ".join(sorted(methods))
    response = problem_response(
        Problem(
            "no_such_method",
            f"{request.url.path} takes {allowed}, not {request.method}.",
            405,
            "Method not allowed",
        )
    )
    response.headers["allow"] = allowed
    return response
