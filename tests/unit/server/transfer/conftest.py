from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import start_in_process
from workspace_files import fill, opened

from modelyard.workspace import Workspace


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A workspace with one of everything."""
    home = tmp_path_factory.mktemp("source")
    server = start_in_process(home)
    workspace = opened(server)
    fill(workspace, tmp_path_factory.mktemp("scratch"))
    yield workspace
    workspace._client.close()
    server.stop()


@pytest.fixture(scope="session")
def exported(source: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("exported") / "workspace.zip"
    source.export(str(file))
    return file
