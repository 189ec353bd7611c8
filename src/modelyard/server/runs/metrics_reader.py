"""Makes rows of metrics' summaries for queries in SQL: NaN, which the database keeps as NULL, is NaN again."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from modelyard.server.kernel.queries import Scan


def read(scan: Scan) -> Iterator[dict[str, Any]]:
    """The summaries as they are kept, but for `last`."""
    for rows in scan.rows([*scan.wanted, "last_ms"]):
        *columns, last_ms = zip(*rows, strict=True)
        batch: dict[str, Any] = dict(zip(scan.wanted, columns, strict=True))
        if "last" in batch:
            batch["last"] = [
                math.nan if value is None and at is not None else value
                for value, at in zip(batch["last"], last_ms, strict=True)
            ]
        yield batch
