from __future__ import annotations

import uuid

import pytest
from small_yard import SmallYard

from modelyard.server.kernel.errors import Conflict, Invalid, NotFound
from modelyard.server.models.search import Condition, Order
from modelyard.wire.models import (
    ModelInfo,
    ModelRegister,
    ModelUpdate,
    RegisteredModelCreate,
    RegisteredModelUpdate,
)


def _register(yard: SmallYard, name: str = "churn", **given: object) -> ModelInfo:
    fields: dict[str, object] = {"request_id": uuid.uuid4().hex, "entries": yard.keep(b"model"), **given}
    return yard.models.register(yard.workspace_id, ModelRegister(name, **fields))  # type: ignore[arg-type]  # by name


def _create(yard: SmallYard, name: str, **given: object) -> None:
    yard.registered.create(yard.workspace_id, RegisteredModelCreate(name, **given))  # type: ignore[arg-type]  # by name


def _alias(yard: SmallYard, alias: str, version: int) -> None:
    yard.registered.set_alias(yard.workspace_id, "churn", alias, version)


def test_registering_a_version_registers_its_name(lower_yard: SmallYard) -> None:
    _register(lower_yard)
    lower_yard.clock.advance(5)
    second = _register(lower_yard)
    found = lower_yard.registered.get(lower_yard.workspace_id, "churn")
    assert [v.version for v in found.latest] == [2]
    assert found.updated_at == second.created_at == found.created_at + 5


def test_a_name_can_be_there_before_its_first_version(lower_yard: SmallYard) -> None:
    _create(lower_yard, "empty name", description="d", tags={"team": "a"})
    found = lower_yard.registered.get(lower_yard.workspace_id, "empty name")
    assert (found.description, found.tags, found.latest) == ("d", {"team": "a"}, [])
    with pytest.raises(Conflict, match="already"):
        _create(lower_yard, "empty name")
    assert _register(lower_yard, "empty name").version == 1


def test_an_alias_moves_from_version_to_version(lower_yard: SmallYard) -> None:
    _register(lower_yard), _register(lower_yard)
    _alias(lower_yard, "champion", 1)
    _alias(lower_yard, "champion", 2)
    _alias(lower_yard, "old", 1)
    wid = lower_yard.workspace_id
    assert lower_yard.registered.version_of(wid, "churn", "champion") == 2
    assert lower_yard.models.get(wid, "churn", 1).aliases == ["old"]
    lower_yard.registered.delete_alias(wid, "churn", "old")
    with pytest.raises(NotFound, match="no alias 'old'"):
        lower_yard.registered.delete_alias(wid, "churn", "old")
    with pytest.raises(NotFound):
        _alias(lower_yard, "champion", 9)


@pytest.mark.parametrize("alias", ["", "latest", "Latest", "v1", "7", "a b", "a/b", "x" * 256])
def test_what_reads_like_a_version_is_no_alias(lower_yard: SmallYard, alias: str) -> None:
    _register(lower_yard)
    with pytest.raises(Invalid):
        _alias(lower_yard, alias, 1)


def test_a_version_in_the_trash_has_no_alias_and_comes_back_without_one(lower_yard: SmallYard) -> None:
    _register(lower_yard), _register(lower_yard)
    _alias(lower_yard, "champion", 1)
    wid = lower_yard.workspace_id
    lower_yard.models.trash(wid, "churn", 1)
    with pytest.raises(NotFound):
        lower_yard.registered.version_of(wid, "churn", "champion")
    assert lower_yard.models.restore(wid, "churn", 1).aliases == []


def test_moving_to_a_stage_can_archive_those_that_were_there(lower_yard: SmallYard) -> None:
    for _ in range(3):
        _register(lower_yard)
    wid = lower_yard.workspace_id
    lower_yard.models.update(wid, "churn", 1, ModelUpdate(stage="production"))
    lower_yard.models.update(wid, "churn", 2, ModelUpdate(stage="Production", archive_existing=True))
    stages = {v.version: v.stage for v in lower_yard.registered.get(wid, "churn").latest}
    assert stages == {1: "Archived", 2: "Production", 3: "None"}
    with pytest.raises(Invalid, match=r"Staging.*Production"):
        lower_yard.models.update(wid, "churn", 2, ModelUpdate(stage="None", archive_existing=True))
    with pytest.raises(Invalid, match="must be one of"):
        lower_yard.models.update(wid, "churn", 2, ModelUpdate(stage="Live"))


def test_a_deleted_name_is_free_again_and_counts_on(lower_yard: SmallYard) -> None:
    _register(lower_yard), _register(lower_yard)
    _alias(lower_yard, "champion", 1)
    wid = lower_yard.workspace_id
    lower_yard.registered.delete(wid, "churn")
    with pytest.raises(NotFound):
        lower_yard.registered.get(wid, "churn")
    _create(lower_yard, "churn")
    found = lower_yard.registered.get(wid, "churn")
    assert (found.tags, found.aliases, found.latest) == ({}, {}, [])
    assert _register(lower_yard).version == 3
    assert lower_yard.models.restore(wid, "churn", 1).version == 1


