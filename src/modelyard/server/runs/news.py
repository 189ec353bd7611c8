"""What is told of a run, applied inside a transaction: tags and texts that change, and its next status."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from modelyard.server.kernel import events
from modelyard.server.kernel.db import Tx
from modelyard.server.kernel.errors import Conflict, Invalid
from modelyard.server.runs import lifecycle, rules, store
from modelyard.server.runs.ending import end_children
from modelyard.wire import codec
from modelyard.wire.runs import RunStatus, RunStatusReport, RunUpdate

_S = RunStatus


def check_update(body: RunUpdate) -> None:
    """Raises Invalid."""
    rules.check_tags(body.set_tags)
    rules.check_properties(body.add_properties)
    rules.check_params(body.add_params)
    rules.check_text("The display name", body.display_name or "", 1000)
    rules.check_text("The description", body.description or "")


def update(tx: Tx, row: store.Row, body: RunUpdate, now: float, actor: str) -> None:
    """Set tags and texts, add properties and parameters, archive or reactivate. Raises Conflict for another value of a
    property or parameter that exists."""
    changes = _changes(row, body)
    if body.archived is not None and body.archived != (row.archived_at is not None):
        changes["archived_at"] = now if body.archived else None
        store.archive_below(tx, row, changes["archived_at"])
    if not changes:
        return
    for kind, column in (("tag", "tags"), ("property", "properties"), ("param", "params")):
        if column in changes:
            store.change_labels(tx, row.id, kind, getattr(row, column), changes[column])
    store.change(tx, row, **changes)
    events.publish(
        tx, at=now, workspace_id=row.workspace_id, kind="run.updated", subject=row.id, actor=actor,
        changed=sorted(changes),
    )  # fmt: skip


def check_report(body: RunStatusReport) -> None:
    """Raises Invalid."""
    if body.status not in lifecycle.REPORTABLE:
        raise Invalid(
            "status_not_reportable",
            f"Status {body.status.value} is the yard's own to set. Report one of "
            f"{', '.join(s.value for s in RunStatus if s in lifecycle.REPORTABLE)}.",
        )
    rules.check_text("The reason", body.reason)


def report(
    tx: Tx, row: store.Row, body: RunStatusReport, now: float, actor: str, lease_until: float | None
) -> None:
    """Take in the run's next status; the same word twice is fine. Raises Conflict, Invalid.

    `lease_until`: by when the next sign of life is due; None where nobody gives any.
    """
    now_is = RunStatus(row.status)
    if now_is in lifecycle.FINAL:
        _check_again(row, body)
        return
    facts = _facts(row, body, now)
    if lease_until is not None and (row.spec is not None or row.parent_id is None):
        facts["lease_expires_at"] = lease_until
    if body.status is now_is or lifecycle.is_stale(now_is, body.status):
        store.change(tx, row, **facts)
        return
    store.move(tx, row, body.status, now=now, reason=body.reason, actor=actor, **facts)
    if body.status in lifecycle.FINAL:
        end_children(tx, row, body.status, now, facts["ended_at"])


def _check_again(row: store.Row, body: RunStatusReport) -> None:
    """A word on a run that is over: fine when it says what is known."""
    info = store.info(row)
    same = body.status is info.status and body.exit_code in (None, info.exit_code)
    if same and body.error in (None, info.error):
        return
    raise Conflict(
        "run_is_final",
        f"Run {row.id!r} is {row.status} ({row.status_reason or 'ended'}); it can't become {body.status.value} any more.",
        status=row.status,
    )


def _facts(row: store.Row, body: RunStatusReport, now: float) -> dict[str, Any]:
    """The columns that a report fills."""
    facts: dict[str, Any] = {}
    at = body.at if body.at is not None else now
    if body.status is _S.RUNNING and row.started_at is None:
        facts["started_at"] = at
    if body.status in lifecycle.FINAL:
        facts["ended_at"] = max(at, row.started_at or row.created_at)
    if body.exit_code is not None:
        if abs(body.exit_code) >= 2**31:
            raise Invalid("bad_exit_code", f"{body.exit_code} is no exit code.")
        facts["exit_code"] = body.exit_code
    if body.error is not None:
        facts["error"] = codec.to_json(body.error)
    if body.machine:
        facts["machine"] = {**row.machine, **body.machine}
    if body.environment_hash:
        rules.check_text("The environment's hash", body.environment_hash, 255)
        facts["environment_hash"] = body.environment_hash
    if body.environment_lock:
        facts["environment_lock"] = body.environment_lock
    if new := [w for w in body.warnings if w not in row.warnings]:
        facts["warnings"] = [*row.warnings, *new]
    return facts


def _changes(row: store.Row, body: RunUpdate) -> dict[str, Any]:
    """The columns that an update changes. Raises Conflict."""
    changes: dict[str, Any] = {}
    tags = _without({**row.tags, **body.set_tags}, body.remove_tags)
    rules.check_count("tags", tags)
    if tags != row.tags:
        changes["tags"] = tags
    for key, value in body.add_properties.items():
        if row.properties.get(key, value) != value:
            raise Conflict(
                "property_is_immutable",
                f"Property {key!r} of run {row.id!r} is {row.properties[key][:200]!r} and can't be changed: properties "
                "are written once. Use a tag for what changes.",
                property=key,
            )
    properties = {**row.properties, **body.add_properties}
    rules.check_count("properties", properties)
    if properties != row.properties:
        changes["properties"] = properties
    params = _params(row, body.add_params)
    if params != row.params:
        changes["params"] = params
    for name in ("display_name", "description"):
        value = getattr(body, name)
        if value is not None and value != getattr(row, name):
            changes[name] = value
    if body.snapshot_id is not None and body.snapshot_id != row.snapshot_id:
        if row.snapshot_id is not None:
            raise Conflict("snapshot_is_set", f"Run {row.id!r} has a snapshot already: {row.snapshot_id}.")
        changes["snapshot_id"] = body.snapshot_id
    return changes


def _params(row: store.Row, new: Mapping[str, str]) -> dict[str, str]:
    taken = [key for key, value in new.items() if row.params.get(key, value) != value]
    if taken:
        key = taken[0]
        raise Conflict(
            "param_is_immutable",
            f"Parameter {key!r} of run {row.id!r} is {row.params[key][:200]!r} and can't be changed to {new[key][:200]!r}: "
            "parameters are written once. Use a tag for what changes.",
            params=[{"key": key, "old_value": row.params[key], "new_value": new[key]} for key in taken],
        )
    params = {**row.params, **new}
    rules.check_count("parameters", params, rules.MAX_PARAMS)
    return params


def _without(given: dict[str, str], keys: Iterable[str]) -> dict[str, str]:
    left = dict(given)
    for key in keys:
        left.pop(key, None)
    return left
