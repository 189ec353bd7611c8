"""The run we are in, as the environment tells it."""

from __future__ import annotations

import os
from typing import Mapping, NamedTuple, Optional

from modelyard import errors
from modelyard._client import RUN_PATIENCE_S, Client, home_directory
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


ALWAYS, AUTO = "always", "auto"
_OFFLINE = {
    **dict.fromkeys(("", "0", "false", "no", "off"), ""),
    **dict.fromkeys(("1", "true", "yes", "on", ALWAYS), ALWAYS),
    AUTO: AUTO,
}


def offline(environ: Mapping[str, str] = os.environ) -> str:
    """Whether runs are kept on this machine's disk: ALWAYS, AUTO (when no yard answers), or empty for never."""
    given = environ.get("MODELYARD_OFFLINE", "").strip().lower()
    try:
        return _OFFLINE[given]
    except KeyError:
        raise errors.UserErrorException(
            f"MODELYARD_OFFLINE={given!r} is not understood: 1 keeps runs on disk, auto does when no yard answers, "
            "0 never. MODELYARD_OFFLINE_DIR names the directory."
        ) from None


def offline_directory(environ: Mapping[str, str] = os.environ) -> str:
    """Outside of projects, so that runs are not part of the next run's snapshot, and `modelyard sync` finds them."""
    return environ.get("MODELYARD_OFFLINE_DIR") or os.path.join(home_directory(environ), "offline")
