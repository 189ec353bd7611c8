"""Refusals as MLflow's clients know them: `error_code`, `message`, and the HTTP status that belongs to the code."""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from modelyard.server.kernel.errors import ProblemError

_STATUS = {
    "INTERNAL_ERROR": 500,
    "INVALID_STATE": 500,
    "NOT_IMPLEMENTED": 501,
    "TEMPORARILY_UNAVAILABLE": 503,
    "RESOURCE_CONFLICT": 409,
    "ENDPOINT_NOT_FOUND": 404,
    "RESOURCE_DOES_NOT_EXIST": 404,
    "PERMISSION_DENIED": 403,
    "UNAUTHENTICATED": 401,
    "BAD_REQUEST": 400,
    "RESOURCE_ALREADY_EXISTS": 400,
    "INVALID_PARAMETER_VALUE": 400,
}
# What our own refusals are called there, by HTTP status.
_CODES = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "RESOURCE_DOES_NOT_EXIST",
    415: "BAD_REQUEST",
    503: "TEMPORARILY_UNAVAILABLE",
    507: "TEMPORARILY_UNAVAILABLE",
}
SEE_DOCS = " See the API docs for more information about request parameters."


class Refusal(ProblemError):
    """One of MLflow's own errors; `code` is its `error_code`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.status = _STATUS[code]


def invalid(message: str) -> Refusal:
    return Refusal("INVALID_PARAMETER_VALUE", message)


def missing(name: str) -> Refusal:
    return invalid(f"Missing value for required parameter '{name}'.{SEE_DOCS}")


def not_found(message: str) -> Refusal:
    return Refusal("RESOURCE_DOES_NOT_EXIST", message)


def exists(message: str) -> Refusal:
    return Refusal("RESOURCE_ALREADY_EXISTS", message)


def response(error: ProblemError) -> Response:
    """The refusal on the wire. What is refused by our own rules is a parameter that MLflow would not take."""
    code = error.code if isinstance(error, Refusal) else _CODES.get(error.status, "INVALID_PARAMETER_VALUE")
    body = {"error_code": code, "message": error.detail}
    return Response(msgspec.json.encode(body), _STATUS[code], media_type="application/json")
