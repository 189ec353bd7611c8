"""Points as rows for queries in SQL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from modelyard.server.kernel.queries import Refused
from modelyard.server.runs import points_reader


class Kept:
    """A scan of made-up series."""

    def __init__(
        self, series: list[dict[str, Any]], points: list[tuple[Any, ...]], wanted: list[str]
    ) -> None:
        self.wanted = wanted
        self._series = series
        self._points = points

    def rows(self, columns: Sequence[str]) -> Iterator[list[tuple[Any, ...]]]:
        for one in self._series:
            yield [tuple(one[name] for name in columns)]

    def more(
        self, name: str, columns: Sequence[str], key: str, among: Sequence[Any]
    ) -> Iterator[list[tuple[Any, ...]]]:
        if name == "points" and self._points:
            yield [point for point in self._points if point[0] in among]


def series(id: int, count: int) -> dict[str, Any]:
    return {"id": id, "count": count, "experiment": "e", "run_id": f"r{id}", "name": "loss", "system": 0}


def test_only_the_columns_that_are_wanted_are_made() -> None:
    kept = Kept([series(7, 2)], [(7, 0, None, 1500, None), (7, 1, 3, 2500, 0.5)], ["run_id", "value", "step"])
    (batch,) = points_reader.read(kept)
    assert batch["run_id"].to_pylist() == ["r7", "r7"]
    assert batch["step"] == (None, 3)
    assert str(batch["value"]) == "[nan, 0.5]"
    assert "name" not in batch


def test_a_query_over_too_many_points_says_how_to_narrow_it() -> None:
    kept = Kept([series(1, 60_000_000), series(2, 40_000_000)], [], ["value"])
    with pytest.raises(
        Refused, match=r"reads 100,000,000 points; .* at most 50,000,000. Narrow it .* points.run_id"
    ):
        next(points_reader.read(kept))
