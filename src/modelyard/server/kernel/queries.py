"""Between the process that answers a query in SQL and the slices' readers, which make a view's rows there.

Imported in that process, so without SQLAlchemy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol


class Refused(Exception):
    """`code` is stable and for programs; `detail` says what is wrong with the query and what to do."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class Scan(Protocol):
    """One source of a view, as one query needs it. A reader yields batches: by name of each `wanted` column its values,
    as a sequence or an Arrow array."""

    wanted: list[str]

    def rows(self, columns: Sequence[str]) -> Iterator[list[tuple[Any, ...]]]:
        """These columns of the source's own rows, of those that the query's conditions on its columns leave."""

    def more(
        self, name: str, columns: Sequence[str], key: str, among: Sequence[Any]
    ) -> Iterator[list[tuple[Any, ...]]]:
        """These columns of the further select `name`, where `key` is among these values."""
