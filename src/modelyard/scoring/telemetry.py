"""Counts and latencies of the scoring hosts of one service, in a file that all of them and the keeper map.

One slot of 64-bit words per replica, written by that replica alone, read by the keeper and the other replicas: no
lock, no system call, and what a killed replica counted is not lost. Slot 0 holds the sums of replicas that are gone.
"""

from __future__ import annotations

import mmap
import os
from typing import Any, Dict, List

SLOTS = 256
WORDS = 512  # per slot: one page
ACCEPTING, CONNECTIONS, BUSY_SINCE_NS, REQUESTS, SUM_US, RUN_FAILURES, TIMEOUTS = range(7)
LONG_RUN_NS = 5_000_000  # a replica that is in run() for longer is not waited for
_FIRST_SUM = REQUESTS  # this word and all later ones add up over replicas; those before are of the moment
_STATUS = 16
STATUSES = (
    200,
    204,
    400,
    401,
    403,
    404,
    405,
    408,
    413,
    414,
    415,
    417,
    429,
    431,
    500,
    501,
    502,
    503,
    504,
    505,
)
STATUS_WORD = {status: _STATUS + i for i, status in enumerate(STATUSES)}
OTHER_STATUS = _STATUS + len(STATUSES)
_HISTOGRAM = 64
_BUCKETS = 256


def bucket(us: int) -> int:
    """Histogram bucket of a latency in microseconds: eight per power of two, so a quantile is within 13%."""
    if us < 16:
        return us
    bits = us.bit_length()
    return min((bits - 3) * 8 + ((us >> (bits - 4)) & 7), _BUCKETS - 1)


def bucket_top_us(index: int) -> int:
    """The largest latency that falls into a bucket."""
    if index < 16:
        return index
    bits, eighth = index // 8 + 3, index % 8
    return ((9 + eighth) << (bits - 4)) - 1


class Telemetry:
    """The mapped file. Created zeroed when absent, kept when there."""

    def __init__(self, path: str) -> None:
        size = SLOTS * WORDS * 8
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if os.fstat(descriptor).st_size != size:
                os.ftruncate(descriptor, size)
            self._map = mmap.mmap(descriptor, size)
        finally:
            os.close(descriptor)
        self.words = memoryview(self._map).cast("Q")

    def slot(self, number: int) -> memoryview:
        return self.words[number * WORDS : (number + 1) * WORDS]

    def fewest_connections(self, now_ns: int) -> int:
        """Open connections of the replica that has the fewest, of those that accept and could do so soon."""
        accepting = self.words[ACCEPTING::WORDS].tolist()
        connections = self.words[CONNECTIONS::WORDS].tolist()
        busy_since = self.words[BUSY_SINCE_NS::WORDS].tolist()
        soon_ns = now_ns - LONG_RUN_NS
        return min(
            (c for a, c, b in zip(accepting, connections, busy_since) if a and (not b or b > soon_ns)),
            default=0,
        )

    def retire(self, number: int) -> None:
        """Add a slot whose replica is gone to slot 0 and clear it for the next."""
        slot, past = self.slot(number), self.slot(0)
        for i in range(_FIRST_SUM, _HISTOGRAM + _BUCKETS):
            past[i] += slot[i]
        clear(slot)

    def summary(self, numbers: List[int]) -> Dict[str, Any]:
        """Sums over the slots given and the past, as JSON."""
        slots = [self.slot(n).tolist() for n in numbers]
        sums = [sum(column) for column in zip(self.slot(0).tolist(), *slots)]
        requests = sums[REQUESTS]
        statuses = {str(s): sums[w] for s, w in STATUS_WORD.items() if sums[w]}
        if sums[OTHER_STATUS]:
            statuses["other"] = sums[OTHER_STATUS]
        histogram = sums[_HISTOGRAM : _HISTOGRAM + _BUCKETS]
        return {
            "requests": requests,
            "statuses": statuses,
            "run_failures": sums[RUN_FAILURES],
            "timeouts": sums[TIMEOUTS],
            "open_connections": sum(slot[CONNECTIONS] for slot in slots),
            "latency_ms": {
                "mean": round(sums[SUM_US] / requests / 1000, 3) if requests else None,
                "p50": quantile_ms(histogram, 0.5),
                "p90": quantile_ms(histogram, 0.9),
                "p99": quantile_ms(histogram, 0.99),
            },
        }


def clear(slot: memoryview) -> None:
    for i in range(WORDS):
        slot[i] = 0


def count(slot: memoryview, status: int, us: int) -> None:
    """One answered request."""
    slot[REQUESTS] += 1
    slot[SUM_US] += us
    slot[STATUS_WORD.get(status, OTHER_STATUS)] += 1
    slot[_HISTOGRAM + bucket(us)] += 1


def quantile_ms(histogram: List[int], q: float) -> Any:
    """The latency below which the share `q` of the requests lies, in ms; None without requests."""
    total = sum(histogram)
    if not total:
        return None
    seen = 0
    for index, n in enumerate(histogram):
        seen += n
        if seen >= q * total:
            return bucket_top_us(index) / 1000
    return None
