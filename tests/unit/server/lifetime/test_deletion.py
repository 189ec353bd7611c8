"""Deleting for good: told before, done once whatever happens, and written down."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from whole_yard import W, WholeYard, emptied, open_yard

from modelyard.server.kernel.reconcile import Round
from modelyard.server.lifetime import reconcile
from modelyard.server.lifetime.reconcile import Upkeep
from modelyard.wire.artifacts import FileEntry, FilesAdd

LARGE = b"x" * 1_500_000


def test_what_goes_for_good_is_previewed_and_written_down(yard: WholeYard) -> None:
    own, shared = yard.keep(LARGE, "own.bin"), yard.keep(b"shared", "shared.txt")
    yard.run("r1", own, shared)
    yard.run("r2", shared)
    preview = yard.call("POST", f"{W}/trash/preview", {"ids": ["r1"]})
    assert (preview["runs"], preview["files"], preview["size_bytes"]) == (1, 2, 1_500_006)
    assert (preview["freed_blobs"], preview["freed_bytes"]) == (1, 1_500_000)
    assert yard.call("POST", f"{W}/trash/empty", {"ids": ["r1"]})["code"] == "not_in_trash"
    yard.call("DELETE", f"{W}/runs/r1")
    receipt = yard.purge("r1")
    assert receipt["finished_at"] is not None
    assert (receipt["runs"], receipt["files"], receipt["freed_bytes"]) == (1, 2, 1_500_000)
    assert receipt["actor"] == "owner"
    assert not yard.holds(own)
    assert yard.holds(shared)
    items = yard.call("GET", f"{W}/receipts/{receipt['id']}/items")["items"]
    assert items[0]["id"] == "r1"
    assert {f["hash"] for f in items[0]["files"]} == {own["hash"], shared["hash"]}
    assert items[1] == {"kind": "blob", "hash": own["hash"], "size": 1_500_000}
    assert yard.call("GET", f"{W}/runs/r1")["code"] == "no_such_run"
    assert yard.call("POST", f"{W}/trash/restore", {"id": "r1"})["code"] == "no_such_thing"
    yard.run("r1")  # its id is free again
    assert [r["id"] for r in yard.call("GET", f"{W}/receipts")["items"]] == [receipt["id"]]


def test_an_experiment_goes_with_every_run_it_ever_had(yard: WholeYard) -> None:
    yard.run("r1", yard.keep(LARGE), experiment="iris")
    yard.run("r2", experiment="iris")
    yard.run("r3", experiment="other")
    yard.call("DELETE", f"{W}/runs/r1")
    experiment = yard.call("GET", f"{W}/experiments/iris")["id"]
    yard.call("DELETE", f"{W}/experiments/iris?force=true")
    assert {i["id"]: i["runs"] for i in yard.call("GET", f"{W}/trash")["items"]} == {"r1": 1, experiment: 1}
    receipt = yard.purge(experiment)
    assert (receipt["runs"], receipt["experiments"], receipt["freed_blobs"]) == (2, 1, 1)
    assert yard.call("GET", f"{W}/trash")["items"] == []
    assert yard.ids() == {"r3"}
    assert yard.call("POST", f"{W}/trash/empty", {})["code"] == "trash_is_empty"


def test_a_model_keeps_what_its_run_has_left(yard: WholeYard) -> None:
    file = yard.keep(LARGE, "outputs/m.bin")
    yard.run("r1", file)
    body = {"name": "m", "run_id": "r1", "run_path": "outputs/m.bin", "request_id": "1"}
    assert yard.call("POST", f"{W}/models", body)["version"] == 1
    preview = yard.call("POST", f"{W}/trash/preview", {"ids": ["r1"]})
    assert (preview["kept_models"], preview["freed_bytes"]) == (["m:1"], 0)
    yard.call("DELETE", f"{W}/runs/r1")
    assert yard.purge("r1")["freed_bytes"] == 0
    assert yard.holds(file)
    yard.call("DELETE", f"{W}/models/m/versions/1")
    assert yard.call("GET", f"{W}/models/m/versions/1")["code"] == "no_such_model"
    assert yard.call("POST", f"{W}/trash/restore", {"id": "m:1"})["kind"] == "model"
    yard.call("DELETE", f"{W}/models/m/versions/1")
    receipt = yard.purge("m:1")
    assert (receipt["models"], receipt["freed_bytes"]) == (1, 1_500_000)
    assert not yard.holds(file)


def test_a_purge_that_is_killed_anywhere_goes_on_and_counts_once(
    yard: WholeYard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "_PORTION", 2)
    files = [yard.keep(LARGE + bytes([n])) for n in range(5)]
    for n, file in enumerate(files):
        yard.run(f"r{n}", file)
        yard.call("DELETE", f"{W}/runs/r{n}")
    begun = yard.call("POST", f"{W}/trash/empty", {})["id"]
    yard.clock.advance(1)

    class Killed(BaseException):
        pass

    left = [0]
    write = yard.yard.db.write

    def write_or_die(work: Callable[..., object]) -> object:
        if left[0] == 0:
            raise Killed
        left[0] -= 1
        return write(work)

    for steps in range(1, 40):
        left[0] = steps
        with monkeypatch.context() as patch:
            patch.setattr(yard.yard.db, "write", write_or_die)
            try:
                yard.round()
            except Killed:
                assert yard.call("GET", f"{W}/receipts/{begun}")["finished_at"] is None
        yard.clock.advance(3600)  # the lease of the dead runs out
        if yard.call("GET", f"{W}/receipts/{begun}")["finished_at"] is not None:
            break
        for run_id in yard.ids("?view=trash"):
            assert yard.call("POST", f"{W}/trash/restore", {"id": run_id})["code"] == "deleted_for_good"
    receipt = yard.call("GET", f"{W}/receipts/{begun}")
    assert (receipt["runs"], receipt["files"], receipt["freed_blobs"]) == (5, 5, 5)
    assert receipt["freed_bytes"] == 5 * (len(LARGE) + 1)
    assert not any(yard.holds(f) for f in files)
    items = yard.call("GET", f"{W}/receipts/{begun}/items")["items"]
    assert sorted(i["id"] for i in items if i["kind"] == "run") == [f"r{n}" for n in range(5)]


def test_what_is_not_over_is_refused_with_names(yard: WholeYard) -> None:
    yard.call("POST", f"{W}/runs", {"run_id": "r1", "experiment": "e", "started": True})
    assert "'r1' is not over" in yard.call("POST", f"{W}/trash/preview", {"ids": ["r1"]})["refused"][0]
    assert yard.call("DELETE", f"{W}/runs/r1")["code"] == "run_is_active"
    assert yard.call("POST", f"{W}/trash/preview", {"ids": ["nothing"]})["code"] == "no_such_thing"
    file = yard.keep(b"m", "m.bin")
    yard.call("POST", f"{W}/models", {"name": "m", "entries": [file], "request_id": "1"})
    refused = yard.call("POST", f"{W}/trash/restore", {"id": "m:1", "name": "other"})
    assert refused["code"] == "bad_name"


def test_the_trash_is_emptied_after_its_days_and_garbage_collected_daily(yard: WholeYard) -> None:
    loose = yard.keep(LARGE)
    yard.run("old", experiment="e")
    yard.call("DELETE", f"{W}/runs/old")
    yard.clock.advance(29 * 86_400)
    yard.run("new")
    yard.call("DELETE", f"{W}/runs/new")
    yard.clock.advance(86_401)
    whole = yard.yard
    reconciler = Upkeep(yard.clock, whole.lifetime, whole.retention, 30, whole.workspaces.ids)
    upkeep = Round(whole.db, yard.clock, reconciler)
    upkeep()
    assert yard.call("GET", f"{W}/receipts")["items"] == []  # it has only just started
    yard.clock.advance(700)
    for _ in range(3):
        upkeep()
        yard.round()
    receipts = yard.call("GET", f"{W}/receipts")["items"]
    assert {r["kind"]: r["actor"] for r in receipts} == {"deletion": "the yard", "garbage": "the yard"}
    assert yard.ids("?view=trash") == {"new"}
    assert not yard.holds(loose)


def test_garbage_is_collected_when_asked_for(yard: WholeYard) -> None:
    loose = yard.keep(LARGE)
    assert yard.call("GET", "/api/v1/garbage?grace_s=0") == {"blobs": 1, "size_bytes": 1_500_000, "trees": 0}
    assert yard.call("GET", "/api/v1/garbage")["blobs"] == 0
    assert yard.call("POST", "/api/v1/garbage", {"grace_s": -1})["code"] == "bad_grace"
    begun = yard.call("POST", "/api/v1/garbage", {"grace_s": 0})
    yard.clock.advance(1)
    yard.round()
    assert yard.call("GET", f"{W}/receipts/{begun['id']}")["freed_bytes"] == 1_500_000
    assert not yard.holds(loose)


def test_it_is_the_same_on_postgresql(tmp_path: Path, service: Callable[[str], str]) -> None:
    yard = open_yard(tmp_path, database=emptied(service("postgresql")))
    file = yard.keep(LARGE)
    yard.run("r1", file)
    yard.run("c1", parent_id=None, experiment="other")
    yard.call("DELETE", f"{W}/runs/r1")
    other = yard.call("GET", f"{W}/experiments/other")["id"]
    yard.call("DELETE", f"{W}/experiments/other?force=true")
    assert {i["kind"] for i in yard.call("GET", f"{W}/trash")["items"]} == {"run", "experiment"}
    assert yard.call("POST", f"{W}/trash/restore", {"id": other})["runs"] == 1
    assert yard.call("POST", f"{W}/trash/preview", {})["freed_bytes"] == 1_500_000
    assert yard.purge()["freed_bytes"] == 1_500_000
    assert not yard.holds(file)
    assert yard.ids() == {"c1"}
    yard.yard.close()


def test_models_that_a_run_logged_go_with_it_and_deleted_ones_with_the_trash(yard: WholeYard) -> None:
    files = [yard.keep(LARGE + bytes([n]), "model.pkl") for n in range(2)]
    workspace_id = yard.yard.workspaces.id_of("default")
    yard.run("r1")
    experiment = yard.call("GET", f"{W}/experiments/e")["id"]
    logged = yard.yard.runs.logged_models
    models = [logged.create(workspace_id, experiment, "m", "", run, {}, {}, "owner").id for run in ("r1", "")]
    for model_id, file in zip(models, files, strict=True):
        logged.add_files(workspace_id, model_id, FilesAdd([FileEntry(**file)], overwrite=True))
    yard.call("DELETE", f"{W}/runs/r1")
    receipt = yard.purge("r1")
    assert (receipt["files"], receipt["freed_blobs"]) == (1, 1)
    assert yard.call("POST", f"{W}/trash/empty", {})["code"] == "trash_is_empty"
    logged.delete(workspace_id, models[1], "owner")
    receipt = yard.purge()
    assert (receipt["files"], receipt["freed_blobs"]) == (1, 1)
    assert not any(yard.holds(file) for file in files)
