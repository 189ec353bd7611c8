"""Search and parameters through the SDK and the command line, against a server in this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from modelyard import Experiment, Run, Workspace, errors
from modelyard.cli.main import cli
from modelyard.runs.sending import sender


@pytest.fixture
def workspace(server: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Workspace]:
    monkeypatch.setenv("MODELYARD_URL", server.url)
    monkeypatch.setenv("MODELYARD_TOKEN", server.owner_token)
    monkeypatch.chdir(tmp_path)
    made = Workspace.get("default")
    yield made
    sender()._streams.clear()
    made._client.close()


@pytest.fixture
def runs(workspace: Workspace) -> list[Run]:
    """acc 0.0, 0.1 … 0.3, each after a better start."""
    experiment = Experiment(workspace, "search")
    made = []
    for number in range(4):
        with experiment.start_logging(outputs=False, snapshot_directory=None, run_id=f"r{number}") as run:
            run.log_params({"lr": 10.0**-number, "depth": number + 8})
            run.log("acc", 1.0, step=0)
            run.log("acc", number / 10, step=1)
            run.tag("team", "ab"[number % 2])
        made.append(run)
    return made


def listed(*options: str) -> list[list[str]]:
    done = CliRunner().invoke(cli, ["run", "list", *options], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return [line.split() for line in done.stdout.splitlines()]


def test_a_parameter_is_written_once(runs: list[Run]) -> None:
    run = runs[0]
    assert run.log_param("depth", 8) == 8
    assert run.params == {"lr": "1.0", "depth": "8"}
    with pytest.raises(errors.Conflict, match=r"'depth' of run 'r0' is '8'"):
        run.log_params({"new": 1, "depth": 9})
    assert "new" not in run.params


def test_runs_are_found_in_the_order_asked_for(workspace: Workspace, runs: list[Run]) -> None:
    found = workspace.search_runs("params.lr < 0.5 and tags.team != 'x'", order_by="metrics.acc DESC")
    assert [run.id for run in found] == ["r3", "r2", "r1"]
    assert [run.id for run in workspace.search_runs(order_by=["tags.team", "params.depth"])] == [
        "r0",
        "r2",
        "r1",
        "r3",
    ]
    assert [
        run.id for run in workspace.search_runs("metrics.acc.max = 1", experiments="search", limit=2)
    ] == ["r3", "r2"]
    assert workspace.count_runs("metrics.acc > 0.15") == 2
    with pytest.raises(errors.UserErrorException, match="at character 15"):
        list(workspace.search_runs("metrics.acc > > 1"))


def test_v1s_filters_find_the_same_runs(runs: list[Run]) -> None:
    experiment = runs[0].experiment
    assert [run.id for run in experiment.get_runs(tags={"team": "a"})] == ["r2", "r0"]
    assert [run.id for run in experiment.get_runs(status="Failed")] == []


def test_the_list_shows_the_columns_asked_for(runs: list[Run]) -> None:
    columns = "status,metrics.acc,metrics.acc.max,params.lr,nr"
    assert listed("--filter", "tags.team = 'a'", "--sort", "metrics.acc DESC", "--columns", columns) == [
        ["RUN", "STATUS", "metrics.acc", "metrics.acc.max", "params.lr", "NR"],
        ["r2", "Completed", "0.2", "1", "0.01", "3"],
        ["r0", "Completed", "0", "1", "1.0", "1"],
    ]
    assert [row[0] for row in listed("--tag", "team=b", "--sort", "params.depth, run_id")] == [
        "RUN",
        "r1",
        "r3",
    ]


def test_a_bad_filter_on_the_command_line_points_into_what_was_typed(runs: list[Run]) -> None:
    from modelyard.cli.failures import USAGE, explain

    done = CliRunner().invoke(cli, ["run", "list", "--filter", "stats = 'x'", "--tag", "a"])
    assert done.exception is not None
    message, code = explain(done.exception)  # type: ignore[arg-type]
    assert code == USAGE
    assert "at character 1" in message
    assert "Did you mean status?" in message
