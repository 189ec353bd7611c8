"""The server's one family of errors; each becomes problem+json.

ProblemError
├─ Invalid        422  the request can't be understood or breaks a rule
├─ Unauthorized   401  no or unknown token
├─ Forbidden      403  a known caller may not do this
├─ NotFound       404  the named thing does not exist
├─ Conflict       409  the named thing is in a state that refuses this
├─ TooLarge       413  over a stated limit
├─ Unsupported    415  a content type we do not take
└─ Unavailable    503  try again later; `DiskFull` (507) when space is the reason
"""

from __future__ import annotations

from typing import Any

from modelyard.wire.problems import Problem


class ProblemError(Exception):
    """`code` is stable and for programs; `detail` says what happened, to which named thing, what to do next."""

    status = 500
    title = "Internal error"

    def __init__(self, code: str, detail: str, **extra: Any) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.extra = extra

    def problem(self) -> Problem:
        return Problem(
            code=self.code, detail=self.detail, status=self.status, title=self.title, extra=self.extra
        )


class Invalid(ProblemError):
    status, title = 422, "Invalid request"


class Unauthorized(ProblemError):
    status, title = 401, "Not signed in"


class Forbidden(ProblemError):
    status, title = 403, "Not allowed"


class NotFound(ProblemError):
    status, title = 404, "Not found"


class Conflict(ProblemError):
    status, title = 409, "Conflict"


class TooLarge(ProblemError):
    status, title = 413, "Too large"


class Unsupported(ProblemError):
    status, title = 415, "Unsupported content type"


class Unavailable(ProblemError):
    status, title = 503, "Unavailable"


class DiskFull(ProblemError):
    status, title = 507, "No space left"
