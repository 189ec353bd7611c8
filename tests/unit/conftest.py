"""Fixtures of the unit tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from small_yard import SmallYard, small_yard


@pytest.fixture(scope="session")
def _shared_yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallYard]:
    with small_yard(tmp_path_factory.mktemp("lower-yard")) as yard:
        yield yard


@pytest.fixture
def lower_yard(_shared_yard: SmallYard) -> SmallYard:
    """A yard of workspaces, artifacts and models only, on a real socket; empty but for the default workspace."""
    _shared_yard.reset()
    return _shared_yard
