"""What a workspace in Azure has and one of a yard has no use for: taken where nothing is lost, refused where it is."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

from modelyard.errors import NotYetAvailable


class CloudWorkspace:
    """What v1's Workspace has about clusters, storage keys, networks and connections of a cloud subscription."""

    @property
    def DEFAULT_CPU_CLUSTER_CONFIGURATION(self) -> Any:
        raise _refused("DEFAULT_CPU_CLUSTER_CONFIGURATION", "runs go to compute_target='local'")

    @property
    def DEFAULT_GPU_CLUSTER_CONFIGURATION(self) -> Any:
        raise _refused("DEFAULT_GPU_CLUSTER_CONFIGURATION", "runs go to compute_target='local'")

    def update_dependencies(self, container_registry: Optional[str] = None, force: bool = False) -> None:
        raise _refused("update_dependencies", "environments are built on the nodes, without a registry")

    def add_private_endpoint(
        self,
        private_endpoint_config: Any,
        private_endpoint_auto_approval: bool = True,
        location: Optional[str] = None,
        show_output: bool = True,
        tags: Optional[Dict[str, str]] = None,
    ) -> None:
        raise _refused("add_private_endpoint", "`modelyard up --host ADDRESS` chooses where the yard listens")

    def delete_private_endpoint_connection(self, private_endpoint_connection_name: str) -> None:
        raise _refused("delete_private_endpoint_connection", "there are no private endpoints")

    def list_keys(self) -> Dict[str, Any]:
        raise _refused("list_keys", "files are reached through the yard, with its token")

    def sync_keys(self, no_wait: bool = False) -> None:
        """There are no keys of dependent resources that could go stale."""

    def diagnose_workspace(self, diagnose_parameters: Any) -> Any:
        raise _refused("diagnose_workspace", "`modelyard doctor` says what is broken and what to do")

    def set_connection(self, name: str, category: str, target: str, authType: str, value: str) -> None:  # noqa: N803  # v1's name
        raise _refused("set_connection", "give addresses and credentials in environment variables of the run")

    def get_connection(self, name: str) -> Any:
        raise _refused("get_connection", "give addresses and credentials in environment variables of the run")

    def list_connections(self, category: Optional[str] = None, target: Optional[str] = None) -> List[Any]:
        return []

    def delete_connection(self, name: str) -> None:
        raise _refused("delete_connection", "there are no connections")

    @property
    def service_context(self) -> Any:
        raise _refused("service_context", "get_details() tells where the yard is")


def _refused(name: str, instead: str) -> NotYetAvailable:
    return NotYetAvailable(f"Workspace.{name} is not there: {instead}.")
