"""Finding, creating and describing workspaces."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modelyard import ComputeTarget, Workspace, _local_yard, errors


@pytest.fixture(autouse=True)
def place(server: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    monkeypatch.setenv("MODELYARD_URL", server.url)
    monkeypatch.setenv("MODELYARD_TOKEN", server.owner_token)
    here = tmp_path / "a" / "b"
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    return here


def test_without_a_config_file_the_default_workspace_is_found() -> None:
    assert Workspace.from_config().name == "default"


def test_a_config_file_is_found_here_in_azureml_and_above(place: Path) -> None:
    made = Workspace.create("mine", subscription_id="s", resource_group="g", location="l", tags={"a": "b"})
    made.write_config(path=str(place.parent))
    assert json.loads((place.parent / ".azureml" / "config.json").read_text()) == {
        "subscription_id": "s", "resource_group": "g", "workspace_name": "mine",
    }  # fmt: skip
    found = Workspace.from_config()
    assert found == made
    assert (found.subscription_id, found.resource_group, found.location, found.tags) == (
        "s",
        "g",
        "l",
        {"a": "b"},
    )
    (place / "config.json").write_text('\ufeff{"workspace_name": "default"}', encoding="utf-8")
    assert Workspace.from_config().name == "default"
    assert Workspace.from_config(str(place.parent)).name == "mine"


def test_the_files_of_v1s_command_line_and_of_its_first_releases_are_read(place: Path) -> None:
    Workspace.create(name="attached", exist_ok=True)
    (place / "aml_config").mkdir()
    (place / "aml_config" / "config.json").write_text(
        json.dumps(
            {
                "Id": None,
                "Scope": "/subscriptions/s/resourceGroups/r/providers/Microsoft.MachineLearningServices/workspaces/attached",
            }
        )
    )
    assert Workspace.from_config().name == "attached"


def test_a_config_that_names_an_unknown_workspace_gives_the_line_that_creates_it(place: Path) -> None:
    (place / "config.json").write_text(
        '{"workspace_name": "gone", "subscription_id": "s", "resource_group": "g"}'
    )
    with pytest.raises(errors.WorkspaceException, match=r"Workspace\.create\(name='gone', .*exist_ok=True\)"):
        Workspace.from_config()


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"workspace_name": 3}'])
def test_a_config_that_can_not_be_used_is_named(place: Path, text: str) -> None:
    (place / "config.json").write_text(text)
    with pytest.raises(errors.UserErrorException, match=r"config\.json"):
        Workspace.from_config()


def test_a_path_without_a_config_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(errors.UserErrorException, match="write_config"):
        Workspace.from_config(str(tmp_path))


def test_workspaces_are_created_listed_described_and_deleted() -> None:
    made = Workspace.create("mine", subscription_id="s")
    with pytest.raises(errors.AzureMLException, match="mine"):
        Workspace.create("mine")
    assert Workspace.create("mine", exist_ok=True) == made
    assert Workspace.get("mine").id == made.id
    assert set(Workspace.list()) == {"default", "mine"}
    assert set(Workspace.list("s")) == {"mine"}
    details = made.get_details()
    assert (details["name"], details["sku"], details["provisioningState"]) == ("mine", "basic", "Succeeded")
    made.delete()
    with pytest.raises(errors.WorkspaceException, match="no workspace 'mine'"):
        Workspace.get("mine")


def test_the_only_compute_target_is_local() -> None:
    workspace = Workspace.get("default")
    assert list(workspace.compute_targets) == ["local"]
    assert ComputeTarget(workspace, "local").type == "Local"
    with pytest.raises(errors.ComputeTargetException, match=r"ComputeTargetNotFound.*cpu-cluster"):
        ComputeTarget(workspace, "cpu-cluster")
    with pytest.raises(NotImplementedError):
        ComputeTarget.create(workspace, "cpu-cluster", None)


def test_a_yard_that_can_not_be_started_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("MODELYARD_URL")
    monkeypatch.delenv("MODELYARD_TOKEN")
    monkeypatch.setenv("MODELYARD_HOME", str(tmp_path / "home"))
    broken = tmp_path / "python"
    broken.write_text(
        '#!/bin/sh\necho "error: Python package starlette is missing: pip install modelyard"; exit 1\n'
    )
    broken.chmod(0o755)
    monkeypatch.setattr(_local_yard.sys, "executable", str(broken))
    with pytest.raises(errors.YardUnavailable, match=r"pip install modelyard"):
        Workspace.from_config()


def test_mlflows_clients_of_this_process_find_the_workspace_and_the_token(
    monkeypatch: pytest.MonkeyPatch, server: Any
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "")
    monkeypatch.delenv("MLFLOW_TRACKING_TOKEN")
    workspace = Workspace.create("mine", subscription_id="s", resource_group="g", location="l")
    assert workspace.get_mlflow_tracking_uri() == f"{server.url}/mlflow/mine"
    assert os.environ["MLFLOW_TRACKING_TOKEN"] == server.owner_token


def test_an_address_with_the_token_leaves_the_environment_alone(
    monkeypatch: pytest.MonkeyPatch, server: Any
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "of another server")
    address = Workspace.from_config().get_mlflow_tracking_uri(_with_auth=True)
    assert address == server.url.replace("://", f"://token:{server.owner_token}@") + "/mlflow/default"
    Workspace.from_config().get_mlflow_tracking_uri()
    assert os.environ["MLFLOW_TRACKING_TOKEN"] == "of another server"
