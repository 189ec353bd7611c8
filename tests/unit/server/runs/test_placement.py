from __future__ import annotations

from run_yard import RunYard, W


def ids(work: dict[str, list[dict[str, str]]]) -> list[str]:
    return [start["run_id"] for start in work["starts"]]


def test_runs_are_given_in_the_order_they_came_up_to_the_free_slots(yard: RunYard) -> None:
    for number in range(5):
        yard.submit(f"r{number}")
        yard.clock.advance(1)
    assert ids(yard.poll(slots=2)) == ["r0", "r1"]
    assert ids(yard.poll(["r0", "r1"], slots=2)) == []
    yard.report("r0", "Failed")
    assert ids(yard.poll(["r1"], slots=2)) == ["r2"]


def test_an_assignment_carries_what_the_node_needs(yard: RunYard) -> None:
    yard.submit("r1")
    start = yard.poll()["starts"][0]
    assert (start["workspace"], start["experiment"], start["spec"]["command"]) == (
        "default",
        "e",
        ["python", "train.py"],
    )
    assert start["environment"]["python"]["user_managed"] is True
    run = yard.run("r1")
    assert (run["status"], run["node"]) == ("Preparing", "local")
    assert yard.call("GET", f"{W}/runs/r1", token=start["token"])["id"] == "r1"


def test_a_node_that_never_got_an_assignment_gets_it_again_and_the_old_token_is_dead(yard: RunYard) -> None:
    yard.submit("r1")
    old = yard.poll()["starts"][0]["token"]
    assert ids(yard.poll()) == []  # it may be on its way
    yard.clock.advance(3)
    new = yard.poll()["starts"][0]["token"]
    assert yard.report("r1", "Starting", old).code == "unknown_token"
    assert yard.report("r1", "Starting", new)["status"] == "Starting"


def test_a_cancel_reaches_the_node_that_runs_the_run(yard: RunYard) -> None:
    yard.placed("r1")
    yard.call("POST", f"{W}/runs/r1/cancel")
    assert yard.poll(["r1"])["cancel"] == ["r1"]


def test_a_node_is_told_to_forget_what_is_not_its_own(yard: RunYard) -> None:
    token = yard.placed("r1")
    yard.report("r1", "Completed", token)
    assert yard.poll(["r1", "never-was"])["forget"] == ["never-was"]
    yard.clock.advance(10)
    assert yard.poll(["r1"])["forget"] == ["r1"]


def test_a_run_that_is_prepared_lives_by_its_node_s_polls(yard: RunYard) -> None:
    yard.placed("r1", "Preparing")
    for _ in range(5):
        yard.clock.advance(20)
        yard.poll(["r1"])
        yard.lost_runs()
    assert yard.run("r1")["status"] == "Preparing"


def test_a_silent_run_is_not_responding_then_failed(yard: RunYard) -> None:
    token = yard.placed("r1")
    yard.clock.advance(29)
    yard.lost_runs()
    assert yard.run("r1")["status"] == "Running"
    yard.clock.advance(2)
    yard.lost_runs()
    silent = yard.run("r1")
    assert (silent["status"], "'local'" in silent["status_reason"]) == ("NotResponding", True)
    yard.clock.advance(601)
    yard.lost_runs()
    lost = yard.run("r1")
    assert (lost["status"], lost["error"]["code"]) == ("Failed", "LostRunHost")
    assert yard.report("r1", "Completed", token).code == "run_is_final"


def test_a_run_that_speaks_again_is_back_where_it_was(yard: RunYard) -> None:
    token = yard.placed("r1")
    yard.clock.advance(100)
    yard.lost_runs()
    beat = yard.call("POST", f"{W}/runs/r1/heartbeat", {"pid": 1}, token=token)
    assert beat == {"cancel_requested": False, "status": "Running"}
    yard.clock.advance(20)
    yard.lost_runs()
    assert yard.run("r1")["status"] == "Running"


def test_heartbeats_keep_a_run_alive(yard: RunYard) -> None:
    yard.start("r1")
    for _ in range(20):
        yard.clock.advance(5)
        yard.call("POST", f"{W}/runs/r1/heartbeat", {"pid": 1})
        yard.lost_runs()
    assert yard.run("r1")["status"] == "Running"


def test_an_interactive_run_whose_process_is_gone_fails_and_its_children_with_it(yard: RunYard) -> None:
    yard.start("p")
    yard.start("c", parent_id="p")
    for seconds in (31, 631):
        yard.clock.advance(seconds)
        yard.lost_runs()
    assert [yard.run(r)["status"] for r in "pc"] == ["Failed", "Failed"]


def test_a_cancel_that_nobody_carries_out_ends_as_canceled(yard: RunYard) -> None:
    yard.placed("r1")
    yard.call("POST", f"{W}/runs/r1/cancel")
    yard.clock.advance(100)
    yard.lost_runs()
    assert yard.run("r1")["status"] == "CancelRequested"
    yard.clock.advance(600)
    yard.lost_runs()
    assert yard.run("r1")["status"] == "Canceled"


def test_leases_that_ran_out_while_the_yard_was_down_get_time_to_speak(yard: RunYard) -> None:
    from modelyard.server.runs.reconcile import LostRuns

    token = yard.placed("r1")
    yard.clock.advance(5000)
    yard.runs.started_at = yard.clock.now()  # the yard starts again
    lost = LostRuns(yard.runs)
    with yard.db.read() as tx:
        assert list(lost.due(tx, yard.clock.now() + 1)) == []
        assert list(lost.due(tx, yard.clock.now() + 31)) == ["r1"]
    yard.call("POST", f"{W}/runs/r1/heartbeat", {"pid": 1}, token=token)
    with yard.db.read() as tx:
        assert list(lost.due(tx, yard.clock.now() + 29)) == []


def test_queued_runs_and_busy_slots_are_counted(yard: RunYard) -> None:
    for number in range(3):
        yard.submit(f"r{number}")
    yard.poll(slots=2)
    target = yard.call("GET", f"{W}/computes/local")
    assert (target["slots_busy"], target["queued"], target["slots"]) == (2, 1, 2)
