"""Blobs that nothing refers to go, whatever happens meanwhile; all others stay."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from small_yard import sha256

from modelyard.server.artifacts.garbage import GRACE_S, Garbage, Item
from modelyard.server.artifacts.receive import Frames
from modelyard.server.artifacts.service import ArtifactService
from modelyard.server.data.service import DEFAULT_NAME, DataService
from modelyard.server.kernel.blobs import FileBlobs
from modelyard.server.kernel.clock import ManualClock
from modelyard.server.kernel.db import Database, Tx, metadata
from modelyard.server.kernel.errors import Invalid, NotFound, Unavailable
from modelyard.wire.artifacts import FileEntry
from modelyard.wire.data import DatastoreFilesAdd

LARGE = b"x" * 2_000_000


@dataclass
class Place:
    home: Path
    db: Database
    clock: ManualClock
    blobs: FileBlobs
    artifacts: ArtifactService
    data: DataService
    removed: list[Item] = field(default_factory=list)

    @property
    def garbage(self) -> Garbage:
        return self.artifacts.garbage

    def put(self, *contents: bytes) -> Callable[[], dict[str, int]]:
        def put() -> dict[str, int]:
            with self.blobs.staging() as staging:
                frames = Frames(staging)
                frames.feed([f"{sha256(c)} {len(c)}\n".encode() + c for c in contents])
                frames.finish(self.blobs)
            return frames.sizes

        return put

    def bring(self, *contents: bytes) -> list[FileEntry]:
        self.garbage.bring("w", self.put(*contents))
        self.clock.advance(1)
        return [FileEntry(f"f{i}", sha256(c), len(c)) for i, c in enumerate(contents)]

    def note(self, _tx: Tx, items: list[Item]) -> None:
        self.removed += items

    def sweep(self, grace_s: float = 0.0, only: set[str] | None = None) -> int:
        self.clock.advance(1)
        return self.garbage.sweep("s", grace_s, self.note, only).blobs

    def is_kept(self, content: bytes) -> bool:
        """The bytes; and the table says the same."""
        held = not self.artifacts.missing("w", [sha256(content)])
        try:
            there = b"".join(self.blobs.read(sha256(content))) == content
        except NotFound:
            there = False
        assert there == held
        return there


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    clock = ManualClock()
    db = Database(f"sqlite:///{tmp_path / 'yard.db'}")
    metadata.create_all(db.engine)
    blobs = FileBlobs(tmp_path / "blobs")
    artifacts = ArtifactService(db, clock, blobs)
    data = DataService(db, clock, artifacts)
    db.write(lambda tx: data.begin_workspace(tx, "w"))
    yield Place(tmp_path, db, clock, blobs, artifacts, data)
    blobs.close()
    db.close()


def test_what_nothing_refers_to_goes_and_the_rest_stays(place: Place) -> None:
    file, loose, small, source = place.bring(LARGE, LARGE + b"2", b"small", b"source")
    place.data.add("w", DEFAULT_NAME, DatastoreFilesAdd([file]))
    used = [place.artifacts.create_snapshot("w", [source]).id]
    place.garbage.holders.tree_lists.add(lambda tx: used)
    assert place.garbage.look(0).blobs == 2
    assert place.sweep(grace_s=GRACE_S) == 0  # all of it is new
    assert place.sweep() == 2
    assert {h for h, _ in place.removed} == {loose.hash, small.hash}
    assert place.is_kept(LARGE)
    assert place.is_kept(b"source")
    assert not place.is_kept(LARGE + b"2")
    place.data.remove("w", DEFAULT_NAME, "f0")
    used.clear()
    place.clock.advance(GRACE_S)
    assert place.garbage.look(GRACE_S).trees == 1
    assert place.sweep(GRACE_S) == 2  # and the snapshot that nobody has used since
    assert list((place.home / "blobs" / "packs").glob("*.pack")) == []


def test_only_what_is_asked_for_goes(place: Place) -> None:
    first, _second = place.bring(b"first", b"second")
    assert place.sweep(only={first.hash}) == 1
    assert place.is_kept(b"second")
    assert not place.is_kept(b"first")


def test_bytes_that_are_removed_while_they_come_in_again_are_asked_for_once_more(place: Place) -> None:
    place.bring(LARGE)
    put = place.put(LARGE)

    def put_then_sweep() -> dict[str, int]:
        sizes = put()
        assert place.sweep() == 1
        return sizes

    with pytest.raises(Unavailable, match="Send them again"):
        place.garbage.bring("w", put_then_sweep)
    assert not place.is_kept(LARGE)

    def sweep_then_put() -> dict[str, int]:
        place.sweep()
        return put()

    place.garbage.bring("w", sweep_then_put)
    assert place.is_kept(LARGE)


def test_a_tree_made_while_a_sweep_looks_keeps_its_blobs(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = place.bring(b"one", b"two")
    look = place.garbage._not_in_trees

    def and_then(suspects: dict[str, int], without: set[str]) -> dict[str, int]:
        left = look(suspects, without)
        place.artifacts.create_snapshot("w", entries[:1])
        return left

    monkeypatch.setattr(place.garbage, "_not_in_trees", and_then)
    assert place.sweep() == 1
    assert place.is_kept(b"one")
    with pytest.raises(Invalid, match="Upload their blobs first"):
        place.artifacts.create_snapshot("w", entries)


def test_a_sweep_that_was_killed_before_it_removed_the_bytes_is_ended_by_the_next(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    (entry,) = place.bring(LARGE)

    def killed(_hashes: list[str]) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(place.blobs, "delete", killed)
        place.sweep()
    with pytest.raises(Unavailable):  # its bytes may go at any moment
        place.bring(LARGE)
    place.garbage.resume()
    place.garbage.remove_left_behind()
    assert place.sweep() == 0
    assert place.removed == [(entry.hash, entry.size)]
    assert not place.is_kept(LARGE)
    place.bring(LARGE)
    assert place.is_kept(LARGE)


def test_a_pack_that_lost_much_is_copied_and_one_that_is_damaged_is_left_alone(place: Place) -> None:
    contents = [bytes([i]) * 1000 for i in range(10)]
    entries = place.bring(*contents)
    (pack,) = (place.home / "blobs" / "packs").glob("*.pack")
    place.data.add("w", DEFAULT_NAME, DatastoreFilesAdd(entries[5:]))
    before = pack.read_bytes()
    pack.write_bytes(before[:-1] + b"?")
    assert place.sweep() == 5
    assert pack.exists()
    pack.write_bytes(before)
    place.sweep()
    (copy,) = (place.home / "blobs" / "packs").glob("*.pack")
    assert copy.stat().st_size == 5000
    assert all(place.is_kept(c) for c in contents[5:])


def test_bytes_that_no_table_tells_of_go_after_a_while(place: Place) -> None:
    place.put(LARGE, b"small")()
    place.clock.advance(os.stat(place.home).st_mtime - place.clock.now() + 1)
    assert place.sweep() == 0
    place.clock.advance(GRACE_S)
    assert place.garbage.look(0).blobs == 2
    assert place.sweep() == 2
    assert not place.is_kept(LARGE)


def test_what_would_become_free_leaves_out_what_others_refer_to(place: Place) -> None:
    shared, own, source = place.bring(b"shared", b"own", b"source")
    place.data.add("w", DEFAULT_NAME, DatastoreFilesAdd([shared]))
    snapshot = place.artifacts.create_snapshot("w", [source]).id
    files = Counter({shared.hash: 1, own.hash: 0})
    assert place.garbage.freed_with(Counter({own.hash: 0, shared.hash: 0}), Counter()) == (1, 3)
    assert place.garbage.freed_with(files, Counter()) == (2, 9)
    assert place.garbage.freed_with(Counter(), Counter({snapshot: 0})) == (1, 6)
