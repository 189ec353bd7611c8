"""An upgrade of the schema whose process is killed in the middle is done again by the next start."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import Any

import pytest
from old_yard import make_old

_KILLED_AT = """
import os, signal, sys
import sqlalchemy as sa
from modelyard.server.kernel.db import Database
from modelyard.server.migrations import migrate
db, left = Database(sys.argv[1]), [int(sys.argv[2])]
def before(*_):
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
sa.event.listen(db.engine, "before_cursor_execute", before)
migrate(db)
"""


@pytest.mark.parametrize("statement", [5, 40, 70])
def test_a_yard_starts_on_a_database_whose_upgrade_was_killed(own_yard: Any, statement: int) -> None:
    own_yard.home.mkdir(parents=True, exist_ok=True)
    url = f"sqlite:///{own_yard.home / 'yard.db'}"
    make_old(url, own_yard.home)
    done = subprocess.run([sys.executable, "-c", _KILLED_AT, url, str(statement)], check=False)
    assert done.returncode == -signal.SIGKILL
    own_yard.up()
    listed = json.loads(own_yard.cli("run", "list", "--output", "json").stdout)
    assert [run["id"] for run in listed] == ["iris_3", "iris_2", "iris_1"]
