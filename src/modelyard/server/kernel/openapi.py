"""openapi.json from the routes and the wire types; nothing in it is written by hand."""

from __future__ import annotations

import dataclasses
import inspect
import re
import typing
from typing import Any

import msgspec

from modelyard.server.kernel.auth import ALLOWED, Kind, Permission
from modelyard.server.kernel.http import Route
from modelyard.wire.problems import Problem

_REF = "#/components/schemas/{name}"
_PATH_PARAM = re.compile(r"\{(\w+)(?::\w+)?\}")


def document(routes: list[Route], version: str) -> dict[str, Any]:
    """The whole OpenAPI 3.1 document of the yard's own routes. Pure."""
    routes = [route for route in routes if not route.dialect.under]
    kinds = {k for route in routes for k in (route.body, route.returns) if k is not None} | {Problem}
    ordered = sorted(kinds, key=lambda k: k.__name__)
    schemas, components = msgspec.json.schema_components(ordered, ref_template=_REF)
    schema_of = dict(zip(ordered, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in sorted(routes, key=lambda r: (r.path, r.method)):
        path = _PATH_PARAM.sub(r"{\1}", route.path)
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {"title": "modelyard", "version": version, "license": {"name": "Apache-2.0"}},
        "paths": paths,
        "components": {
            "schemas": dict(sorted(components.items())),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(route: Route, schema_of: dict[type, Any]) -> dict[str, Any]:
    doc = inspect.getdoc(route.handler) or ""
    first, _, rest = doc.partition("\n")
    content: dict[str, Any] = {kind: {"schema": {}} for kind in route.raw.split(", ")}
    if not route.raw:
        content = {"application/json": {"schema": schema_of.get(route.returns or type(None), {})}}
    success = (
        {"description": "Done.", "content": content}
        if route.raw or route.returns
        else {"description": "Done."}
    )
    operation: dict[str, Any] = {
        "operationId": f"{route.tag}_{route.handler.__name__}",
        "tags": [route.tag],
        "summary": first.rstrip("."),
        "x-permission": route.permission.value,
        "x-callers": [kind.value for kind in Kind if route.permission in ALLOWED[kind]],
        "parameters": _parameters(route),
        "responses": {
            str(route.status if route.raw or route.returns else 204): success,
            "default": {
                "description": "What went wrong, and what to do next.",
                "content": {"application/problem+json": {"schema": schema_of[Problem]}},
            },
        },
    }
    if rest.strip():
        operation["description"] = rest.strip()
    if route.permission is not Permission.PUBLIC:
        operation["security"] = [{"token": []}]
    if route.body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schema_of[route.body]}},
        }
    elif route.raw_body:
        operation["requestBody"] = {
            "required": True,
            "content": {route.raw_body: {"schema": {"type": "string", "format": "binary"}}},
        }
    return operation


def _parameters(route: Route) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in _PATH_PARAM.findall(route.path)
    ]
    if route.query is not None:
        hints = typing.get_type_hints(route.query)
        for field in dataclasses.fields(route.query):
            found.append(
                {
                    "name": field.name,
                    "in": "query",
                    "required": False,
                    "schema": msgspec.json.schema(hints[field.name]),
                }
            )
    return found
