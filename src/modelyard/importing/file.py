"""Records of another system as a file of a workspace, some hundred runs at a time."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from modelyard._client import Client
from modelyard.server.artifacts.transfer import BLOBS, TREES
from modelyard.server.data.transfer import DATASTORES
from modelyard.server.kernel.transfer import FileTable
from modelyard.server.models.transfer import ALIASES, MODELS, NAME_TAGS, NAMES
from modelyard.server.runs.loading import RunRecord
from modelyard.server.runs.transfer import EXPERIMENTS, RUNS, RunTransfer, write_run
from modelyard.server.transfer.manifest import FORMAT, VERSION, Manifest
from modelyard.server.transfer.writing import Tables, zip_pieces
from modelyard.transfer import send
from modelyard.version import VERSION as MODELYARD
from modelyard.wire.artifacts import FileEntry
from modelyard.wire.transfer import ImportReport
from modelyard.wire.trees import tree_id

_TABLES = (BLOBS, TREES, DATASTORES, NAMES, NAME_TAGS, ALIASES, MODELS, *RunTransfer.tables)


class WorkspaceFileMade:
    """A file in the making: what belongs together is added together, and `send` brings it to a workspace."""

    def __init__(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="modelyard-import-"))
        self._tables = Tables(self._directory)
        self._metrics = 0
        self._experiments: set[str] = set()
        self.runs = 0
        self.points = 0

    @property
    def size_bytes(self) -> int:
        return sum(self._tables.blobs.values())

    def keep(self, path: str, pieces: Iterable[bytes]) -> FileEntry:
        """A file's bytes become a blob of the file."""
        hash_, size = self._tables.content(pieces)
        self._tables.blobs[hash_] = size
        return FileEntry(path, hash_, size)

    def add_experiment(self, experiment: Mapping[str, Any]) -> None:
        """Once, however often it is told."""
        if experiment["id"] not in self._experiments:
            self._experiments.add(experiment["id"])
            self._tables.rows(EXPERIMENTS, [EXPERIMENTS.row(experiment)])

    def add_run(self, record: RunRecord, experiment: Mapping[str, Any]) -> None:
        self.add_experiment(experiment)
        self._metrics = write_run(self._tables, record, self._metrics, with_files=True)
        self.runs += 1
        self.points += record.points

    def add_model(
        self,
        name: Mapping[str, Any],
        tags: Mapping[str, str],
        aliases: Mapping[str, int],
        versions: Sequence[tuple[Mapping[str, Any], Sequence[FileEntry]]],
    ) -> None:
        """A registered model; each version with its files, from which its tree follows."""
        text = name["name"]
        self._tables.rows(NAMES, [NAMES.row(name)])
        self._tables.rows(NAME_TAGS, [(text, key, value) for key, value in tags.items()])
        self._tables.rows(ALIASES, [(text, alias, version) for alias, version in aliases.items()])
        for version, entries in versions:
            id_ = tree_id(entries)
            if id_ not in self._tables.trees:
                self._tables.trees.add(id_)
                ordered = sorted(entries, key=lambda e: e.path.encode("utf-8", "surrogatepass"))
                self._tables.rows(TREES, [(id_, e.path, e.hash, e.size, e.executable) for e in ordered])
            figures = {
                "tree_id": id_, "size_bytes": sum(e.size for e in entries), "file_count": len(entries),
                "is_folder": len(entries) != 1 or "/" in entries[0].path,
            }  # fmt: skip
            self._tables.rows(MODELS, [MODELS.row({**version, **figures})])

    def write(self, target: Path, origin: str) -> None:
        """Everything that was added, as one file. Nothing can be added after that."""
        self._tables.rows(BLOBS, sorted(self._tables.blobs.items()))
        self._tables.finish(_TABLES)
        with open(target, "wb") as file:
            file.writelines(zip_pieces(self._manifest(origin), self._tables, _not_ours))

    def send(self, client: Client, workspace: str, merge: str, origin: str) -> ImportReport:
        """Bring it all into the workspace, which is there."""
        file = self._directory / "import.zip"
        self.write(file, origin)
        return send(client, str(file), workspace, True, merge, False)

    def close(self) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)

    def _manifest(self, origin: str) -> Manifest:
        now = time.time()
        workspace = {
            "id": "import", "name": "import", "subscription_id": "", "resource_group": "", "location": "", "sku": "",
            "friendly_name": origin, "description": "", "tags": {}, "created_at": now,
        }  # fmt: skip
        return Manifest(
            format=FORMAT,
            version=VERSION,
            modelyard=MODELYARD,
            exported_at=now,
            workspace=workspace,
            experiments=[],
            runs=[],
            files=True,
            tables={t.name: {c: kind.value for c, kind in t.columns.items()} for t in _TABLES},
            parts=dict(sorted(self._tables.parts.items())),
            blob_count=len(self._tables.blobs),
            blob_bytes=self.size_bytes,
        )


def row_of(table: FileTable, **given: Any) -> dict[str, Any]:
    """A row of the table; what is not given is null."""
    return {**dict.fromkeys(table.columns), **given}


def run_row(**given: Any) -> dict[str, Any]:
    """The columns of a run that nothing but its source has run."""
    empty: dict[str, Any] = {
        "number": 1, "request": "", "status_reason": "", "description": "", "child_count": 0, "tags": {}, "properties": {},
        "params": {}, "version": 1, "user": "", "node": "", "warnings": [], "environment_hash": "", "environment_lock": [],
        "machine": {},
    }  # fmt: skip
    return row_of(RUNS, **{**empty, **given})


def _not_ours(hash_: str) -> Iterator[bytes]:
    raise AssertionError(f"blob {hash_} was not kept in the file")
