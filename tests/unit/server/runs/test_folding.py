"""Points are the same whatever was folded in between."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from run_yard import RunYard, W, run_yard

from modelyard.server.runs import (
    appending,
    codec,
    folding,
    folding_store,
    points_store,
    series_reader,
    series_store,
)

INT64 = st.integers(-(2**63), 2**63 - 1)


def bits(values: Any) -> list[int]:
    """As they are on disk; every NaN is the same."""
    return [
        struct.unpack("<q", struct.pack("<d", math.nan if math.isnan(v) else v))[0]
        for v in map(float, values)
    ]


@given(
    st.one_of(
        st.lists(st.floats(), min_size=1, max_size=300),
        st.lists(st.floats(width=32), min_size=1, max_size=300),
        st.lists(st.integers(-(2**60), 2**60).map(float), min_size=1, max_size=300),
        st.lists(st.integers(-9999, 9999).map(lambda n: n / 100), min_size=1, max_size=300),
        st.lists(st.sampled_from([0.0, -0.0, 1.0, 0.1]), min_size=1, max_size=300),
    )
)
def test_values_come_back_bit_for_bit(values: list[float]) -> None:
    back = codec.unpack_floats(codec.pack_floats(np.array(values)), len(values))
    assert bits(back) == bits(values)


@given(
    st.one_of(
        st.lists(INT64, min_size=1, max_size=300),
        st.lists(st.integers(0, 200), min_size=1, max_size=300).map(lambda n: list(np.cumsum(n))),
        st.builds(
            lambda a, b, n: [a + b * i for i in range(n)],
            st.integers(-99, 99),
            st.integers(-9, 9),
            st.integers(1, 300),
        ),
    )
)
def test_whole_numbers_come_back(numbers: list[int]) -> None:
    assert codec.unpack_ints(codec.pack_ints(np.array(numbers, np.int64)), len(numbers)).tolist() == numbers


@given(st.lists(st.none() | INT64, min_size=1, max_size=300))
def test_steps_come_back_and_those_that_are_not_there(steps: list[int | None]) -> None:
    given_ = np.array([s or 0 for s in steps], np.int64)
    found, present = codec.unpack_steps(
        codec.pack_steps(given_, np.array([s is not None for s in steps])), len(steps)
    )
    assert [s if p else None for s, p in zip(found.tolist(), present.tolist(), strict=True)] == steps


def test_a_full_block_of_noise_takes_less_than_8_bytes_a_point() -> None:
    noise = np.random.default_rng(7)
    count = folding.FULL
    times = np.cumsum(noise.integers(90, 130, count))
    size = sum(
        map(
            len,
            (
                codec.pack_floats(noise.normal(size=count)),
                codec.pack_ints(times),
                codec.pack_ints(np.arange(count)),
            ),
        )
    )
    assert size / count < 8
    narrow = noise.normal(size=count).astype(np.float32).astype(np.float64)
    assert len(codec.pack_floats(narrow)) / count < 3.6


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def any_yard(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, service: Callable[[str], str]
) -> Iterator[RunYard]:
    database = service("postgresql") if request.param == "postgresql" else ""
    with run_yard(Path(tmp_path_factory.mktemp("yard")), database=database) as made:
        yield made


POINTS = st.lists(
    st.tuples(
        st.floats() | st.just(-0.0) | st.integers(-5, 5).map(float),
        st.integers(0, 2**40),
        st.none() | st.integers(-9, 99),
    ),
    min_size=1,
    max_size=60,
)
DEEDS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), POINTS),
        st.tuples(st.just("journal"), POINTS),
        st.tuples(st.just("text"), st.none()),
        st.tuples(st.just("fold"), st.none()),
        st.tuples(st.just("lose"), st.none()),
        st.tuples(st.just("end"), st.none()),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(deeds=DEEDS)
def test_any_order_of_appending_folding_and_dying_gives_the_same_series(
    any_yard: RunYard, deeds: Any
) -> None:
    yard = any_yard
    yard.reset()
    with pytest.MonkeyPatch.context() as patch:
        for module in (folding, folding_store):
            patch.setattr(module, "FULL", 32)
            patch.setattr(module, "LEAST", 4)
        patch.setattr(folding, "_ROOM", 64)
        yard.start("r")
        wanted: list[tuple[float, int, int | None]] = []
        offset = 0
        for deed, points in deeds:
            if deed == "append":
                samples = [("x", value, at, step) for value, at, step in points]
                yard.db.write(lambda tx, samples=samples: appending.write(tx, "r", samples))
                wanted += points
            elif deed == "journal":
                text = b"".join(_line(*point) for point in points)
                assert yard.journal("r", text, offset)["passed_over"] == []
                offset += len(text)
                wanted += points
            elif deed == "text":
                text = b'{"k":"m","n":"x","v":"words","t":5}\n'
                yard.journal("r", text, offset)
                offset += len(text)
            elif deed == "fold":
                yard.fold()
            elif deed == "lose":  # a process dies after it has looked, and before it writes
                folding.FoldMetrics(yard.db).act("r")
                yard.clock.advance(120)
            elif yard.run("r")["status"] == "Running":
                yard.report("r", "Completed")
            _check(yard, wanted)
        for _ in range(20):
            yard.fold()
        _check(yard, wanted)
        with yard.db.read() as tx:
            left = folding_store.due(tx, 10)
        assert left == []


def _line(value: float, at: int, step: int | None) -> bytes:
    word = {math.inf: '"Infinity"', -math.inf: '"-Infinity"'}.get(value, repr(value))
    text = '"NaN"' if math.isnan(value) else word
    rest = "" if step is None else f',"s":{step}'
    flag = ',"f":1' if text.startswith('"') else ""
    return f'{{"k":"m","n":"x","v":{text},"t":{at}{rest}{flag}}}\n'.encode()


def _check(yard: RunYard, wanted: list[tuple[float, int, int | None]]) -> None:
    with yard.db.read() as tx:
        summary = series_store.one(tx, "r", "x", False)
        if summary is None:
            assert not wanted
            return
        found = series_reader.read(tx, summary.id)
        rows = points_store.rows(tx, summary.id, 0, None)
    assert len(found) == len(wanted) == summary.count - summary.values_count
    assert bits(found.values) == bits([value for value, _, _ in wanted])
    assert found.times_ms.tolist() == [at for _, at, _ in wanted]
    steps = [s if p else None for s, p in zip(found.steps.tolist(), found.stepped.tolist(), strict=True)]
    assert steps == [step for _, _, step in wanted]
    assert len({row[0] for row in rows}) == len(rows)


def test_full_blocks_take_the_place_of_rows_while_a_run_goes_on(yard: RunYard) -> None:
    yard.start("r")
    count = folding.FULL + 100
    for start in range(0, count, 20):
        samples = [("x", i * 0.1, i, i) for i in range(start, min(start + 20, count))]
        yard.db.write(lambda tx, samples=samples: appending.write(tx, "r", samples))
    yard.fold()
    with yard.db.read() as tx:
        series = series_store.one(tx, "r", "x", False)
        assert series is not None
        assert len(points_store.rows(tx, series.id, 0, None)) == 100
        assert [(b.seq, b.size) for b in points_store.blocks(tx, series.id, 0, None)] == [(0, folding.FULL)]
    yard.report("r", "Completed")
    yard.fold()
    with yard.db.read() as tx:
        assert points_store.rows(tx, series.id, 0, None) == []
    found = yard.call("GET", f"{W}/runs/r/metrics/x/points?limit=10000")
    assert found["values"] == [i * 0.1 for i in range(count)]
