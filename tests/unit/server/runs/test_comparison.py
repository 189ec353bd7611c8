"""Runs beside each other."""

from __future__ import annotations

import hashlib
import json
from functools import partial
from typing import Any

import pytest
from run_yard import RunYard, W

from modelyard.server.runs import comparison, inputs_store
from modelyard.server.runs.inputs_store import CONTEXT, Dataset
from modelyard.wire.runs import RunSpec


def started(yard: RunYard, run_id: str, files: dict[str, bytes], **given: Any) -> None:
    entries = [yard.keep(path, content).__dict__ for path, content in {"train.py": b"", **files}.items()]
    snapshot = yard.call("POST", f"{W}/snapshots", {"entries": entries})["id"]
    spec = {
        "script": "train.py",
        "arguments": given.pop("arguments", []),
        "snapshot_id": snapshot,
        "variables": given.pop("variables", {}),
    }
    made = yard.call("POST", f"{W}/runs", {"run_id": run_id, "experiment": "e", "spec": spec, **given})
    assert made["id"] == run_id, made


def logged(yard: RunYard, run_id: str, **metrics: list[Any]) -> None:
    lines = [
        {
            "k": "m",
            "n": name,
            "v": value,
            "t": step,
            "s": step,
            **({"f": 1} if isinstance(value, str) else {}),
        }
        for name, values in metrics.items()
        for step, value in enumerate(values)
    ]
    yard.journal(run_id, b"".join(json.dumps(line).encode() + b"\n" for line in lines))


def compare(yard: RunYard, *run_ids: str, **given: Any) -> Any:
    return yard.call("POST", f"{W}/runs/compare", {"run_ids": list(run_ids), **given})


def named(section: list[dict[str, Any]]) -> dict[str, Any]:
    return {one["name"]: one["values"] for one in section}


@pytest.fixture
def two(yard: RunYard) -> RunYard:
    same = {"data.bin": b"\0\1", "same.py": b"x = 1\n"}
    started(
        yard, "a", {**same, "train.py": b"lr = 1\nrun()\n", "old.py": b"old\n", "image.bin": b"\0a"},
        arguments=["--lr", "0.1", "--epochs=3", "-v", "in.csv"], tags={"team": "x", "kind": "k"}, variables={"V": "1"},
        properties={"azureml.git.commit": "c1", "azureml.git.dirty": "False"},
    )  # fmt: skip
    started(
        yard, "b", {**same, "train.py": b"lr = 2\nrun()", "new.py": b"new\n", "image.bin": b"\0b"},
        arguments=["--lr", "0.2", "--epochs=3", "in.csv"], tags={"team": "y", "kind": "k"}, variables={"V": "1"},
        properties={"azureml.git.commit": "c2", "azureml.git.dirty": "False"},
    )  # fmt: skip
    logged(yard, "a", loss=[3.0, 1.0], acc=[0.5, 0.9], only=[1.0])
    logged(yard, "b", loss=[3.0, 2.0], acc=[0.5, 0.95], nan=["NaN"])
    return yard


def test_what_differs_is_shown_and_what_is_equal_is_not(two: RunYard) -> None:
    found = compare(two, "a", "b")
    assert [run["id"] for run in found["runs"]] == ["a", "b"]
    assert named(found["arguments"]) == {
        "--lr": ["0.1", "0.2"],
        "-v": ["in.csv", None],
        "#1": [None, "in.csv"],
    }
    assert named(found["tags"]) == {"team": ["x", "y"]}
    assert named(found["git"]) == {"commit": ["c1", "c2"]}
    assert found["configuration"] == []
    everything = compare(two, "a", "b", all=True)
    assert named(everything["tags"]) == {"team": ["x", "y"], "kind": ["k", "k"]}
    assert [t["differs"] for t in everything["tags"]] == [True, False]
    assert named(everything["configuration"])["variables.V"] == ["1", "1"]


def test_the_best_last_value_is_marked(two: RunYard) -> None:
    metrics = {m["name"]: m for m in compare(two, "a", "b")["metrics"]}
    assert metrics["loss"] == {
        "name": "loss", "last": [1.0, 2.0], "min": [1.0, 2.0], "max": [3.0, 3.0], "lower_is_better": True, "best": [0],
    }  # fmt: skip
    assert (metrics["acc"]["lower_is_better"], metrics["acc"]["best"]) == (False, [1])
    assert (metrics["only"]["last"], metrics["only"]["best"]) == ([1.0, None], [])
    assert metrics["nan"]["last"] == [None, "NaN"]


