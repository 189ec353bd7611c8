"""A script that is started by hand."""

from __future__ import annotations

import pytest

from modelyard import Run, errors
from modelyard.runs.offline import _OfflineRun


def test_outside_a_run_the_context_is_offline_and_the_same_each_time() -> None:
    run = Run.get_context()
    assert isinstance(run, _OfflineRun)
    assert run.id.startswith("OfflineRun_")
    assert Run.get_context() is run
    assert not hasattr(run, "experiment")


def test_without_offline_runs_it_says_how_to_submit() -> None:
    with pytest.raises(errors.RunEnvironmentException, match=r"experiment\.submit"):
        Run.get_context(allow_offline=False)


def test_what_would_be_logged_is_printed_in_v1s_words(capsys: pytest.CaptureFixture[str]) -> None:
    run = Run.get_context()
    run.log("a", 1)
    run.log_row("r", x=1)
    assert (
        capsys.readouterr().out
        == "Attempted to log scalar metric a:\n1\nAttempted to log row metric r:\n{'x': 1}\n"
    )


def test_a_value_that_a_run_would_refuse_is_refused_offline_too() -> None:
    with pytest.raises(errors.UserErrorException):
        Run.get_context().log("a", None)


def test_tags_and_children_work_in_memory() -> None:
    run = Run.get_context()
    run.tag("k")
    run.set_tags({"a": "b"})
    assert run.remove_tags("k") == {"a": "b"}
    with run.child_run() as child:
        child.log("x", 1)
    assert child.parent is run
    assert len(run.create_children(tag_key="n", tag_values=["1", "2"])) == 2


def test_an_offline_run_has_what_a_run_has() -> None:
    run = _OfflineRun()
    missing = {name for name in dir(Run) if not name.startswith("_") and not hasattr(run, name)}
    # The first is what v1's offline run lacks too, and what scripts test for; the others are asked of the class.
    assert missing == {"experiment", "add_type_provider", "get", "list", "list_by_compute"}


def test_what_only_a_yard_keeps_is_refused_with_the_way_to_submit() -> None:
    run = Run.get_context()
    for ask in (run.get_environment, run.get_snapshot_id, lambda: run.download_file("outputs/a")):
        with pytest.raises(errors.RunEnvironmentException, match=r"started by hand.*experiment\.submit"):
            ask()
