"""Garbage collection: blobs and trees that nothing refers to any more go, and their bytes with them.

Safe against uploads and against being killed anywhere:

- What nothing refers to is settled in the transaction that takes the blobs from the `blobs` table; writers take turns, so
  nobody can refer to one of them at the same time, and whoever does so afterwards is told to bring it again. Trees are
  looked into before; a new tree that comes meanwhile has its blobs touched (`check_held`), which keeps them.
- Bytes are removed after that commit, while the blob is `leaving`. An upload that has put its bytes is noted only when
  none of them is leaving and nothing was removed since it began; else it looks whether its bytes are still there.
- What was condemned by a process that died is removed a while later, by whichever process looks first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from modelyard.server.artifacts import garbage_store, store, uploads_store
from modelyard.server.artifacts.garbage_store import Holders
from modelyard.server.kernel.blobs import BlobStore
from modelyard.server.kernel.clock import Clock
from modelyard.server.kernel.db import Database, Tx
from modelyard.server.kernel.errors import Conflict, NotFound, Unavailable

GRACE_S = 3600.0  # an upload that nothing refers to yet may be in the middle of something for this long
_RESERVED_S = 86_400.0
_TAKEOVER_S = 600.0  # after which a removal that did not end is taken for broken off
_BATCH = 500  # blobs removed at once
_PAGE = 2000
_SUSPECTS = 200_000  # looked up in the trees at once: 30 MB

Item = tuple[str, int]  # hash and size of a blob


@dataclass(frozen=True)
class Swept:
    """What a sweep removed, or would remove."""

    blobs: int
    size_bytes: int
    trees: int


class Garbage:
    def __init__(self, db: Database, clock: Clock, blobs: BlobStore) -> None:
        self._db = db
        self._clock = clock
        self._blobs = blobs
        self.holders = Holders()
        uploads_store.hold(self.holders)

    def bring(self, workspace_id: str, put: Callable[[], dict[str, int]]) -> None:
        """Have `put` keep the bytes of blobs, then note that the workspace holds them: their sizes by hash are its answer.
        Raises Unavailable when they were removed meanwhile."""

        def note(tx: Tx, seen: int) -> bool:
            if garbage_store.leaving_among(tx, sizes):
                raise _removed_meanwhile()
            if garbage_store.count_removals(tx) != seen:
                return False
            store.add_blobs(tx, workspace_id, sizes, self._clock.now())
            return True

        seen = self._count_removals()
        sizes = put()
        while not self._db.write(partial(note, seen=seen)):
            seen = self._count_removals()
            self._check_there(sizes)

    def keep(self, tx: Tx, hashes: Iterable[str]) -> None:
        """These are being referred to: a sweep that is under way must leave them alone."""
        since = garbage_store.sweeping_since(tx)
        if since is not None:
            garbage_store.touch(tx, hashes, max(since, self._clock.now()))

    def reserve(self, hashes: Collection[str]) -> None:
        """No sweep takes these for a day, whatever becomes of what refers to them. Raises Conflict for one that is gone."""

        def write(tx: Tx) -> None:
            garbage_store.touch(tx, hashes, self._clock.now() + _RESERVED_S)
            if garbage_store.unknown(tx, hashes) or garbage_store.leaving_among(tx, hashes):
                raise Conflict(
                    "deleted_meanwhile", "Something of it was deleted for good at this moment. Ask again."
                )

        self._db.write(write)

    def resume(self) -> None:
        """Called when this process is the only one of the yard: what another began, it will not end."""
        self._db.write(garbage_store.abandon)

    def remove_left_behind(self) -> None:
        """End removals that were broken off; done every minute or so."""
        before = self._clock.now() - _TAKEOVER_S
        while True:
            with self._db.read() as tx:
                some = garbage_store.left_behind(tx, before, _BATCH)
            if not some:
                return
            self._remove(some)

    def sweep(
        self,
        sweep: str,
        grace_s: float,
        removed: Callable[[Tx, list[Item]], None],
        only: Collection[str] | None = None,
        only_trees: Collection[str] = (),
    ) -> Swept:
        """Remove everything that nothing refers to and that was brought more than `grace_s` ago.

        `sweep`: an id that is the same when the work is taken up again. `removed` is told in the transaction that
        takes the blobs away. `only`, `only_trees`: of these alone.
        """
        began = self._clock.now()
        self._db.write(partial(garbage_store.begin_sweep, sweep=sweep, now=began))
        before = began - grace_s
        trees, files = self._sweep_trees(before, None if only is None else only_trees)
        count = size = 0
        for some in self._unheld(before, None if only is None else {*only, *files}, frozenset()):
            found = self._db.write(
                partial(self._condemn, some=some, before=before, sweep=sweep, removed=removed)
            )
            self._remove(found)
            count, size = count + len(found), size + sum(found.values())
        if only is None:
            for some in self._strays(min(before, began - GRACE_S)):
                found = self._db.write(partial(self._condemn_strays, some=some, sweep=sweep, removed=removed))
                self._remove(found)
                count, size = count + len(found), size + sum(found.values())
        self._blobs.compact()
        self._db.write(partial(garbage_store.end_sweep, sweep=sweep))
        return Swept(count, size, trees)

    def look(self, grace_s: float) -> Swept:
        """What `sweep` would remove."""
        before = self._clock.now() - grace_s
        unheld: set[str] = set()
        for some in self._unheld_trees(before, None):
            unheld.update(some)
        count = size = 0
        for found in self._unheld(before, None, unheld):
            count, size = count + len(found), size + sum(found.values())
        for strays in self._strays(min(before, self._clock.now() - GRACE_S)):
            count, size = count + len(strays), size + sum(strays.values())
        return Swept(count, size, len(unheld))

    def freed_with(self, files: Counter[str], trees: Counter[str]) -> tuple[int, int]:
        """Number and bytes of the blobs that nothing would refer to without these references: hash and tree id, each with
        how many of the rows that refer to it go."""
        with self._db.read() as tx:
            going = {
                t for t, count in trees.items() if garbage_store.tree_references(tx, self.holders, t) <= count
            }
            hashes = {*files, *garbage_store.files_of_trees(tx, going)}
            references = garbage_store.references(tx, self.holders, hashes)
            suspects = {h for h in hashes if references.get(h, 0) <= files[h]}
            sizes = garbage_store.sizes_of(tx, suspects)
        left = self._not_in_trees(sizes, going)
        return len(left), sum(left.values())

    def _sweep_trees(self, before: float, only: Collection[str] | None) -> tuple[int, set[str]]:
        """How many went, and the hashes of their files."""

        def remove(tx: Tx, some: list[str]) -> tuple[int, set[str]]:
            still, _ = garbage_store.unheld_trees(tx, self.holders, before, "", len(some), some)
            found = garbage_store.files_of_trees(tx, still) if only is not None else set()
            garbage_store.remove_trees(tx, still)
            return len(still), found

        count = 0
        files: set[str] = set()
        for some in self._unheld_trees(before, only):
            gone, found = self._db.write(partial(remove, some=some))
            count, files = count + gone, files | found
        return count, files

    def _unheld_trees(self, before: float, only: Collection[str] | None) -> Iterator[list[str]]:
        after: str | None = ""
        while after is not None:
            with self._db.read() as tx:
                found, after = garbage_store.unheld_trees(tx, self.holders, before, after, _BATCH, only)
            if found:
                yield found

    def _unheld(
        self, before: float, only: Collection[str] | None, without_trees: Collection[str]
    ) -> Iterator[dict[str, int]]:
        """In batches: what no row refers to and no tree but `without_trees` holds."""
        for suspects in self._suspects(before, only):
            left = list(self._not_in_trees(suspects, without_trees).items())
            for start in range(0, len(left), _BATCH):
                yield dict(left[start : start + _BATCH])

    def _suspects(self, before: float, only: Collection[str] | None) -> Iterator[dict[str, int]]:
        if only is not None:
            wanted = sorted(only)
            for start in range(0, len(wanted), _BATCH):
                some = wanted[start : start + _BATCH]
                with self._db.read() as tx:
                    yield garbage_store.unheld_blobs(tx, self.holders, before, "", _BATCH, some)
            return
        after = ""
        suspects: dict[str, int] = {}
        while True:
            with self._db.read() as tx:
                page = garbage_store.unheld_blobs(tx, self.holders, before, after, _PAGE)
            suspects.update(page)
            if len(page) < _PAGE or len(suspects) >= _SUSPECTS:
                yield suspects
                suspects = {}
            if len(page) < _PAGE:
                return
            after = max(page)

    def _not_in_trees(self, suspects: dict[str, int], without: Collection[str]) -> dict[str, int]:
        left = {hash_.encode("ascii"): size for hash_, size in suspects.items()}
        after = ""
        while left:
            with self._db.read() as tx:
                page = garbage_store.hashes_in_trees(tx, after, _BATCH)
            for tree_id, hashes in page:
                if tree_id not in without:
                    for hash_ in hashes & left.keys():
                        del left[hash_]
            if len(page) < _BATCH:
                break
            after = page[-1][0]
        return {hash_.decode("ascii"): size for hash_, size in left.items()}

    def _condemn(
        self,
        tx: Tx,
        some: dict[str, int],
        before: float,
        sweep: str,
        removed: Callable[[Tx, list[Item]], None],
    ) -> dict[str, int]:
        still = garbage_store.unheld_blobs(tx, self.holders, before, "", len(some), list(some))
        garbage_store.condemn(tx, still, sweep, self._clock.now())
        removed(tx, list(still.items()))
        return still

    def _strays(self, before: float) -> Iterator[dict[str, int]]:
        """Bytes in the store that no table tells of: uploads that were cut off between the two."""
        batch: dict[str, int] = {}
        for hash_, size in self._blobs.listed(before):
            batch[hash_] = size
            if len(batch) == _BATCH:
                yield self._without_known(batch)
                batch = {}
        if batch:
            yield self._without_known(batch)

    def _without_known(self, batch: dict[str, int]) -> dict[str, int]:
        with self._db.read() as tx:
            return {h: batch[h] for h in garbage_store.unknown(tx, batch)}

    def _condemn_strays(
        self, tx: Tx, some: dict[str, int], sweep: str, removed: Callable[[Tx, list[Item]], None]
    ) -> dict[str, int]:
        still = {h: some[h] for h in garbage_store.unknown(tx, some)}
        garbage_store.condemn(tx, still, sweep, self._clock.now())
        removed(tx, list(still.items()))
        return still

    def _remove(self, hashes: Collection[str]) -> None:
        if hashes:
            self._blobs.delete(list(hashes))
            self._db.write(lambda tx: garbage_store.gone(tx, hashes))

    def _count_removals(self) -> int:
        with self._db.read() as tx:
            return garbage_store.count_removals(tx)

    def _check_there(self, hashes: Iterable[str]) -> None:
        for hash_ in hashes:
            try:
                for _ in self._blobs.read(hash_, 0, 1):
                    break
            except NotFound:
                raise _removed_meanwhile() from None


def _removed_meanwhile() -> Unavailable:
    return Unavailable(
        "blobs_removed",
        "The same bytes, which nothing referred to, were being removed while these came in. Send them again.",
    )
