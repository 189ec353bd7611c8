"""Writes a workspace to one file, and makes a workspace of one."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from modelyard.server.kernel import events
from modelyard.server.kernel.clock import Clock
from modelyard.server.kernel.db import Database, Tx
from modelyard.server.kernel.errors import Conflict, Invalid
from modelyard.server.kernel.ids import new_id
from modelyard.server.kernel.transfer import Fate, Merge, Scope, Tally, Target, Transfer, refuse
from modelyard.server.transfer import manifest as members
from modelyard.server.transfer import store
from modelyard.server.transfer.manifest import Manifest
from modelyard.server.transfer.reading import WorkspaceFile
from modelyard.server.transfer.writing import Tables, zip_pieces
from modelyard.server.workspaces.service import WorkspaceService, check_name
from modelyard.version import VERSION
from modelyard.wire.transfer import ImportCount, ImportReport
from modelyard.wire.workspaces import WorkspaceInfo

ABANDONED_AFTER_S = 24 * 3600.0
_SHOWN_RENAMED = 1000
_PREFIX = "transfer-"
_ID = re.compile(r"[A-Za-z0-9-]{1,64}")


@dataclasses.dataclass(frozen=True)
class Where:
    """Under which name a file comes in (empty: the one it had): as a new workspace, or `into` one that is there."""

    workspace: str = ""
    into: bool = False
    merge: str = Merge.FAIL.value
    preview: bool = False


class TransferService:
    """`slices` from the bottom to the top: things come in after what they stand on, and leave before it."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        workspaces: WorkspaceService,
        slices: Sequence[Transfer],
        read_blob: Callable[[str], Iterator[bytes]],
        staging: Path,
    ) -> None:
        self._db = db
        self._clock = clock
        self._workspaces = workspaces
        self._slices = slices
        self._tables = [table for slice_ in slices for table in slice_.tables]
        self._read_blob = read_blob
        # Plugged in by the app: keeps blobs from the garbage collection for a while. Raises Conflict for one that is gone.
        self.reserve: Callable[[Collection[str]], None] = _kept_anyway
        # Also plugged in: the id behind a name or an id in a workspace. They raise NotFound.
        self.find_experiment: Callable[[str, str], str] = _itself
        self.find_run: Callable[[str, str], str] = _itself
        self._staging = staging
        for left in staging.glob(f"{_PREFIX}*"):  # by a process that was killed
            shutil.rmtree(left, ignore_errors=True)

    @contextmanager
    def directory(self) -> Iterator[Path]:
        """A private directory for a file on its way, gone afterwards."""
        self._staging.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            prefix=_PREFIX, dir=self._staging, ignore_cleanup_errors=True
        ) as found:
            yield Path(found)

    def export(
        self, workspace_id: str, experiments: Sequence[str], runs: Sequence[str], files: bool
    ) -> Iterator[bytes]:
        """The file in pieces, of the workspace as it is now. Raises NotFound before the first piece.

        The tables are written first, in one read transaction; nothing that goes on meanwhile shows in them, and a slow
        receiver holds nothing up.
        """
        info = self._workspaces.info_by_id(workspace_id)
        asked = bool(experiments or runs)
        scope = Scope(
            workspace_id,
            frozenset(self.find_experiment(workspace_id, name) for name in experiments) if asked else None,
            frozenset(self.find_run(workspace_id, run_id) for run_id in runs) if asked else None,
            files,
        )
        kept = self.directory()
        directory = kept.__enter__()
        try:
            tables = self._write_tables(scope, directory)
            self.reserve(tables.blobs)
            manifest = self._manifest(info, tables, experiments, runs, scope)
        except BaseException as error:
            kept.__exit__(type(error), error, error.__traceback__)
            raise

        def pieces() -> Iterator[bytes]:
            try:
                yield from zip_pieces(manifest, tables, self._read_blob)
            finally:
                kept.__exit__(None, None, None)

        return pieces()

    def import_(self, file: Path, directory: Path, where: Where, actor: str = "") -> ImportReport:
        """Take in a file that lies in this directory of ours. Raises Invalid, NotFound, Conflict; then nothing was
        imported, or a part that the same import goes on from."""
        try:
            merge = Merge(where.merge)
        except ValueError:
            raise Invalid(
                "bad_merge", f"merge is one of {', '.join(m.value for m in Merge)}, not {where.merge[:80]!r}."
            ) from None
        with WorkspaceFile(file, directory, self._tables) as given:
            manifest = given.manifest
            was = _workspace_of(manifest)
            name = where.workspace or was.name
            mark = hashlib.sha256(manifest.encode()).hexdigest()
            if where.into:
                workspace_id = self._workspaces.get(name).id
            else:
                workspace_id = self._incoming_id(name, was, mark)
            target = Target(workspace_id, name, merge, self._clock.now(), manifest.exported_at)
            for slice_ in self._slices:
                slice_.come_in(given, target)
            target.refuse_others()
            if where.preview:
                given.verify_blobs()
                return _report(target, manifest, was, created=not where.into, preview=True)
            rehearsed = target
            target = target.for_real()
            if not where.into:
                self._claim(name, workspace_id, mark)
            for slice_ in self._slices:
                slice_.come_in(given, target)
                if not where.into:
                    self._claim(name, workspace_id, mark)
            self._db.write(lambda tx: self._finish(tx, target, was, actor, is_new=not where.into))
            target.ended = rehearsed.ended
            return _report(target, manifest, was, created=not where.into, preview=False)

    def sweep(self) -> None:
        """Take away what came in of workspaces whose import broke off and was not gone on with for a day."""
        with self._db.read() as tx:
            left = store.untouched_since(tx, self._clock.now() - ABANDONED_AFTER_S)
        for name, workspace_id in left:
            self._db.write(lambda tx, n=name, w=workspace_id: self._forget(tx, n, w))  # type: ignore[misc]

    def _write_tables(self, scope: Scope, directory: Path) -> Tables:
        tables = Tables(directory)
        with self._db.read() as tx:
            for slice_ in reversed(self._slices):
                slice_.leave(tx, scope, tables)
        tables.finish(self._tables)
        return tables

    def _manifest(
        self,
        info: WorkspaceInfo,
        tables: Tables,
        experiments: Sequence[str],
        runs: Sequence[str],
        scope: Scope,
    ) -> Manifest:
        return Manifest(
            format=members.FORMAT,
            version=members.VERSION,
            modelyard=VERSION,
            exported_at=self._clock.now(),
            workspace=dataclasses.asdict(info),
            experiments=None if scope.is_whole else sorted(experiments),
            runs=None if scope.is_whole else sorted(runs),
            files=scope.with_files,
            tables={t.name: {c: kind.value for c, kind in t.columns.items()} for t in self._tables},
            parts=dict(sorted(tables.parts.items())),
            blob_count=len(tables.blobs),
            blob_bytes=sum(tables.blobs.values()),
        )

    def _incoming_id(self, name: str, was: WorkspaceInfo, mark: str) -> str:
        """The id that the new workspace will have: that of a broken-off import of the same file, else its old one, else new."""
        check_name(name)
        with self._db.read() as tx:
            if self._workspaces.is_name_taken(tx, name):
                raise Conflict(
                    "workspace_exists",
                    f"Workspace {name!r} exists already. Import the file into it (--into {name}) or under another name "
                    "(--as NAME).",
                )
            begun = store.by_name(tx, name)
            if begun is not None and begun[1] == mark:
                return begun[0]
            is_free = not self._workspaces.is_id_taken(tx, was.id) and not store.has_id(tx, was.id)
        return was.id if is_free else new_id()

    def _claim(self, name: str, workspace_id: str, mark: str) -> None:
        def write(tx: Tx) -> None:
            begun = store.by_name(tx, name)
            if begun is not None and begun[0] != workspace_id:
                self._forget(tx, name, begun[0])
            store.put(tx, name, workspace_id, mark, self._clock.now())

        self._db.write(write)

    def _finish(self, tx: Tx, target: Target, was: WorkspaceInfo, actor: str, is_new: bool) -> None:
        if is_new:
            store.remove(tx, target.workspace)
            info = dataclasses.replace(was, id=target.workspace_id, name=target.workspace)
            self._workspaces.take_in(tx, info)
        events.publish(
            tx, at=self._clock.now(), workspace_id=target.workspace_id, kind="workspace.imported",
            subject=target.workspace_id, actor=actor, name=target.workspace, exported_from=was.name,
        )  # fmt: skip

    def _forget(self, tx: Tx, name: str, workspace_id: str) -> None:
        for take_away in self._workspaces.on_delete:
            take_away(tx, workspace_id)
        store.remove(tx, name)