def test_code_is_compared_file_by_file_and_line_by_line(two: RunYard) -> None:
    code = {f["path"]: f for f in compare(two, "a", "b")["code"]}
    assert set(code) == {"train.py", "old.py", "new.py", "image.bin"}
    assert code["train.py"]["diffs"] == [
        "--- a/train.py\n+++ b/train.py\n@@ -1,2 +1,2 @@\n-lr = 1\n-run()\n+lr = 2\n+run()\n\\ No newline at end of file\n"
    ]
    assert code["new.py"]["diffs"] == ["--- /dev/null\n+++ b/new.py\n@@ -0,0 +1 @@\n+new\n"]
    assert code["old.py"]["hashes"] == [hashlib.sha256(b"old\n").hexdigest(), None]
    assert (code["image.bin"]["diffs"], code["image.bin"]["not_shown"]) == ([], "not a text")


def test_one_file_can_be_asked_for_alone(two: RunYard) -> None:
    assert [f["path"] for f in compare(two, "a", "b", diff="train.py")["code"]] == ["train.py"]
    assert compare(two, "a", "b", diff="same.py")["code"][0]["diffs"] == [""]
    refused = compare(two, "a", "b", diff="trian.py")
    assert (refused.code, refused.detail) == (
        "no_such_file",
        "No snapshot of these runs has a file 'trian.py'. Did you mean 'train.py'?",
    )


def test_big_files_and_many_files_stay_within_bounds(yard: RunYard) -> None:
    big = b"line\n" * 60_000
    started(
        yard, "a", {"big.txt": big, "long.txt": b"x\n" * 6000, **{f"f{i:03}.py": b"a\n" for i in range(520)}}
    )
    started(yard, "b", {"big.txt": big + b"more\n", "long.txt": b"y\n" * 6000})
    found = compare(yard, "a", "b")
    assert (len(found["code"]), found["left_out"]) == (500, {"code": 22})
    reasons = {f["path"]: f["not_shown"] for f in found["code"]}
    assert reasons["big.txt"] == "over 256 KiB"
    assert sum(1 for f in found["code"] if f["diffs"]) == 200
    assert compare(yard, "a", "b", diff="long.txt")["code"][0]["not_shown"] == "over 5000 lines"


def test_many_runs_are_compared_and_more_are_refused(yard: RunYard) -> None:
    ids = [f"r{i}" for i in range(101)]
    for i, run_id in enumerate(ids):
        yard.start(run_id, tags={"n": str(i)})
    found = compare(yard, *ids[:100])
    assert len(found["runs"]) == 100
    assert named(found["tags"])["n"] == [str(i) for i in range(100)]
    for some in (ids, ids[:1], ["r0", "r0"], []):
        assert compare(yard, *some).code == "bad_run_count"
    assert compare(yard, "r0", "nowhere").code == "no_such_run"


def test_a_run_may_compare_what_is_its_own(yard: RunYard) -> None:
    token = yard.placed("top")
    yard.start("child", parent_id="top")
    yard.start("other")
    path, body = f"{W}/runs/compare", {"run_ids": ["top", "child"]}
    assert [r["id"] for r in yard.call("POST", path, body, token=token)["runs"]] == ["top", "child"]
    assert yard.call("POST", path, {"run_ids": ["top", "other"]}, token=token).code == "other_run"


def test_data_sets_are_compared_by_their_digests(two: RunYard) -> None:
    read = [
        Dataset("iris", digest, "local", "iris.csv", tags={CONTEXT: "training"}) for digest in ("d1", "d2")
    ]
    for run_id, one in zip(("a", "b"), read, strict=True):
        two.db.write(partial(inputs_store.add_datasets, run_id=run_id, given=[one]))
    assert named(compare(two, "a", "b")["data"]) == {"iris (training)": ["d1 iris.csv", "d2 iris.csv"]}


def test_packages_are_read_from_locks() -> None:
    lock = ["numpy==2.0", "Scikit_Learn==1.5", "mine @ file:///x", "# comment", "odd"]
    assert comparison.packages(lock) == {
        "mine": "file:///x",
        "numpy": "2.0",
        "odd": "?",
        "scikit-learn": "1.5",
    }


@pytest.mark.parametrize(
    ("arguments", "named_so"),
    [
        (["--a", "1", "--b=2", "--flag", "--c", "-0.5", "x"], {"--a": "1", "--b": "2", "--flag": "", "--c": "-0.5", "#1": "x"}),
        (["--x", "1", "--x", "2"], {"--x": "1 2"}),
        (["--empty="], {"--empty": ""}),
    ],
)  # fmt: skip
def test_arguments_go_by_their_names(arguments: list[str], named_so: dict[str, str]) -> None:
    assert comparison.arguments(RunSpec(script="t.py", arguments=arguments)) == {"script": "t.py", **named_so}


def test_long_texts_are_cut_with_their_hash() -> None:
    (one,) = comparison.differences([{"t": "a" * 5000}, {"t": "a" * 4999 + "b"}])
    assert one.values[0] != one.values[1]
    assert one.values[0].startswith("a" * 200 + "… (5000 characters, SHA-256 ")
