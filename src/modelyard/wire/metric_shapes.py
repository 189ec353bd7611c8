"""How the records of one metric read as one value, as v1's get_metrics answers it."""

from __future__ import annotations

from typing import Any, Dict, List, Tuple


def shape(records: List[Tuple[str, Any]]) -> Any:
    """The records (kind, value) of one name as one value: lists and tables are joined, rows become columns, and what
    was logged once stands alone. Kinds that were mixed under one name come as a list of what was logged. Pure."""
    kinds = {kind for kind, _ in records}
    found = [value for _, value in records]
    if kinds == {"l"}:
        return [item for items in found for item in items]
    if kinds == {"r"} and len(found) == 1:
        return found[0]
    if kinds == {"r"}:
        return _columns([{k: [v] for k, v in row.items()} for row in found])
    if kinds == {"t"}:
        return _columns(found)
    return found[0] if len(found) == 1 else found


def _columns(tables: List[Any]) -> Dict[str, List[Any]]:
    """Tables below each other; a column that one of them lacks is None there."""
    joined: Dict[str, List[Any]] = {}
    length = 0
    for table in tables:
        rows = max((len(v) for v in table.values()), default=0)
        for name, column in table.items():
            joined.setdefault(name, [None] * length).extend([*column, *[None] * (rows - len(column))])
        length += rows
        for column in joined.values():
            column.extend([None] * (length - len(column)))
    return joined
