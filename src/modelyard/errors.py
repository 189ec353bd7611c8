"""Everything this SDK raises, as one family. v1's names stand where v1 had them.

AzureMLException
├─ UserErrorException            you can mend this: a wrong argument, a missing file, a name that is taken
│  ├─ RunConfigurationException  a run configuration that does not fit
│  └─ NotYetAvailable            v1 has it, this version does not yet; also a NotImplementedError
├─ ServiceException              the yard answered with an error, or not at all
│  ├─ RequestRefused             it understood and said no (also a UserErrorException)
│  │  ├─ NotFound                the named thing does not exist
│  │  │  ├─ ExperimentNotFoundException, ModelNotFoundException
│  │  └─ Conflict                the named thing is in a state that refuses this
│  └─ YardUnavailable            nobody answered within the time we were ready to wait
├─ AuthenticationException       no token, a wrong one, or one that may not do this
├─ ActivityFailedException       a run (or other long work) that we waited for has failed
├─ RunEnvironmentException       asked for the current run outside of one
├─ ExperimentExecutionException  a run could not be submitted
├─ TrainingException
├─ ComputeTargetException
├─ WebserviceException
│  └─ ModelPathNotFoundException
├─ SnapshotException
├─ ProjectSystemException
├─ WorkspaceException
└─ DiscoveryUrlNotFoundException

Errors of the yard carry `.code` (stable, for programs), `.status` (HTTP) and `.extra`; every error has
`.message`, which says what happened, to which named thing, and what to do next.
"""

from __future__ import annotations

from typing import Any, Dict, Optional, Type


class AzureMLException(Exception):
    """The root of the family. `inner_exception` is v1's name for the cause."""

    def __init__(
        self,
        exception_message: str = "",
        inner_exception: Optional[BaseException] = None,
        code: str = "",
        status: Optional[int] = None,
        extra: Optional[Dict[str, Any]] = None,
    ) -> None:
        super().__init__(exception_message)
        self.message = exception_message
        self.inner_exception = inner_exception
        self.code = code
        self.status = status
        self.extra = extra or {}

    def __str__(self) -> str:
        return self.message


class UserErrorException(AzureMLException):
    pass


class RunConfigurationException(UserErrorException):
    pass


class NotYetAvailable(UserErrorException, NotImplementedError):
    pass


class ServiceException(AzureMLException):
    @property
    def status_code(self) -> Optional[int]:
        """v1's name for `status`."""
        return self.status


class RequestRefused(ServiceException, UserErrorException):
    pass


class NotFound(RequestRefused):
    pass


class ExperimentNotFoundException(NotFound):
    pass


class ModelNotFoundException(NotFound):
    pass


class Conflict(RequestRefused):
    pass


class YardUnavailable(ServiceException):
    pass


class AuthenticationException(AzureMLException):
    pass


class ActivityFailedException(AzureMLException):
    """`error_details` is the failed run's error as plain text, the user's traceback included."""

    def __init__(self, exception_message: str = "", error_details: str = "", **kwargs: Any) -> None:
        super().__init__(exception_message, **kwargs)
        self.error_details = error_details


class RunEnvironmentException(AzureMLException):
    pass


class ExperimentExecutionException(AzureMLException):
    pass


class TrainingException(AzureMLException):
    pass


class ComputeTargetException(AzureMLException):
    pass


class WebserviceException(AzureMLException):
    pass


class ModelPathNotFoundException(WebserviceException):
    pass


class SnapshotException(AzureMLException):
    pass


class ProjectSystemException(AzureMLException):
    pass


class WorkspaceException(AzureMLException):
    pass


class DiscoveryUrlNotFoundException(AzureMLException):
    pass


_BY_CODE: Dict[str, Type[AzureMLException]] = {
    "no_such_experiment": ExperimentNotFoundException,
    "no_such_model": ModelNotFoundException,
    "no_such_alias": ModelNotFoundException,
    "no_such_workspace": WorkspaceException,
    "workspace_exists": WorkspaceException,
    "no_such_compute": ComputeTargetException,
    "no_such_compute_target": ComputeTargetException,
}

_BY_STATUS: Dict[int, Type[AzureMLException]] = {
    401: AuthenticationException,
    403: AuthenticationException,
    404: NotFound,
    409: Conflict,
}


def from_problem(
    status: int, code: str, detail: str, extra: Optional[Dict[str, Any]] = None
) -> AzureMLException:
    """The exception for one problem+json answer of the yard."""
    kind = _BY_CODE.get(code) or _BY_STATUS.get(status)
    if kind is None:
        kind = RequestRefused if 400 <= status < 500 else ServiceException
    return kind(detail, code=code, status=status, extra=extra)