def _kept_anyway(_hashes: Collection[str]) -> None:
    pass


def _itself(_workspace_id: str, name: str) -> str:
    return name


def _workspace_of(manifest: Manifest) -> WorkspaceInfo:
    try:
        info = msgspec.convert(manifest.workspace, WorkspaceInfo)
    except msgspec.ValidationError as error:
        refuse(f"Its manifest does not say which workspace it is: {error}.")
    check_name(info.name)
    if not _ID.fullmatch(info.id):
        refuse(f"Its workspace has the id {info.id[:80]!r}, which can't be one.")
    return info


def _report(
    target: Target, manifest: Manifest, was: WorkspaceInfo, created: bool, preview: bool
) -> ImportReport:
    return ImportReport(
        workspace=target.workspace,
        workspace_id=target.workspace_id,
        created=created,
        preview=preview,
        exported_from=was.name,
        exported_at=manifest.exported_at,
        counts=[_count(kind, tally) for kind, tally in target.tallies.items()],
        ended=target.ended,
        blob_count=manifest.blob_count,
        blob_bytes=manifest.blob_bytes,
        renamed_runs=dict(list(target.run_ids.items())[:_SHOWN_RENAMED]),
    )


def _count(kind: str, tally: Tally) -> ImportCount:
    return ImportCount(kind=kind, others=tally.others, **{fate.value: tally.counts[fate] for fate in Fate})
