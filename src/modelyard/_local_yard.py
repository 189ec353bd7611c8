"""The yard of this machine, started when a program needs one and none runs."""

from __future__ import annotations

import os
import sys
from typing import Optional

from modelyard import errors
from modelyard._client import Client, connect, path
from modelyard.runs import context
from modelyard.wire.workspaces import WorkspaceList

_START_TIMEOUT_S = 60.0
_PROBE_S = 3.0  # how long a yard may take to answer before a run is kept offline


def connect_or_start() -> Client:
    """A client of the yard that `discover` finds; this machine's own is started first where it is not up.

    Never starts one inside a run or when MODELYARD_URL names a yard elsewhere. With MODELYARD_OFFLINE it may be a directory.
    """
    wanted = context.offline()
    if wanted and not os.environ.get("AZUREML_RUN_TOKEN"):
        return _offline_or_connect(wanted)
    is_ours = not (os.environ.get("AZUREML_RUN_TOKEN") or os.environ.get("MODELYARD_URL"))
    if not is_ours:
        return connect()
    try:
        client = connect()
        client.request("GET", path("workspaces"), kind=WorkspaceList, patience_s=0.5)
        return client
    except errors.YardUnavailable:
        _start()
    except errors.AuthenticationException as error:
        if error.code != "no_token":
            raise
        _start()
    return connect()


def offline_client(directory: Optional[str] = None, reason: str = "") -> Client:
    """What keeps runs in a directory of this machine."""
    from modelyard.runs.kept import KeptRuns  # most programs speak to a yard

    return KeptRuns(directory or context.offline_directory(), reason)


def _offline_or_connect(wanted: str) -> Client:
    if wanted == context.ALWAYS:
        return offline_client()
    try:
        client = connect()
        client.request("GET", path("workspaces"), kind=WorkspaceList, patience_s=_PROBE_S, timeout_s=_PROBE_S)
    except (errors.YardUnavailable, errors.AuthenticationException) as error:
        if isinstance(error, errors.AuthenticationException) and error.code != "no_token":
            raise
        kept = offline_client(reason=", as no yard answered")
        print(  # noqa: T201  # said once, where the user looks
            f"modelyard: no yard answers, so runs are kept in {context.offline_directory()}. "
            "`modelyard sync` sends them later.",
            file=sys.stderr,
        )
        return kept
    return client


def _start() -> None:
    import subprocess  # only the first program of the day starts a yard

    command = [sys.executable, "-m", "modelyard", "up", "--detach", "--free-port"]
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=_START_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise errors.YardUnavailable(
            f"No yard runs on this machine and none could be started ({error}). "
            "Try `modelyard up`, which shows more.",
            inner_exception=error,
            code="no_yard",
        ) from error
    if done.returncode != 0:
        said = done.stdout.decode("utf-8", "replace").strip()
        if "pip install modelyard" in said or sys.version_info < (3, 11):
            said = (
                f"{sys.executable} has the client only; a yard needs Python 3.11 or newer with `pip install "
                "modelyard`. Start one there, or set MODELYARD_URL and MODELYARD_TOKEN.\n" + said
            )
        raise errors.YardUnavailable(
            f"No yard runs on this machine and none could be started: {said[-2000:]}", code="no_yard"
        )
