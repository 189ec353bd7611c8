"""Following a run to its end: its build log, then its own log, as they grow."""

from __future__ import annotations

import codecs
import sys
from typing import Optional, TextIO

from modelyard import errors
from modelyard.runs import details
from modelyard.runs.scope import Scope
from modelyard.wire.runs import RunInfo, RunStatus

LOG = "user_logs/std_log.txt"
BUILD_LOG = "azureml-logs/20_image_build_log.txt"
_BUILD_WAIT_S = 0.3
_WAIT_S = 10.0
_BEFORE_START = frozenset(
    [RunStatus.NOT_STARTED, RunStatus.QUEUED, RunStatus.PREPARING, RunStatus.PROVISIONING]
)


def wait(
    scope: Scope, run_id: str, show_output: bool, portal_url: str, file: Optional[TextIO] = None
) -> RunInfo:
    """The run once it has ended. With `show_output` its logs go to `file` (standard output) as they come.

    A KeyboardInterrupt leaves the run going and says so.
    """
    out = file if file is not None else sys.stdout
    try:
        if show_output:
            return _Follower(scope, run_id, out).follow(portal_url)
        info = details.fetch(scope, run_id)
        while info.status not in details.FINAL:
            info = details.wait_for_change(scope, run_id, info.version, _WAIT_S)
        return info
    except KeyboardInterrupt:
        print("\n" + goes_on(run_id), file=sys.stderr)  # noqa: T201  # v1 says so too
        raise


def goes_on(run_id: str) -> str:
    """What a person is told who stops following: in a notebook as well as in a shell."""
    return (
        f"Stopped following; run {run_id} goes on. Follow it again with run.wait_for_completion(show_output=True) or "
        f"`modelyard run logs -f {run_id}`; end it with run.cancel() or `modelyard run cancel {run_id}`."
    )


class _Follower:
    """Prints one run's life."""

    def __init__(self, scope: Scope, run_id: str, out: TextIO) -> None:
        self._scope = scope
        self._run_id = run_id
        self._out = out
        self._info = details.fetch(scope, run_id)

    def follow(self, portal_url: str) -> RunInfo:
        self._print(f"RunId: {self._run_id}\nWeb View: {portal_url}\n")
        self._until_started()
        if self._info.spec is not None and self._info.status is not RunStatus.CANCELED:
            log = _Log(self._scope, self._run_id, LOG)
            while not log.is_complete and not (self._info.status in details.FINAL and log.is_drained):
                if not self._show(log, _WAIT_S):
                    self._look(0.2)
        while self._info.status not in details.FINAL:
            self._look(_WAIT_S)
        self._print(
            f"\nExecution Summary\n=================\nRunId: {self._run_id}\nWeb View: {portal_url}\n"
        )
        self._print(f"Status: {self._info.status.value}\n")
        return self._info

    def _until_started(self) -> None:
        """Show why it waits, and the build of its environment while there is one."""
        reason = ""
        build = _Log(self._scope, self._run_id, BUILD_LOG)
        while self._info.status in _BEFORE_START:
            if self._info.status_reason not in ("", reason):
                reason = self._info.status_reason
                self._print(f"{self._info.status.value}: {reason}\n")
            if self._info.status is RunStatus.PREPARING:
                if not self._show(build, _BUILD_WAIT_S):
                    self._look(_BUILD_WAIT_S)
            else:
                self._look(_WAIT_S)
        self._show(build, 0.0)

    def _look(self, wait_s: float) -> None:
        self._info = details.wait_for_change(self._scope, self._run_id, self._info.version, wait_s)

    def _show(self, log: _Log, wait_s: float) -> bool:
        """Print what is new; False when there was nothing."""
        is_new = log.offset == 0
        text = log.read(0.0 if self._info.status in details.FINAL else wait_s)
        if text and is_new:
            title = f"Streaming {log.name}"
            self._print(f"\n{title}\n{'=' * len(title)}\n\n")
        self._print(text)
        return bool(text)

    def _print(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()


class _Log:
    """A growing log, read from where the last reading ended."""

    def __init__(self, scope: Scope, run_id: str, name: str) -> None:
        self.name = name
        self.offset = 0
        self.is_complete = False
        self.is_drained = False  # the last reading gave nothing
        self._client = scope.client
        self._path = scope.run_path(run_id, "logs", name)
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode

    def read(self, wait_s: float) -> str:
        """What has come since; waits up to `wait_s` for it."""
        try:
            answer = self._client.raw(
                "GET",
                self._path,
                query={"offset": self.offset, "wait_s": wait_s},
                timeout_s=wait_s + 30,
            )
        except errors.NotFound:
            self.is_drained = True
            return ""
        self.is_drained = not answer.body
        self.offset = int(answer.headers.get("x-log-offset", self.offset + len(answer.body)))
        self.is_complete = answer.headers.get("x-log-complete") == "1" and not answer.body
        return self._decode(answer.body)


def failure(info: RunInfo) -> errors.ActivityFailedException:
    """Why a run failed: the user's failing line first, then the end of the traceback."""
    error = info.error
    if error is None:
        text = info.status_reason or "no reason was recorded"
        return errors.ActivityFailedException(f"Run {info.id} failed: {text}", error_details=text)
    head = f"Run {info.id} failed: {error.line or error.message}"
    parts = [head]
    if error.line and error.message and error.message not in error.line:
        parts.append(error.message)
    if error.traceback:
        parts.append(_tail(error.traceback))
    parts.append("The whole log: run.get_details_with_logs(), or `modelyard run logs " + info.id + "`.")
    return errors.ActivityFailedException(
        "\n".join(parts), error_details=error.traceback or error.message, code=error.code
    )


def _tail(traceback: str, most: int = 4000) -> str:
    return traceback if len(traceback) <= most else "…" + traceback[-most:]
