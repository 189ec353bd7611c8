"""Compute targets: where runs are executed. This version has `local`, the machine of the yard."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

from modelyard import errors
from modelyard.wire.compute import ComputeTargetInfo, ComputeTargetList

_LATER = (
    "Clusters and attached machines are not there yet. Runs go to 'local', the machine of the yard: "
    "ComputeTarget(workspace, 'local')."
)


class ComputeTarget:
    """A compute target of a workspace by name. Raises ComputeTargetException when there is none of that name."""

    def __new__(cls, workspace: Any, name: str) -> ComputeTarget:
        if cls is ComputeTarget:
            return super().__new__(LocalTarget)
        return super().__new__(cls)

    def __init__(self, workspace: Any, name: str, _info: Optional[ComputeTargetInfo] = None) -> None:
        self.workspace = workspace
        self.name = name
        self._info = _info or self._fetch()

    def _fetch(self) -> ComputeTargetInfo:
        try:
            info: ComputeTargetInfo = self.workspace._client.request(
                "GET", self.workspace._path("computes", self.name), kind=ComputeTargetInfo
            )
        except errors.AzureMLException as error:
            if error.status != 404:
                raise
            raise errors.ComputeTargetException(
                f"ComputeTargetNotFound: workspace {self.workspace.name!r} has no compute target {self.name!r}. {_LATER}",
                code=error.code,
                status=404,
            ) from None
        return info

    @staticmethod
    def list(workspace: Any) -> List[ComputeTarget]:
        found: ComputeTargetList = workspace._client.request(
            "GET", workspace._path("computes"), kind=ComputeTargetList
        )
        return [_of(workspace, info) for info in found.items]

    @staticmethod
    def create(workspace: Any, name: str, provisioning_configuration: Any) -> ComputeTarget:
        raise errors.NotYetAvailable(_LATER)

    @staticmethod
    def attach(workspace: Any, name: str, attach_configuration: Any) -> ComputeTarget:
        raise errors.NotYetAvailable(_LATER)

    @property
    def type(self) -> str:
        return self._info.type

    @property
    def description(self) -> str:
        return self._info.description

    @property
    def provisioning_state(self) -> str:
        return self._info.state

    @property
    def status(self) -> str:
        return self._info.state

    @property
    def provisioning_errors(self) -> None:
        return None

    def refresh_state(self) -> None:
        self._info = self._fetch()

    def get_status(self) -> str:
        """`Succeeded` when runs can start there now, `Unreachable` when its node has not spoken lately."""
        self.refresh_state()
        return self._info.state

    def wait_for_completion(self, show_output: bool = False, is_delete_operation: bool = False) -> None:
        """Nothing is provisioned here, so nothing is waited for."""
        if show_output:
            print(f"{self.name}: {self.get_status()}")  # noqa: T201  # asked for

    def delete(self) -> None:
        raise errors.ComputeTargetException(f"{self.name!r} is the machine of the yard; it can't be deleted.")

    def detach(self) -> None:
        raise errors.ComputeTargetException(
            f"{self.name!r} is the machine of the yard; it can't be detached."
        )

    def serialize(self) -> Dict[str, Any]:
        from modelyard.wire.codec import to_json  # only for showing

        return dict(to_json(self._info))

    @staticmethod
    def deserialize(workspace: Any, object_dict: Dict[str, Any]) -> ComputeTarget:
        """A compute target out of what `serialize` gave, without asking the yard."""
        from modelyard.wire.codec import from_json  # as in serialize

        return _of(workspace, from_json(ComputeTargetInfo, object_dict))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name}, type={self.type}, provisioning_state={self.provisioning_state})"


class LocalTarget(ComputeTarget):
    """The machine of the yard. `LocalTarget()` stands for it in a run configuration, without asking the yard."""

    def __new__(cls, *_: Any, **__: Any) -> LocalTarget:
        return object.__new__(cls)

    def __init__(
        self, workspace: Any = None, name: str = "local", _info: Optional[ComputeTargetInfo] = None
    ) -> None:
        if workspace is None:
            _info = ComputeTargetInfo(name, "Local", "Succeeded", slots=0, slots_busy=0, queued=0)
        super().__init__(workspace, name, _info)


def _of(workspace: Any, info: ComputeTargetInfo) -> ComputeTarget:
    made = object.__new__(LocalTarget)
    made.__init__(workspace, info.name, info)  # type: ignore[misc]  # v1's constructor has no place for what is known
    return made
