"""The same on an object store, and with two yards on one PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from whole_yard import W, WholeYard, emptied, open_yard

LARGE = b"x" * 1_500_000


def test_bytes_leave_an_object_store_too(tmp_path: Path, service: Callable[[str], str]) -> None:
    yard = open_yard(tmp_path, blobs=service("moto"))
    own, shared = yard.keep(LARGE), yard.keep(b"shared", "s")
    yard.run("r1", own, shared)
    yard.run("r2", shared)
    yard.call("DELETE", f"{W}/runs/r1")
    assert yard.purge("r1")["freed_bytes"] == len(LARGE)
    assert not yard.holds(own)
    assert yard.holds(shared)
    yard.keep(LARGE, "again")
    assert yard.holds(own)
    yard.yard.close()


def test_two_yards_on_one_database_delete_once_and_agree(
    tmp_path: Path, service: Callable[[str], str]
) -> None:
    database = emptied(service("postgresql"))
    stores = {"database": database, "blobs": (tmp_path / "blobs").as_uri()}
    one, two = (open_yard(tmp_path / name, **stores) for name in ("one", "two"))
    two.clock.advance(20)  # clocks differ
    file = one.keep(LARGE)
    for n in range(3):
        (one, two)[n % 2].run(f"r{n}", file)
        one.call("DELETE", f"{W}/runs/r{n}")
    assert {i["id"] for i in two.call("GET", f"{W}/trash")["items"]} == {"r0", "r1", "r2"}
    begun = one.call("POST", f"{W}/trash/empty", {"ids": ["r0", "r1"]})["id"]
    assert two.call("POST", f"{W}/trash/restore", {"id": "r0"})["code"] == "deleted_for_good"
    two.round()
    one.round()
    receipt = two.call("GET", f"{W}/receipts/{begun}")
    assert (receipt["runs"], receipt["freed_blobs"]) == (2, 0)
    assert two.call("POST", f"{W}/trash/restore", {"id": "r2"})["id"] == "r2"
    assert one.raw(f"{W}/runs/r2/files/f") == LARGE
    _delete_last(one, two)
    for yard in (one, two):
        yard.yard.close()


def _delete_last(one: WholeYard, two: WholeYard) -> None:
    two.call("DELETE", f"{W}/runs/r2")
    one.clock.advance(60)
    assert one.purge("r2")["freed_blobs"] == 1
    again = two.keep(LARGE)
    two.run("r3", again)
    assert one.raw(f"{W}/runs/r3/files/f") == LARGE
