from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from whole_yard import WholeYard, open_yard


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[WholeYard]:
    opened = open_yard(tmp_path)
    yield opened
    opened.yard.close()
