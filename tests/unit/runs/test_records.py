"""What may be logged, and what it becomes on the wire."""

from __future__ import annotations

import decimal
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelyard import errors
from modelyard.runs import metrics, records
from modelyard.wire.metrics import MetricInfo

_NAMES = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def read(line: bytes) -> dict[str, Any]:
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    found: dict[str, Any] = json.loads(line)
    return found


class Scalar:
    """As numpy's and torch's are."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def item(self) -> Any:
        if isinstance(self._value, list):
            raise ValueError("only one element")
        return self._value


@given(
    st.text(st.characters(exclude_characters="\0"), min_size=1, max_size=255).filter(str.strip),
    st.one_of(st.floats(), st.integers(-(2**63), 2**63 - 1), st.text()),
    st.text(),
    st.one_of(st.none(), st.integers(0, 10**9)),
)
def test_a_scalar_record_reads_back_as_it_was_logged(
    name: str, value: Any, description: str, step: int | None
) -> None:
    record = read(records.scalar(name, value, description, step))
    assert (record["k"], record["n"]) == ("m", name)
    assert record.get("s") == step
    assert record.get("d", "") == description
    got = _NAMES[record["v"]] if record.get("f") else record["v"]
    assert got == value or (math.isnan(value) and math.isnan(got))


@pytest.mark.parametrize(
    ("value", "expected"),
    [(True, 1), (Scalar(2.5), 2.5), (Scalar(3), 3), (decimal.Decimal("0.5"), 0.5), (-(2**63), -(2**63))],
)
def test_numbers_of_other_kinds_become_plain_ones(value: Any, expected: Any) -> None:
    assert read(records.scalar("a", value))["v"] == expected


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 10**30])
def test_whole_numbers_over_64_bits_are_refused(value: int) -> None:
    with pytest.raises(errors.UserErrorException, match="64 bits"):
        records.scalar("a", value)


@pytest.mark.parametrize("value", [None, {}, [1], object(), Scalar([1, 2]), b"x", 1j])
def test_other_values_are_refused_by_name(value: Any) -> None:
    with pytest.raises(errors.UserErrorException, match="'loss'"):
        records.scalar("loss", value)


@pytest.mark.parametrize("name", ["", " ", None, 3, "n" * 256, "a\0b"])
def test_a_metric_needs_a_name(name: Any) -> None:
    with pytest.raises(errors.UserErrorException, match="name"):
        records.scalar(name, 1)
    with pytest.raises(errors.UserErrorException, match="name"):
        records.listing(name, [1])


def test_lists_rows_and_tables_keep_their_shapes() -> None:
    assert read(records.listing("l", (1, 2.5, "x", math.nan))) | {"t": 0} == {
        "k": "l",
        "n": "l",
        "v": [1, 2.5, "x", "NaN"],
        "t": 0,
        "f": 1,
    }
    assert read(records.row("r", {"x": 1, "y": Scalar(2)}))["v"] == {"x": 1, "y": 2}
    assert read(records.table("t", {"x": [1, 2], "y": [3, 4]}))["v"] == {"x": [1, 2], "y": [3, 4]}
    assert read(records.table("t", {"x": 1, "y": 2}))["v"] == {"x": [1], "y": [2]}


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(errors.UserErrorException, match="differ in length"):
        records.table("t", {"x": [1, 2], "y": [3]})
    for call in (
        lambda: records.table("t", [1]),
        lambda: records.table("t", {}),
        lambda: records.listing("l", "abc"),
        lambda: records.listing("l", 3),
        lambda: records.listing("l", [1, None]),
        lambda: records.row("r", {}),
        lambda: records.row("r", {"x": [1]}),
    ):
        with pytest.raises(errors.UserErrorException):
            call()


MATRIX = {
    "schema_type": "confusion_matrix",
    "schema_version": "v1",
    "data": {"class_labels": ["0", "1"], "matrix": [[3, 0], [1, 16]]},
}


def test_documents_come_as_dictionary_or_text() -> None:
    for value in (MATRIX, json.dumps(MATRIX)):
        assert read(records.document("confusion_matrix", "m", value))["v"] == MATRIX


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("{", "not JSON"),
        ([], "dictionary"),
        ({"schema_type": "confusion_matrix"}, "lacks schema_version, data"),
        ({**MATRIX, "schema_type": "residuals"}, "schema_type"),
        ({**MATRIX, "data": {"class_labels": []}}, "lacks matrix"),
        ({**MATRIX, "data": {"class_labels": ["a"], "matrix": [[1, 2]]}}, "row and a column"),
    ],
)
def test_documents_that_do_not_fit_say_why(value: Any, says: str) -> None:
    with pytest.raises(errors.UserErrorException, match=says):
        records.document("confusion_matrix", "m", value)


def test_metrics_read_back_with_nan_and_infinities_restored() -> None:
    found = metrics.as_dictionary(
        [
            MetricInfo("a", "m", 2, value=[1.0, "NaN"], nonfinite=True),
            MetricInfo("b", "m", 1, value="NaN"),
            MetricInfo("t", "t", 1, value={"x": ["-Infinity", 1]}, nonfinite=True),
            MetricInfo("cpu", "s", 9, value=1),
        ]
    )
    assert math.isnan(found["a"][1])
    assert found["b"] == "NaN"
    assert found["t"] == {"x": [-math.inf, 1]}
    assert "cpu" not in found
