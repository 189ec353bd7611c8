"""The run of a script that was not submitted: one that only prints, or with MODELYARD_OFFLINE one that is kept."""

from __future__ import annotations

import os
import re
import sys
from typing import Any

from modelyard.runs import context
from modelyard.runs.offline import _OfflineRun

_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_\-]+")


def run(before: Any) -> Any:
    """`before`, what the last call answered, as long as it is what is asked for."""
    if not context.offline():
        return before if isinstance(before, _OfflineRun) else _OfflineRun()
    if before is None or isinstance(before, _OfflineRun):
        import modelyard  # the public names, since this module stands below Workspace and Experiment

        workspace = modelyard.Workspace.from_config()
        return modelyard.Experiment(workspace, experiment_name()).start_logging()
    return before


def experiment_name() -> str:
    """MODELYARD_EXPERIMENT, else the name of the script."""
    given = os.environ.get("MODELYARD_EXPERIMENT")
    if given:
        return given
    stem = os.path.splitext(os.path.basename(sys.argv[0] if sys.argv else ""))[0]
    return _NOT_IN_A_NAME.sub("-", stem).strip("-_")[:200] or "offline"
