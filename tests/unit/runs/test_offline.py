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


def test_the_methods_of_a_run_are_the_methods_of_an_offline_run() -> None:
    missing = {name for name in dir(Run) if not name.startswith("_") and not hasattr(_OfflineRun, name)}
    # What only a yard can do, or what v1's offline run lacks on purpose.
    assert missing <= {
        "add_type_provider", "clean", "description", "display_name", "download_file", "download_files", "experiment",
        "get", "get_all_logs", "get_detailed_status", "get_details_with_logs", "get_environment", "get_secret",
        "get_secrets", "get_snapshot_id", "get_submitted_run", "list", "list_by_compute", "parent", "restore_snapshot",
        "submit_child",
    }  # fmt: skip
