"""Which workspace of which yard a run belongs to: all that the functions of this package need to reach it."""

from __future__ import annotations

import os
import re
import time
from typing import Any, NamedTuple

from modelyard import errors
from modelyard._client import Client, path
from modelyard.wire.runs import run_id_stem

_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_\-]{0,254}\Z")


class Scope(NamedTuple):
    client: Client
    workspace: str

    def path(self, *parts: Any) -> str:
        """The address of something in this workspace."""
        return path("workspaces", self.workspace, *parts)

    def run_path(self, run_id: str, *parts: Any) -> str:
        return path("workspaces", self.workspace, "runs", run_id, *parts)


def new_run_id(experiment: str) -> str:
    """v1's shape, `<experiment>_<unix seconds>_<8 hex>`; chosen here, so that asking twice is harmless."""
    return f"{run_id_stem(experiment)}_{int(time.time())}_{os.urandom(4).hex()}"


def check_run_id(run_id: Any) -> str:
    """Raises UserErrorException for an id that can't be used in addresses and file names."""
    if not isinstance(run_id, str) or not _RUN_ID.match(run_id):
        raise errors.UserErrorException(
            f"{run_id!r} can't be a run id: use letters, digits, '-' and '_', at most 255, "
            "beginning with a letter or digit."
        )
    return run_id


def user_name() -> str:
    """Who runs this, as recorded with a run."""
    import getpass  # looks at the environment and the password database; needed once a submit

    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return f"uid {os.getuid()}" if hasattr(os, "getuid") else ""
