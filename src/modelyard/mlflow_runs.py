"""Runs of MLflow's client and runs of this SDK are the same runs: from the one to the other."""

from __future__ import annotations

import os
import sys
import urllib.parse
from typing import Any, Dict, Optional

from modelyard import errors
from modelyard.workspace import DEFAULT_WORKSPACE, Workspace


def get_portal_url(run: Any) -> str:
    """Where a person finds this run of MLflow's client."""
    return str(_of(run).get_portal_url())


def register_model(
    run: Any, name: str, path: str, tags: Optional[Dict[str, str]] = None, **kwargs: Any
) -> Any:
    """Register what the run logged at `path`, such as `model`, as a new version of a model; answers the Model.

    Other arguments are those of Run.register_model: properties, model_framework, description, …
    """
    return _of(run).register_model(name, path, tags=tags, **kwargs)


def _of(run: Any) -> Any:
    """The run of this SDK. Raises UserErrorException for what is no run, NotFound."""
    if hasattr(run, "_scope"):
        return run
    run_id = getattr(getattr(run, "info", None), "run_id", None)
    if not run_id:
        raise errors.UserErrorException(
            f"A run of MLflow's client is needed, as mlflow.start_run() and mlflow.get_run(id) give, not a "
            f"{type(run).__name__}."
        )
    return Workspace.get(_workspace_name()).get_run(run_id)


def _workspace_name() -> str:
    """The workspace whose runs MLflow's client tracks: its address ends in /mlflow/<workspace>."""
    client = sys.modules.get("mlflow")
    address = (
        str(client.get_tracking_uri()) if client is not None else os.environ.get("MLFLOW_TRACKING_URI", "")
    )
    _, found, name = urllib.parse.urlsplit(address).path.rpartition("/mlflow/")
    return urllib.parse.unquote(name.strip("/")) if found else DEFAULT_WORKSPACE
