"""What the fault tests share: a yard of their own with four slots, and its workspace."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def workspace(own_yard: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The workspace of a yard that only this test has."""
    own_yard.env["MODELYARD_SLOTS"] = "4"
    own_yard.up()
    monkeypatch.setenv("MODELYARD_HOME", str(own_yard.home))
    from modelyard import Workspace

    return Workspace.get("default")
