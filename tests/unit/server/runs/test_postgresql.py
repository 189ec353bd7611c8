"""The same SQL on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from run_yard import W, run_yard


def test_a_run_lives_logs_and_goes_on_postgresql(tmp_path: Path, service: Callable[[str], str]) -> None:
    with run_yard(tmp_path, database=service("postgresql")) as yard:
        token = yard.placed("r1")
        text = (
            b'{"k":"m","n":"a","v":1,"t":1,"s":0}\n{"k":"m","n":"a","v":"NaN","f":1,"t":2}\n'
            b'{"k":"l","n":"b","v":[1,"x"],"t":3}\n{"k":"s","n":"cpu","v":2.5,"t":4}\n'
        )
        for _ in range(2):
            assert yard.journal("r1", text, token=token)["offset"] == len(text)
        assert yard.metrics("r1") == {"a": [1.0, "NaN"], "b": [1, "x"]}
        assert yard.call("POST", f"{W}/runs/r1/logs/user_logs/a.txt?offset=0", content=b"hi") == {"offset": 2}
        yard.add_files(
            "r1", *(yard.keep(p, b"1") for p in ("outputs/B", "outputs/a/c", "outputs_", "user_logs/a.txt"))
        )
        assert yard.add_files("r1", yard.keep("outputs", b"1")).code == "file_exists"
        assert [e.path for e in yard.runs.files_under(yard.workspace_id, "r1", "outputs")] == [
            "outputs/B",
            "outputs/a/c",
        ]
        yard.start("c", parent_id="r1", tags={"k": "v"})
        assert [r["id"] for r in yard.call("GET", f"{W}/runs?tag=k%3Dv&limit=1")["items"]] == ["c"]
        page = yard.call("GET", f"{W}/runs?limit=1")
        assert len(yard.call("GET", f"{W}/runs?limit=1&after={page['next']}")["items"]) == 1
        assert yard.call("GET", f"{W}/runs/a%00b").code == "no_such_run"
        yard.report("r1", "Failed", token)
        assert yard.run("c")["status"] == "Failed"
        assert yard.call("DELETE", f"{W}/runs/r1") is None
        assert yard.call("GET", f"{W}/runs")["items"] == []


def test_a_lost_run_ends_on_postgresql(tmp_path: Path, service: Callable[[str], str]) -> None:
    with run_yard(tmp_path, database=service("postgresql")) as yard:
        yard.placed("r1")
        for status in ("NotResponding", "Failed"):
            yard.clock.advance(700)
            yard.lost_runs()
            assert yard.run("r1")["status"] == status


def test_a_run_that_was_kept_offline_is_told_on_postgresql(
    tmp_path: Path, service: Callable[[str], str]
) -> None:
    story = (
        b'{"at":1.5e9,"run_id":"r","create":{"run_id":"r","experiment":"e","started":true}}\n'
        b'{"at":1.5e9,"run_id":"c","create":{"run_id":"c","experiment":"e","started":true,"parent_id":"r"}}\n'
        b'{"at":1500000001.0,"run_id":"r","update":{"add_properties":{"a":"1"}}}\n'
        b'{"at":1500000002.0,"run_id":"r","update":{"add_properties":{"a":"2"}}}\n'
        b'{"at":1500000003.0,"run_id":"r","status":{"status":"Completed"}}\n'
    )
    with run_yard(tmp_path, database=service("postgresql")) as yard:
        for _ in range(2):
            taken = yard.call("POST", f"{W}/runs/r/told?source=s&offset=0", content=story)
            assert taken["offset"] == len(story)
        assert (yard.run("r")["properties"], len(yard.run("r")["warnings"])) == ({"a": "1"}, 1)
        assert (yard.run("c")["status"], yard.run("c")["ended_at"]) == ("Completed", 1500000003.0)
