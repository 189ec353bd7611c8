"""The states of a web service and what a node's report makes of them. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from modelyard.wire.endpoints import ServiceError, ServiceReport, ServiceState

_S = ServiceState

# A state may always follow itself: a new revision of a Transitioning service leaves it Transitioning.
NEXT: dict[ServiceState, frozenset[ServiceState]] = {
    _S.TRANSITIONING: frozenset({_S.HEALTHY, _S.UNHEALTHY, _S.FAILED, _S.STOPPED}),
    _S.HEALTHY: frozenset({_S.TRANSITIONING, _S.UNHEALTHY, _S.FAILED, _S.STOPPED}),
    _S.UNHEALTHY: frozenset({_S.TRANSITIONING, _S.HEALTHY, _S.FAILED, _S.STOPPED}),
    # A keeper that goes on trying may bring a failed service up without a new revision.
    _S.FAILED: frozenset({_S.TRANSITIONING, _S.HEALTHY, _S.UNHEALTHY, _S.STOPPED}),
    # `down --all` stops a service; its keeper comes back with the yard, and its first report may be of any state.
    _S.STOPPED: frozenset({_S.TRANSITIONING, _S.HEALTHY, _S.UNHEALTHY, _S.FAILED}),
}


def may_follow(now: ServiceState, then: ServiceState) -> bool:
    return now is then or then in NEXT[now]


@dataclass(frozen=True)
class Standing:
    """A service's state, why, which revision answers, and what is wrong with the one asked for."""

    state: ServiceState
    reason: str
    active_revision: int | None
    error: ServiceError | None


def standing(report: ServiceReport, active_revision: int | None) -> Standing:
    """How a service stands after the report on its newest revision.

    `active_revision` is the one known to answer until now. A revision that fails while an older one answers
    leaves the service Healthy, with the error of the new one beside it.
    """
    active = report.active_revision
    if active is None:
        active = report.revision if report.state is _S.HEALTHY else active_revision
    error = report.error
    if report.state is _S.HEALTHY and active == report.revision:
        return Standing(_S.HEALTHY, report.reason or f"Revision {active} answers.", active, None)
    older_answers = active is not None and active != report.revision
    if report.state is _S.FAILED and error is None:
        error = ServiceError(code="Crashed", message=report.reason or f"Revision {report.revision} failed.")
    if older_answers and error is not None and report.state in (_S.FAILED, _S.HEALTHY):
        why = error.line or error.message
        reason = f"Revision {report.revision} failed ({why}); revision {active} still answers."
        return Standing(_S.HEALTHY, reason, active, error)
    if older_answers and report.state is _S.HEALTHY:
        # The older one is well and the newer one has not said anything yet.
        return Standing(_S.TRANSITIONING, f"Revision {report.revision} is starting.", active, None)
    if report.state is _S.FAILED:
        active = None
    return Standing(report.state, report.reason or (error.message if error else ""), active, error)
