"""Runs that are made by the one who calls: interactive runs and child runs, whose code is already running."""

from __future__ import annotations

import os
import sys
from typing import Any, Dict, List, Optional, Sequence

from modelyard import errors
from modelyard.runs import scope as scopes
from modelyard.runs.scope import Scope
from modelyard.wire.runs import ChildrenCreate, RunCreate, RunInfo, RunList


def create(
    scope: Scope,
    experiment: str,
    run_id: Optional[str] = None,
    parent_id: Optional[str] = None,
    display_name: str = "",
    tags: Optional[Dict[str, Any]] = None,
    properties: Optional[Dict[str, str]] = None,
    snapshot_id: Optional[str] = None,
    type: str = "",
) -> RunInfo:
    """A run that is Running from now on."""
    body = RunCreate(
        run_id=scopes.check_run_id(run_id or scopes.new_run_id(experiment)),
        experiment=experiment,
        parent_id=parent_id,
        type=type,
        display_name=display_name,
        tags=dict(tags or {}),
        properties=dict(properties or {}),
        started=True,
        snapshot_id=snapshot_id,
        user=scopes.user_name(),
    )
    info: RunInfo = scope.client.request("POST", scope.path("runs"), body, kind=RunInfo, idempotent=True)
    return info


def create_children(
    scope: Scope,
    parent_id: str,
    experiment: str,
    count: Any,
    tag_key: Optional[str],
    tag_values: Optional[Sequence[str]],
) -> List[RunInfo]:
    """Many child runs in one request, NotStarted; with `tag_values` one for each value, tagged with it."""
    values = [str(one) for one in tag_values] if tag_values is not None else []
    if count is None and not values:
        raise errors.UserErrorException(
            "create_children needs count=, or tag_key= with tag_values= (one child for each value)."
        )
    if bool(tag_key) != bool(values):
        raise errors.UserErrorException(
            "create_children takes tag_key and tag_values together or not at all."
        )
    wanted = len(values) if count is None else count
    if isinstance(wanted, bool) or not isinstance(wanted, int) or wanted < 1:
        raise errors.UserErrorException(
            f"create_children: count must be a whole number above 0, not {count!r}."
        )
    if values and len(values) != wanted:
        raise errors.UserErrorException(
            f"create_children: count is {wanted}, but tag_values has {len(values)} values. Leave count out."
        )
    made: RunList = scope.client.request(
        "POST",
        scope.run_path(parent_id, "children"),
        ChildrenCreate([scopes.new_run_id(experiment) for _ in range(wanted)], tag_key or "", values),
        kind=RunList,
        idempotent=True,
    )
    return made.items


def snapshot_of(scope: Scope, directory: str) -> str:
    """Take a snapshot of a directory, or of one file; answers its id."""
    from modelyard import snapshot  # hashes and uploads, which a script that only logs never does

    if os.path.isfile(directory):
        held = snapshot.upload(
            scope.client, lambda rest: scope.path() + rest, [(os.path.basename(directory), directory)]
        )
        from modelyard.wire.artifacts import SnapshotCreate, SnapshotInfo  # a file alone is rare

        made: SnapshotInfo = scope.client.request(
            "POST", scope.path("snapshots"), SnapshotCreate(held.entries), kind=SnapshotInfo, idempotent=True
        )
        return made.id
    return snapshot.take(scope.client, lambda rest: scope.path() + rest, directory).id


def working_directory_snapshot(scope: Scope, directory: str) -> Optional[str]:
    """v1 snapshots the working directory of an interactive run. A home or root directory is no project: not those."""
    real = os.path.realpath(directory)
    if real in (os.path.realpath(os.path.expanduser("~")), os.path.realpath(os.sep)):
        print(  # noqa: T201  # said once, where the user looks
            f"modelyard: no snapshot is taken of {real}. start_logging(snapshot_directory=…) names a project.",
            file=sys.stderr,
        )
        return None
    try:
        return snapshot_of(scope, directory)
    except errors.SnapshotException as error:
        print(f"modelyard: no snapshot was taken: {error}", file=sys.stderr)  # noqa: T201  # the run goes on
        return None
