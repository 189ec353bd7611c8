from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from run_yard import RunYard, run_yard

_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # real SQLite, without waiting for the disk


@pytest.fixture(scope="session")
def one_yard() -> Iterator[RunYard]:
    with tempfile.TemporaryDirectory(dir=_MEMORY) as home, run_yard(Path(home)) as made:
        yield made


@pytest.fixture
def yard(one_yard: RunYard) -> RunYard:
    one_yard.reset()
    return one_yard
