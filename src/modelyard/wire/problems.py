"""The one shape of an error answer: RFC 9457 problem+json with a stable code."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict


@dataclass(frozen=True)
class Problem:
    """`code` is stable and for programs; `detail` is for people: what happened, to which named thing,
    and what to do next. `extra` carries what a program may want besides (a status, a list of names)."""

    code: str
    detail: str
    status: int = 500
    title: str = ""
    extra: Dict[str, Any] = field(default_factory=dict)