def test_restoring_a_version_registers_its_name_again(lower_yard: SmallYard) -> None:
    _register(lower_yard)
    wid = lower_yard.workspace_id
    lower_yard.registered.delete(wid, "churn")
    lower_yard.models.restore(wid, "churn", 1)
    assert [v.id for v in lower_yard.registered.get(wid, "churn").latest] == ["churn:1"]


def test_renaming_takes_versions_tags_and_aliases_along(lower_yard: SmallYard) -> None:
    _register(lower_yard), _register(lower_yard, "other")
    _alias(lower_yard, "champion", 1)
    wid = lower_yard.workspace_id
    lower_yard.registered.update(
        wid, "churn", RegisteredModelUpdate(name="leave", set_tags={"a": "1"}, description="d")
    )
    found = lower_yard.registered.get(wid, "leave")
    assert (found.tags, found.aliases, found.description) == ({"a": "1"}, {"champion": 1}, "d")
    assert [v.id for v in found.latest] == ["leave:1"]
    assert _register(lower_yard).id == "churn:2"
    for taken in ("other", "churn"):
        with pytest.raises(Conflict):
            lower_yard.registered.update(wid, "leave", RegisteredModelUpdate(name=taken))


def test_what_an_endpoint_serves_is_neither_deleted_nor_renamed(lower_yard: SmallYard) -> None:
    _register(lower_yard)
    wid = lower_yard.workspace_id
    lower_yard.models.in_use = lambda _tx, _workspace, _name, _version: ["churn-prod"]
    with pytest.raises(Conflict, match="'churn-prod'"):
        lower_yard.registered.delete(wid, "churn")
    with pytest.raises(Conflict, match="'churn-prod'"):
        lower_yard.registered.update(wid, "churn", RegisteredModelUpdate(name="leave"))


def test_names_are_searched_by_conditions_and_pages(lower_yard: SmallYard) -> None:
    for name in ("Ab", "ab", "a_c", "axc", "b*d"):
        _create(lower_yard, name, tags={"n": name} if name != "Ab" else {})
    wid = lower_yard.workspace_id

    def found(*conditions: Condition, order: tuple[Order, ...] = ()) -> list[str]:
        return [m.name for m in lower_yard.registered.search(wid, conditions, order)]

    assert found(Condition("name", "LIKE", "a%")) == ["a_c", "ab", "axc"]
    assert found(Condition("name", "ILIKE", "AB")) == ["Ab", "ab"]
    assert found(Condition("name", "LIKE", "b*%")) == ["b*d"]
    assert found(Condition("name", "IN", ["ab", "axc"])) == ["ab", "axc"]
    assert found(Condition("tag", "=", "ab", key="n")) == ["ab"]
    assert found(Condition("tag", "=", "ab", key="n", without=True), order=(Order("name", True),)) == [
        "b*d", "axc", "a_c", "Ab",
    ]  # fmt: skip


def test_versions_are_searched_by_conditions(lower_yard: SmallYard) -> None:
    _register(lower_yard, "a", tags={"t": "x"}, run_id=None)
    _register(lower_yard, "a", source="runs:/r/model")
    _register(lower_yard, "b", tags={"t": "x"})
    wid = lower_yard.workspace_id

    def found(*conditions: Condition) -> list[str]:
        return [m.id for m in lower_yard.registered.search_versions(wid, conditions)]

    assert found() == ["a:2", "a:1", "b:1"]
    assert found(Condition("tag", "=", "x", key="t")) == ["a:1", "b:1"]
    assert found(Condition("version", ">", 1)) == ["a:2"]
    assert found(Condition("source", "LIKE", "runs:%"), Condition("name", "=", "a")) == ["a:2"]
    lower_yard.models.trash(wid, "a", 2)
    assert found() == ["a:1", "b:1"]


def test_a_stranger_s_workspace_has_names_of_its_own(lower_yard: SmallYard) -> None:
    _register(lower_yard)
    client = lower_yard.client()
    client.request("POST", "/api/v1/workspaces", {"name": "other"})
    listed = client.request("GET", lower_yard.path("/registered-models", "other"))
    assert listed == {"items": [], "next": None}
    here = client.request("GET", lower_yard.path("/registered-models?limit=1"))
    assert [m["name"] for m in here["items"]] == ["churn"]
    assert client.request("GET", lower_yard.path("/models/churn/versions/latest"))["stage"] == "None"
    client.request("PUT", lower_yard.path("/registered-models/churn/aliases/champion"), {"version": 1})
    assert client.request("GET", lower_yard.path("/models/churn/versions/@champion"))["version"] == 1
