"""What deleting something for good would take along, counted without changing anything."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from modelyard.server.artifacts.garbage import Garbage
from modelyard.server.kernel.db import Tx
from modelyard.server.lifetime.targets import Target
from modelyard.server.models import purge as model_purge
from modelyard.server.runs import purge as run_purge
from modelyard.wire.lifetime import DeletionPreview

InUse = Callable[[Tx, str, str, int], Sequence[str]]


@dataclass(frozen=True)
class Counted:
    """`files` and `trees`: hash or id, with how many rows that refer to it would go."""

    told: DeletionPreview
    files: Counter[str]
    trees: Counter[str]


def count(tx: Tx, workspace_id: str, found: Sequence[Target], in_use: InUse) -> Counted:
    run_ids: dict[str, None] = {}
    for target in found:
        if target.kind == "run":
            run_ids.update(dict.fromkeys(run_purge.ids_to_go(tx, target.row)))
        elif target.kind == "experiment":
            run_ids.update(dict.fromkeys(run_purge.ids_to_go(tx, None, target.id)))
    models = [target.row for target in found if target.kind == "model"]
    going = run_purge.contents(tx, list(run_ids))
    files = Counter(hash_ for run in going for _, hash_, _ in run.files)
    trees = Counter(run.snapshot_id for run in going if run.snapshot_id)
    trees.update(row.tree_id for row in models)
    kept = [
        (name, version)
        for name, version in model_purge.from_runs(tx, workspace_id, run_ids)
        if not any((row.name, row.version) == (name, version) for row in models)
    ]
    serving = {e for name, version in kept for e in in_use(tx, workspace_id, name, version)}
    refused = [f"Run {id_!r} is not over yet. Cancel it first." for id_ in run_purge.unfinished(tx, run_ids)]
    for row in models:
        for endpoint in in_use(tx, workspace_id, row.name, row.version):
            refused.append(
                f"Model {row.name!r} version {row.version} is served by endpoint {endpoint!r}. Delete or update it first."
            )
    told = DeletionPreview(
        runs=len(going),
        children=sum(run.is_child for run in going),
        experiments=sum(target.kind == "experiment" for target in found),
        models=[f"{row.name}:{row.version}" for row in models],
        files=sum(len(run.files) for run in going) + sum(row.file_count for row in models),
        size_bytes=sum(size for run in going for _, _, size in run.files)
        + sum(row.size_bytes for row in models),
        freed_blobs=0,
        freed_bytes=0,
        kept_models=[f"{name}:{version}" for name, version in kept],
        endpoints=sorted(serving),
        refused=refused,
    )
    return Counted(told, files, trees)


def with_bytes(counted: Counted, garbage: Garbage) -> DeletionPreview:
    blobs, size = garbage.freed_with(counted.files, counted.trees)
    return dataclasses.replace(counted.told, freed_blobs=blobs, freed_bytes=size)
