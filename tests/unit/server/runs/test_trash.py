"""What is deleted lies in the trash, whole, and can come back; what is archived is out of the way."""

from __future__ import annotations

from typing import Any

import pytest
from run_yard import RunYard

from modelyard.server.kernel.errors import Conflict, NotFound

W = "/api/v1/workspaces/default"


def ended(yard: RunYard, run_id: str, experiment: str = "e", **given: Any) -> None:
    yard.start(run_id, experiment, **given)
    yard.report(run_id, "Completed")


def listed(yard: RunYard, view: str = "active") -> set[str]:
    return {r["id"] for r in yard.call("GET", f"{W}/runs?view={view}")["items"]}


def experiment(yard: RunYard, name: str) -> Any:
    return yard.call("GET", f"{W}/experiments/{name}")


def family(yard: RunYard) -> None:
    """p with c1 and c2; g below c1."""
    yard.start("p")
    for run_id, parent in (("c1", "p"), ("c2", "p"), ("g", "c1")):
        yard.start(run_id, parent_id=parent)
    yard.journal("g", b'{"k":"m","n":"a","v":1,"t":0}\n')
    yard.report("p", "Completed")


def test_a_deleted_run_is_out_of_every_list_and_count_and_comes_back_whole(yard: RunYard) -> None:
    family(yard)
    yard.runs.trash(yard.workspace_id, "p", "owner")
    assert listed(yard) == set()
    assert listed(yard, "trash") == {"p", "c1", "c2", "g"}
    assert experiment(yard, "e")["run_count"] == 0
    assert yard.run("p").code == "no_such_run"
    assert "modelyard trash restore p" in yard.run("p").detail
    assert "the run above it" in yard.run("g").detail
    yard.runs.restore(yard.workspace_id, "p")
    assert listed(yard) == {"p", "c1", "c2", "g"}
    assert experiment(yard, "e")["run_count"] == 4
    assert yard.run("p")["child_count"] == 2
    assert yard.metrics("g") == {"a": 1}


def test_what_was_deleted_before_its_parent_stays_in_the_trash_when_the_parent_comes_back(
    yard: RunYard,
) -> None:
    family(yard)
    yard.runs.trash(yard.workspace_id, "c1")
    assert yard.run("p")["child_count"] == 1
    yard.runs.trash(yard.workspace_id, "p")  # at the same moment by the clock
    with pytest.raises(Conflict, match="trash restore p"):
        yard.runs.restore(yard.workspace_id, "c2")
    with pytest.raises(Conflict, match="Restore it first"):
        yard.runs.restore(yard.workspace_id, "c1")
    yard.runs.restore(yard.workspace_id, "p")
    assert listed(yard) == {"p", "c2"}
    yard.runs.restore(yard.workspace_id, "c1")
    assert listed(yard) == {"p", "c1", "c2", "g"}
    assert yard.run("p")["child_count"] == 2
    assert experiment(yard, "e")["run_count"] == 4


def test_nothing_can_be_written_to_a_run_in_the_trash(yard: RunYard) -> None:
    ended(yard, "r")
    yard.runs.trash(yard.workspace_id, "r")
    file = yard.keep("a.txt", b"late")
    line = b'{"k":"m","n":"a","v":1,"t":0}\n'
    for answer in (
        yard.add_files("r", file),
        yard.journal("r", line),
        yard.call("POST", f"{W}/runs/r/logs/a.log?offset=0", content=b"late"),
        yard.call("PATCH", f"{W}/runs/r", {"set_tags": {"a": "b"}}),
        yard.call("DELETE", f"{W}/runs/r"),
    ):
        assert answer.code == "no_such_run"


def test_the_id_of_a_run_in_the_trash_is_taken(yard: RunYard) -> None:
    ended(yard, "r")
    yard.runs.trash(yard.workspace_id, "r")
    refused = yard.start("r")
    assert refused.code == "run_id_in_trash"
    assert "trash restore r" in refused.detail


def test_an_experiment_goes_with_its_runs_and_leaves_its_name_free(yard: RunYard) -> None:
    ended(yard, "r1", "iris")
    ended(yard, "r2", "iris")
    yard.runs.trash(yard.workspace_id, "r1")
    first = experiment(yard, "iris")["id"]
    assert yard.call("DELETE", f"{W}/experiments/iris?force=true") is None
    assert experiment(yard, "iris").code == "no_such_experiment"
    assert [e["id"] for e in yard.call("GET", f"{W}/experiments?view=trash")["items"]] == [first]
    with pytest.raises(Conflict, match="Restore it first"):
        yard.runs.restore(yard.workspace_id, "r1")
    ended(yard, "r3", "iris")
    with pytest.raises(Conflict, match="another experiment 'iris'"):
        yard.runs.experiments.restore(yard.workspace_id, first)
    back = yard.runs.experiments.restore(yard.workspace_id, first, "flowers")
    assert (back.name, back.run_count) == ("flowers", 1)
    assert yard.run("r2")["experiment"] == "flowers"
    assert listed(yard) == {"r2", "r3"}
    with pytest.raises(Conflict, match="not in the trash"):
        yard.runs.experiments.restore(yard.workspace_id, first)
    with pytest.raises(NotFound):
        yard.runs.experiments.restore(yard.workspace_id, "nobody")


def test_an_archived_run_takes_those_below_it_along_and_keeps_everything(yard: RunYard) -> None:
    family(yard)
    yard.call("PATCH", f"{W}/runs/c2", {"archived": True})
    assert [r["id"] for r in yard.call("GET", f"{W}/runs/p/children")["items"]] == ["c1"]
    yard.clock.advance(1)
    yard.call("PATCH", f"{W}/runs/p", {"archived": True})
    assert listed(yard) == set()
    assert listed(yard, "archived") == listed(yard, "all") == {"p", "c1", "c2", "g"}
    assert yard.metrics("g") == {"a": 1}
    assert len(yard.call("GET", f"{W}/runs/p/children")["items"]) == 2
    assert yard.call("PATCH", f"{W}/runs/p", {"archived": False})["archived_at"] is None
    assert listed(yard) == {"p", "c1", "g"}
    assert yard.call("GET", f"{W}/runs?view=x").code == "bad_view"
