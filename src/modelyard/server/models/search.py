"""What searched models must have, and in which order they come."""

from __future__ import annotations

from dataclasses import dataclass

OPERATORS = ("=", "!=", "<", "<=", ">", ">=", "LIKE", "ILIKE", "IN", "NOT IN")


@dataclass(frozen=True)
class Condition:
    """`field` is a column of names or versions, or `tag`, whose name is `key`. `op` is one of OPERATORS; IN takes a list.

    `without` (of a tag): there is no such tag that holds, which is also so where the tag is not there at all.
    """

    field: str
    op: str
    value: str | int | float | list[str]
    key: str = ""
    without: bool = False


@dataclass(frozen=True)
class Order:
    field: str
    descending: bool = False
