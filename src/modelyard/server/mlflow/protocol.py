"""How MLflow's messages travel: where routes lie, how requests are read, and how values are written.

A message is a `Message` struct. It comes as a JSON body or, with GET, in the query; fields that it does not know are
passed over, null counts as absent, numbers may come as text, as in protobuf's JSON.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, TypeVar, get_origin, get_type_hints

import msgspec
from starlette.requests import Request

from modelyard.server.kernel.auth import Permission
from modelyard.server.kernel.http import Dialect, Routes, media_type
from modelyard.server.mlflow import errors

UNDER = "/mlflow/{workspace}"
# The second is what MLflow's web pages call.
_FACES = ("api", "ajax-api")

Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]

H = TypeVar("H", bound=Callable[..., Any])


class Message(msgspec.Struct, kw_only=True):
    """A request. `required` fields must be there and not empty."""

    required: ClassVar[tuple[str, ...]] = ()


class RunMessage(Message, kw_only=True):
    """A request about one run; `run_uuid` is what `run_id` was called once."""

    required: ClassVar[tuple[str, ...]] = ("run_id",)
    run_id: str = ""
    run_uuid: str = ""


def route(r: Routes, method: str, path: str, permission: Permission, **options: Any) -> Callable[[H], H]:
    """Register a handler at `path` (as `2.0/mlflow/runs/create`) under every prefix by which MLflow's clients come."""

    def register(handler: H) -> H:
        for face in _FACES:
            getattr(r, method.lower())(f"{UNDER}/{face}/{path}", permission, **options)(handler)
        return handler

    return register


def _reader(kind: type[Any]) -> Callable[[Request, bytes], Any]:
    hints = get_type_hints(kind)
    lists = {name for name in kind.__struct_fields__ if get_origin(hints[name]) is list}
    fast = msgspec.json.Decoder(kind)

    def read(request: Request, content: bytes) -> Any:
        if request.method != "GET" or not request.query_params:
            if content and media_type(request) != "application/json":
                raise errors.Refusal(
                    "BAD_REQUEST", "Bad Request. Content-Type must be one of ['application/json']."
                )
            try:
                message = fast.decode(content)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
                message = _convert(kind, _json(content))
        else:
            given = request.query_params
            message = _convert(
                kind, {k: given.getlist(k) if k in lists else given[k] for k in set(given) & set(hints)}
            )
        if "run_uuid" in hints and not message.run_id:
            message.run_id = message.run_uuid
        for name in kind.required:
            if getattr(message, name) in ("", None):
                raise errors.missing(name)
        return message

    return read


def _json(content: bytes) -> dict[str, Any]:
    """MLflow takes what is no JSON object for an empty one; its old clients sent JSON in a JSON string."""
    try:
        given = json.loads(content)
        if isinstance(given, str):
            given = json.loads(given)
    except (ValueError, RecursionError):
        return {}
    return given if isinstance(given, dict) else {}


def _convert(kind: type[Any], given: dict[str, Any]) -> Any:
    given = {k: _present(v) for k, v in given.items() if v is not None}
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError:
        pass
    hints = get_type_hints(kind)
    for name in kind.__struct_fields__:
        value = given.get(name)
        if name in kind.required and value in (None, ""):
            raise errors.missing(name)
        if value is not None:
            _convert_field(name, value, hints[name])
    raise errors.invalid("The request does not fit." + errors.SEE_DOCS)


def _convert_field(name: str, value: Any, kind: Any) -> None:
    try:
        msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError:
        shown = json.dumps(value, sort_keys=True, separators=(",", ":"))
        raise errors.invalid(
            f"Invalid value {shown} for parameter '{name}' supplied:  Hint: Value was of type "
            f"'{type(value).__name__}'.{errors.SEE_DOCS}"
        ) from None


def _present(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _present(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [_present(v) for v in value]
    return value


def number(value: float | None) -> float | str:
    """A float as protobuf's JSON writes it; None is NaN, as the database keeps it."""
    if value is None or math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


DIALECT = Dialect(_reader, msgspec.json.Encoder().encode, errors.response, UNDER)
