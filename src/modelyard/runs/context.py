"""The run we are in, as the environment tells it."""

from __future__ import annotations

import os
from typing import Mapping, NamedTuple, Optional

from modelyard._client import RUN_PATIENCE_S, Client
from modelyard.runs.scope import Scope


class Context(NamedTuple):
    """One script's own run. `journal_directory` is where its metrics go."""

    scope: Scope
    run_id: str
    experiment: str
    journal_directory: str


def current(environ: Mapping[str, str] = os.environ) -> Optional[Context]:
    """The context, or None outside a run. Speaks to nobody."""
    run_id = environ.get("AZUREML_RUN_ID", "")
    url = environ.get("AZUREML_SERVICE_ENDPOINT", "")
    token = environ.get("AZUREML_RUN_TOKEN", "")
    journal_directory = environ.get("MODELYARD_JOURNAL_DIR", "")
    if not (run_id and url and token and journal_directory) or run_id.startswith("OfflineRun"):
        return None
    return Context(
        Scope(
            Client(url, token, patience_s=RUN_PATIENCE_S),
            environ.get("AZUREML_ARM_WORKSPACE_NAME", "default"),
        ),
        run_id,
        environ.get("AZUREML_ARM_PROJECT_NAME", ""),
        journal_directory,
    )


def journal_directory(environ: Mapping[str, str] = os.environ) -> str:
    """Where a run host looks for journals; empty outside a run."""
    return environ.get("MODELYARD_JOURNAL_DIR", "") if environ.get("AZUREML_RUN_TOKEN") else ""
