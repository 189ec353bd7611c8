"""Waiting until the newest revision of a web service answers, or says why it can't."""

from __future__ import annotations

import sys
import time
from typing import Callable, Optional

from modelyard.errors import WebserviceException
from modelyard.wire.endpoints import EndpointInfo, ServiceState

_LOOK_S = 20.0
_LOG_TAIL_LINES = 30


def is_settled(info: EndpointInfo) -> bool:
    """True when waiting longer would change nothing: the newest revision answers, or has failed."""
    if info.state is ServiceState.HEALTHY:
        return info.active_revision == info.revision or info.error is not None
    if info.state is ServiceState.UNHEALTHY:
        return info.error is not None
    return info.state in (ServiceState.FAILED, ServiceState.STOPPED)


def answers(info: EndpointInfo) -> bool:
    """True when the newest revision answers requests."""
    return info.state is ServiceState.HEALTHY and info.active_revision == info.revision


def wait_until_settled(
    look: Callable[[int, float], EndpointInfo],
    logs: Callable[[int], str],
    show_output: bool,
    timeout_s: Optional[float],
) -> None:
    """Raises WebserviceException unless the newest revision answers; `look` is as in `settled`."""
    info = settled(look, show_output, timeout_s)
    if not answers(info):
        raise WebserviceException(failure(info, logs(_LOG_TAIL_LINES)), code="deployment_failed")
    if show_output:
        _show(f"Succeeded\n{info.compute_type} service {info.name!r} answers at {info.scoring_uri}")


def settled(
    look: Callable[[int, float], EndpointInfo], show_output: bool = False, timeout_s: Optional[float] = None
) -> EndpointInfo:
    """Wait until the newest revision answers or has failed. Raises WebserviceException when `timeout_s` is over.

    `look(version, wait_s)` answers once the version is above `version`, or after `wait_s`.
    """
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    shown = ""
    info = look(0, 0.0)
    while True:
        said = f"{info.state.value}: {info.state_reason}" if info.state_reason else info.state.value
        if show_output and said != shown:
            _show(said)
            shown = said
        if is_settled(info):
            return info
        left = _LOOK_S if deadline is None else min(_LOOK_S, deadline - time.monotonic())
        if left <= 0:
            raise WebserviceException(
                f"Web service {info.name!r} is still {info.state.value} after {timeout_s:g} s: "
                f"{info.state_reason}",
                code="deployment_timeout",
            )
        info = look(info.version, left)


def failure(info: EndpointInfo, log_tail: str) -> str:
    """Everything a person needs to mend it: what, where in their file, the traceback, the end of the log."""
    if info.active_revision is not None and info.active_revision != info.revision:
        asked, active = f"Revision {info.revision}", f"Revision {info.active_revision}"
        lines = [f"{asked} of web service {info.name!r} has failed. {active} still answers."]
    else:
        lines = [f"Web service {info.name!r} is {info.state.value}."]
    error = info.error
    if error is None:
        lines.append(info.state_reason)
    else:
        lines.append(f"{error.code}: {error.message}")
        if error.line and error.line not in error.message:
            lines.append(error.line)
        if error.traceback:
            lines.append(error.traceback.rstrip())
    tail = log_tail.strip()
    if tail and not (error and error.traceback and tail in error.traceback):
        lines += [
            "",
            f"The last lines of its log (get_logs() and `modelyard endpoint logs` have more):\n{tail}",
        ]
    return "\n".join(lines)


def _show(text: str) -> None:
    print(text)  # noqa: T201  # show_output asks for it
    sys.stdout.flush()
