"""A run's life: which statuses exist, and which may follow which.

Pure data and pure functions, no I/O, so every rule can be tested by enumeration. The diagram in docs/concepts/runs.md
is drawn from NEXT.

    NotStarted ─► Running                                        interactive and child runs
    Queued ─► Preparing ─► Starting ─► Running ─► Finalizing ─► Completed | Failed | Canceled
    any of the middle ones ◄─► NotResponding                     its run host went silent; it may come back
    an interactive run, over or not ─► NotStarted | Running      its client goes on with it, as MLflow's do
"""

from __future__ import annotations

from modelyard.wire.runs import RunStatus

_S = RunStatus

# Statuses in which a run is in somebody's hands, from the first to the last.
ACTIVE = (_S.PREPARING, _S.PROVISIONING, _S.STARTING, _S.RUNNING, _S.FINALIZING)
_STOP = frozenset({_S.CANCEL_REQUESTED, _S.CANCELED, _S.FAILED, _S.NOT_RESPONDING})

NEXT: dict[RunStatus, frozenset[RunStatus]] = {
    _S.NOT_STARTED: frozenset({_S.STARTING, _S.RUNNING, _S.COMPLETED, _S.FAILED, _S.CANCELED}),
    _S.QUEUED: frozenset({_S.PREPARING, _S.FAILED, _S.CANCELED}),
    _S.PREPARING: frozenset({_S.PROVISIONING, _S.STARTING, _S.FINALIZING}) | _STOP,
    _S.PROVISIONING: frozenset({_S.PREPARING, _S.STARTING, _S.FINALIZING}) | _STOP,
    _S.STARTING: frozenset({_S.RUNNING, _S.FINALIZING}) | _STOP,
    _S.RUNNING: frozenset({_S.FINALIZING, _S.COMPLETED}) | _STOP,  # COMPLETED: run.complete(), no run host
    _S.FINALIZING: frozenset({_S.COMPLETED, _S.FAILED, _S.CANCELED, _S.NOT_RESPONDING}),
    _S.NOT_RESPONDING: frozenset({*ACTIVE, _S.CANCEL_REQUESTED, _S.COMPLETED, _S.FAILED, _S.CANCELED}),
    _S.CANCEL_REQUESTED: frozenset({_S.FINALIZING, _S.COMPLETED, _S.FAILED, _S.CANCELED}),
    _S.COMPLETED: frozenset(),
    _S.FAILED: frozenset(),
    _S.CANCELED: frozenset(),
}
FINAL = frozenset(status for status, after in NEXT.items() if not after)

# What an interactive run may be again when its client goes on with it, even after its end.
REOPENED = frozenset({_S.NOT_STARTED, _S.RUNNING})

# What the one who runs a run may say of it; the rest is the yard's own to say.
REPORTABLE = frozenset({*ACTIVE, *FINAL})


# The same in the words of MLflow's clients, which know fewer.
MLFLOW: dict[str, str] = {
    status.value: word
    for word, statuses in {
        "SCHEDULED": (_S.NOT_STARTED, _S.QUEUED, _S.PREPARING, _S.PROVISIONING, _S.STARTING),
        "RUNNING": (_S.RUNNING, _S.NOT_RESPONDING, _S.FINALIZING, _S.CANCEL_REQUESTED),
        "FINISHED": (_S.COMPLETED,),
        "FAILED": (_S.FAILED,),
        "KILLED": (_S.CANCELED,),
    }.items()
    for status in statuses
}


class IllegalTransition(ValueError):
    """`then` may not follow `now`; the API answers 409 `run_transition_refused`."""


def check(now: RunStatus, then: RunStatus) -> None:
    """Raise IllegalTransition unless `then` may follow `now`; staying put is allowed."""
    if then is not now and then not in NEXT[now]:
        raise IllegalTransition(f"{now.value} -> {then.value}")


def check_reopening(now: RunStatus, then: RunStatus) -> None:
    """Raise IllegalTransition unless an interactive run in status `now` may go on as `then`."""
    if then not in REOPENED:
        raise IllegalTransition(f"{now.value} -> {then.value}")


def is_stale(now: RunStatus, then: RunStatus) -> bool:
    """Whether `then` is old news: a status on the way to what the run is by now, or passed while a cancel was asked for.

    Such a report changes nothing and is no fault of the teller: it repeats itself, or has not heard of the cancel.
    """
    if then not in ACTIVE:
        return False
    if now is _S.CANCEL_REQUESTED:
        return then is not _S.FINALIZING
    return now in ACTIVE and ACTIVE.index(then) < ACTIVE.index(now)
