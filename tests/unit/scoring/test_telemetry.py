from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from modelyard.scoring import telemetry


@given(us=st.integers(0, 50_000_000))
def test_a_latency_is_told_within_an_eighth(us: int) -> None:
    top = telemetry.bucket_top_us(telemetry.bucket(us))
    assert us <= top <= us * 1.13 + 1


def test_counts_of_a_replica_that_is_gone_stay_in_the_sums(tmp_path: Path) -> None:
    shared = telemetry.Telemetry(str(tmp_path / "t"))
    slot = shared.slot(3)
    slot[telemetry.CONNECTIONS] = 2
    for _ in range(9):
        telemetry.count(slot, 200, 1000)
    telemetry.count(slot, 418, 1000)
    before = shared.summary([3])
    shared.retire(3)
    after = telemetry.Telemetry(str(tmp_path / "t")).summary([3])
    assert before["requests"] == after["requests"] == 10
    assert before["statuses"] == after["statuses"] == {"200": 9, "other": 1}
    assert (before["open_connections"], after["open_connections"]) == (2, 0)
    assert 0.9 <= after["latency_ms"]["p99"] <= 1.13


def test_the_fewest_connections_are_those_of_replicas_that_can_accept_soon(tmp_path: Path) -> None:
    shared = telemetry.Telemetry(str(tmp_path / "t"))
    now = 10 * telemetry.LONG_RUN_NS
    assert shared.fewest_connections(now) == 0
    for number, connections in ((1, 5), (2, 3), (3, 1)):
        shared.slot(number)[telemetry.CONNECTIONS] = connections
        shared.slot(number)[telemetry.ACCEPTING] = number != 3
    assert shared.fewest_connections(now) == 3
    shared.slot(2)[telemetry.BUSY_SINCE_NS] = 1
    assert shared.fewest_connections(now) == 5


def test_a_request_is_counted_in_microseconds(tmp_path: Path) -> None:
    import timeit

    slot = telemetry.Telemetry(str(tmp_path / "t")).slot(1)
    each_s = min(timeit.repeat(lambda: telemetry.count(slot, 200, 137), number=2000, repeat=5)) / 2000
    assert each_s < 20e-6  # 1 µs on a free core
