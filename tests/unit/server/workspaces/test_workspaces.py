from __future__ import annotations

import pytest
from small_yard import SmallYard

from modelyard.server.kernel.errors import Conflict, Invalid, NotFound
from modelyard.wire.artifacts import SnapshotCreate
from modelyard.wire.workspaces import WorkspaceCreate, WorkspaceInfo, WorkspaceList, WorkspaceUpdate


def test_a_new_yard_has_a_default_workspace(lower_yard: SmallYard) -> None:
    info = lower_yard.workspaces.get("default")
    assert (info.resource_group, info.location) == ("local", "local")
    assert info.subscription_id == "00000000-0000-0000-0000-000000000000"
    assert lower_yard.workspaces.ensure_default().id == info.id


@pytest.mark.parametrize("name", ["ab", "my_ws-1", "A" * 33, "1st"])
def test_a_good_name_is_taken(lower_yard: SmallYard, name: str) -> None:
    assert lower_yard.workspaces.create(WorkspaceCreate(name)).name == name


@pytest.mark.parametrize(
    "name", ["", "a", "A" * 34, "has space", "-ab", "_ab", "a/b", "..", "ab\n", "é1", "ab\0"]
)
def test_a_bad_name_is_refused(lower_yard: SmallYard, name: str) -> None:
    with pytest.raises(Invalid, match="2 to 33"):
        lower_yard.workspaces.create(WorkspaceCreate(name))


def test_an_existing_name_is_refused_unless_that_is_fine(lower_yard: SmallYard) -> None:
    first = lower_yard.workspaces.create(WorkspaceCreate("ws", tags={"a": "1"}))
    with pytest.raises(Conflict, match="'ws' exists already"):
        lower_yard.workspaces.create(WorkspaceCreate("ws"))
    assert lower_yard.workspaces.create(WorkspaceCreate("ws", exist_ok=True)) == first


def test_only_what_is_given_changes(lower_yard: SmallYard) -> None:
    lower_yard.workspaces.create(WorkspaceCreate("ws", description="old", tags={"a": "1"}))
    lower_yard.workspaces.update("ws", WorkspaceUpdate(tags={}))
    lower_yard.workspaces.update("ws", WorkspaceUpdate(friendly_name="W"))
    info = lower_yard.workspaces.get("ws")
    assert (info.description, info.tags, info.friendly_name) == ("old", {}, "W")


def test_a_workspace_with_something_active_is_not_deleted(lower_yard: SmallYard) -> None:
    lower_yard.workspaces.create(WorkspaceCreate("ws"))
    lower_yard.workspaces.blockers.append(lambda tx, workspace_id: "Run 'r1' is still Running.")
    with pytest.raises(Conflict, match="Run 'r1' is still Running"):
        lower_yard.workspaces.delete("ws")
    assert lower_yard.workspaces.get("ws")


def test_a_deleted_workspace_is_gone_with_all_it_had(lower_yard: SmallYard) -> None:
    lower_yard.workspaces.create(WorkspaceCreate("ws"))
    (entry,) = lower_yard.keep(b"x", workspace="ws")
    lower_yard.client().request("POST", lower_yard.path("/snapshots", "ws"), SnapshotCreate([entry]))
    old = lower_yard.workspaces.id_of("ws")
    lower_yard.workspaces.delete("ws")
    with pytest.raises(NotFound, match="no workspace 'ws'"):
        lower_yard.workspaces.id_of("ws")
    new = lower_yard.workspaces.create(WorkspaceCreate("ws"))
    assert new.id != old
    assert lower_yard.artifacts.missing(new.id, [entry.hash]) == [entry.hash]
    assert lower_yard.artifacts.missing(old, [entry.hash]) == [entry.hash]


def test_a_deletion_by_another_process_is_seen_before_long(lower_yard: SmallYard) -> None:
    lower_yard.workspaces.create(WorkspaceCreate("ws"))
    assert lower_yard.workspaces.id_of("ws")
    type(lower_yard.workspaces)(lower_yard.db, lower_yard.clock).delete("ws")
    lower_yard.clock.advance(31)
    with pytest.raises(NotFound):
        lower_yard.workspaces.id_of("ws")


def test_the_same_over_http(lower_yard: SmallYard) -> None:
    client = lower_yard.client()
    made = client.request("POST", "/api/v1/workspaces", WorkspaceCreate("web"), kind=WorkspaceInfo)
    listed = client.request("GET", "/api/v1/workspaces", kind=WorkspaceList)
    assert [w.name for w in listed.items] == ["default", "web"]
    changed = client.request(
        "PATCH", lower_yard.path("", "web"), WorkspaceUpdate(description="d"), kind=WorkspaceInfo
    )
    assert client.request("GET", lower_yard.path("", "web"), kind=WorkspaceInfo) == changed
    assert client.request("DELETE", lower_yard.path("", "web")) is None
    assert made.name == "web"
