"""Workspace: the top of everything, and the door to its experiments, runs, models and endpoints."""

from __future__ import annotations

import json
import os
import urllib.parse
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Union

from modelyard import errors, workspace_config
from modelyard._client import Client, path
from modelyard._local_yard import connect_or_start, offline_client
from modelyard.wire.workspaces import WorkspaceCreate, WorkspaceInfo, WorkspaceList, WorkspaceUpdate
from modelyard.workspace_cloud import CloudWorkspace
from modelyard.workspace_lifetime import LifetimeWorkspace

DEFAULT_WORKSPACE = "default"


class Workspace(LifetimeWorkspace, CloudWorkspace):
    """One workspace of a yard. v1's subscription, resource group and location are kept as plain labels."""

    DEFAULT_CPU_CLUSTER_NAME = "cpu-cluster"
    DEFAULT_GPU_CLUSTER_NAME = "gpu-cluster"

    def __init__(
        self,
        subscription_id: Optional[str] = None,
        resource_group: Optional[str] = None,
        workspace_name: Optional[str] = None,
        auth: Any = None,
        _location: Optional[str] = None,
        _disable_service_check: bool = False,
        _workspace_id: Optional[str] = None,
        sku: str = "basic",
        tags: Optional[Dict[str, str]] = None,
        _cloud: str = "AzureCloud",
        _client: Optional[Client] = None,
    ) -> None:
        if not workspace_name:
            raise errors.UserErrorException(
                "A workspace has a name: Workspace(..., workspace_name='default')."
            )
        self._client = _client or connect_or_start()
        self._name = workspace_name
        self._auth = auth
        self._known: Optional[WorkspaceInfo] = None
        if not _disable_service_check:
            self._info()

    @classmethod
    def _of(cls, info: WorkspaceInfo, client: Client) -> Workspace:
        workspace = cls(workspace_name=info.name, _client=client, _disable_service_check=True)
        workspace._known = info
        return workspace

    @classmethod
    def _named(cls, name: str, client: Client) -> Workspace:
        """A workspace that is not asked about until something of it is needed."""
        return cls(workspace_name=name, _client=client, _disable_service_check=True)

    def _path(self, *parts: Any) -> str:
        """The address of something in this workspace, for `self._client`."""
        return path("workspaces", self._name, *parts)

    @property
    def _scope(self) -> Any:
        from modelyard.runs.scope import Scope  # as in get_run

        return Scope(self._client, self.name)

    def _info(self) -> WorkspaceInfo:
        if self._known is None:
            self._known = _look_up(self._client, self._name)
        return self._known

    @staticmethod
    def from_config(
        path: Optional[str] = None, auth: Any = None, _logger: Any = None, _file_name: Optional[str] = None
    ) -> Workspace:
        """The workspace that config.json names; without one, the default workspace of this machine's yard.

        `path` is the file or the directory where the search begins: ./config.json, ./.azureml/config.json, then
        the same in each parent. A yard that is not running is started.
        """
        found = workspace_config.find(path, _file_name or "config.json")
        if found is None:
            if path is not None:
                raise errors.UserErrorException(
                    "There is no {} in {} or above it. `Workspace.write_config()` writes one.".format(
                        _file_name or "config.json", os.path.abspath(path)
                    )
                )
            return Workspace(workspace_name=DEFAULT_WORKSPACE)
        config = workspace_config.read(found)
        client = connect_or_start()
        try:
            return Workspace._of(_look_up(client, config["workspace_name"]), client)
        except errors.WorkspaceException as error:
            raise errors.WorkspaceException(
                "{} names workspace {!r}, which {} does not have. Create it: Workspace.create(name={!r}, "
                "subscription_id={!r}, resource_group={!r}, exist_ok=True).".format(
                    found,
                    config["workspace_name"],
                    client.url,
                    config["workspace_name"],
                    config.get("subscription_id", ""),
                    config.get("resource_group", ""),
                ),
                code=error.code,
                status=error.status,
            ) from None

    @classmethod
    def offline(cls, directory: Optional[str] = None, name: str = DEFAULT_WORKSPACE) -> Workspace:
        """A workspace without a yard: runs that begin in it are kept below `directory` until `sync_offline` or
        `modelyard sync` sends them. Default: MODELYARD_OFFLINE_DIR, or `offline` in MODELYARD_HOME."""
        return cls._named(name, offline_client(directory))

    def sync_offline(
        self, directory: Optional[str] = None, experiment: str = "", ended: bool = False
    ) -> List[Any]:
        """Send the runs that are kept below `directory` to this workspace, each thing once; answers what became of each.

        `experiment`: keep them in this one. `ended`: runs of other machines that have no end were killed. A run that can't be
        sent raises, and leaves those behind it for the next call; `modelyard sync` goes on with the others.
        """
        from modelyard.runs import context, story, sync  # only who sends
        from modelyard.runs.scope import Scope

        kept = story.folders(directory or context.offline_directory())
        scope = Scope(self._client, self._name)
        return [sync.send(scope, folder, experiment, ended=ended) for folder in kept]

    @staticmethod
    def create(
        name: str,
        auth: Any = None,
        subscription_id: Optional[str] = None,
        resource_group: Optional[str] = None,
        location: Optional[str] = None,
        create_resource_group: bool = True,
        sku: str = "basic",
        tags: Optional[Dict[str, str]] = None,
        friendly_name: Optional[str] = None,
        storage_account: Optional[str] = None,
        key_vault: Optional[str] = None,
        app_insights: Optional[str] = None,
        container_registry: Optional[str] = None,
        adb_workspace: Any = None,
        primary_user_assigned_identity: Optional[str] = None,
        cmk_keyvault: Optional[str] = None,
        resource_cmk_uri: Optional[str] = None,
        hbi_workspace: bool = False,
        default_cpu_compute_target: Any = None,
        default_gpu_compute_target: Any = None,
        private_endpoint_config: Any = None,
        private_endpoint_auto_approval: bool = True,
        exist_ok: bool = False,
        show_output: bool = True,
        user_assigned_identity_for_cmk_encryption: Optional[str] = None,
        system_datastores_auth_mode: str = "accessKey",
        v1_legacy_mode: Optional[bool] = None,
    ) -> Workspace:
        """Create a workspace. Arguments that name Azure resources change nothing here."""
        client = connect_or_start()
        body = WorkspaceCreate(
            name=name,
            subscription_id=subscription_id or "",
            resource_group=resource_group or "",
            location=location or "",
            sku=sku,
            friendly_name=friendly_name or "",
            tags=dict(tags or {}),
            exist_ok=exist_ok,
        )
        info: WorkspaceInfo = client.request("POST", path("workspaces"), body, kind=WorkspaceInfo)
        return Workspace._of(info, client)

    @staticmethod
    def get(
        name: str,
        auth: Any = None,
        subscription_id: Optional[str] = None,
        resource_group: Optional[str] = None,
        location: Optional[str] = None,
        cloud: str = "AzureCloud",
        id: Optional[str] = None,
    ) -> Workspace:
        """An existing workspace. Raises WorkspaceException when the yard has none of this name."""
        client = connect_or_start()
        return Workspace._of(_look_up(client, name), client)

    @staticmethod
    def list(
        subscription_id: Optional[str] = None, auth: Any = None, resource_group: Optional[str] = None
    ) -> Dict[str, List[Workspace]]:
        """v1's shape: a name leads to a list of workspaces. Filters by the labels where they are given."""
        client = connect_or_start()
        found: WorkspaceList = client.request("GET", path("workspaces"), kind=WorkspaceList)
        return {
            info.name: [Workspace._of(info, client)]
            for info in found.items
            if subscription_id in (None, info.subscription_id)
            and resource_group in (None, info.resource_group)
        }

    @staticmethod
    def setup() -> None:
        """v1's interactive setup; here there is nothing to set up."""

    def write_config(self, path: Optional[str] = None, file_name: Optional[str] = None) -> None:
        """Write `.azureml/config.json` under `path` (default: here), which `from_config` finds."""
        info = self._info()
        folder = os.path.join(path or ".", ".azureml")
        os.makedirs(folder, exist_ok=True)
        target = os.path.join(folder, file_name or "config.json")
        with open(target, "w", encoding="utf-8") as file:
            json.dump(
                {
                    "subscription_id": info.subscription_id,
                    "resource_group": info.resource_group,
                    "workspace_name": info.name,
                },
                file,
                indent=4,
            )

    def get_details(self) -> Dict[str, Any]:
        """v1's dictionary of a workspace, with what exists here."""
        info = self._info()
        return {
            "id": self._resource_id(info),
            "name": info.name,
            "identity": {"principal_id": "", "tenant_id": "", "type": "SystemAssigned"},
            "location": info.location,
            "type": "Microsoft.MachineLearningServices/workspaces",
            "tags": dict(info.tags),
            "sku": info.sku,
            "workspaceid": info.id,
            "sdkTelemetryAppInsightsKey": "",
            "description": info.description,
            "friendlyName": info.friendly_name or info.name,
            "creationTime": _iso(info.created_at),
            "discoveryUrl": self._client.url + "/discovery",
            "provisioningState": "Succeeded",
            "url": self._client.url,
        }

    def delete(self, delete_dependent_resources: bool = False, no_wait: bool = False) -> None:
        """Delete the workspace with everything in it."""
        self._client.request("DELETE", self._path())
        self._known = None

    def update(
        self,
        friendly_name: Optional[str] = None,
        description: Optional[str] = None,
        tags: Optional[Dict[str, str]] = None,
        image_build_compute: Optional[str] = None,
        service_managed_resources_settings: Any = None,
        primary_user_assigned_identity: Optional[str] = None,
        allow_public_access_when_behind_vnet: Optional[bool] = None,
        v1_legacy_mode: Optional[bool] = None,
    ) -> Dict[str, Any]:
        """Change what is given; answers `get_details()`."""
        body = WorkspaceUpdate(friendly_name=friendly_name, description=description, tags=tags)
        self._known = self._client.request("PATCH", self._path(), body, kind=WorkspaceInfo)
        return self.get_details()

    def export(
        self,
        path: str,
        experiments: Optional[List[str]] = None,
        runs: Optional[List[str]] = None,
        files: bool = True,
    ) -> int:
        """Write the workspace to one file, or of it only these experiments (names) and runs (ids) with what belongs to
        them; `files=False` leaves all bytes out: files, logs, snapshots, models. Answers the size of the file.

        No keys and no tokens are in it.
        """
        from modelyard import transfer  # as in get_run

        return transfer.export(self, path, experiments, runs, files)

    @staticmethod
    def import_(
        path: str,
        name: Optional[str] = None,
        into: Optional[Workspace] = None,
        merge: str = "fail",
        preview: bool = False,
    ) -> Any:
        """Make a new workspace of an exported file, under its old name or `name`; or bring it `into` one that is there.

        `merge` says what becomes of a run, model, … that is there with other content: "skip", "replace", "fail" or
        "rename". Answers an ImportReport; with `preview` nothing is written.
        """
        from modelyard import transfer  # as in get_run

        return transfer.import_(path, name, into, merge, preview)

    def get_run(self, run_id: str) -> Any:
        """The run with this id, whatever its experiment."""
        from modelyard.runs.run import Run  # not needed by a program that only reads models, say

        return Run.get(self, run_id)

    def search_runs(
        self,
        filter: str = "",
        order_by: Union[str, Sequence[str], None] = None,
        experiments: Union[str, Sequence[str], None] = None,
        view: str = "active",
        limit: Optional[int] = None,
    ) -> Iterator[Any]:
        """Runs for which `filter` holds, such as `metrics.acc > 0.9 and tags.team = 'a'`; empty for every run.

        order_by: columns, each with ASC or DESC, such as `metrics.acc DESC`; the newest first without.
        experiments: names or ids, all without. view: active, archived, all (but for the trash) or trash.
        """
        from modelyard.runs import search  # few programs delete
        from modelyard.runs.run import rehydrate

        found = search.pages(self._scope, filter, order_by, experiments, view, limit, metrics=())
        return (rehydrate(self._scope, one.run) for one in found)

    def count_runs(
        self, filter: str = "", experiments: Union[str, Sequence[str], None] = None, view: str = "active"
    ) -> int:
        """How many runs `search_runs` would find."""
        from modelyard.runs import search  # few programs delete

        return search.count(self._scope, filter, experiments, view)

    def get_default_datastore(self) -> Any:
        """The datastore that every workspace begins with, `workspaceblobstore`."""
        from modelyard.data.datastore import Datastore  # as in get_run

        return Datastore.get_default(self)

    def set_default_datastore(self, name: str) -> None:
        """Raises NotFound for a name that is not there. There is only one yet, and it is the default already."""
        from modelyard.data.datastore import Datastore  # as in get_run

        Datastore.get(self, name)

    def get_default_keyvault(self) -> Any:
        raise errors.NotYetAvailable(
            "The key vault is not there yet. Pass values with environment variables: "
            "environment.environment_variables[...]."
        )

    def get_mlflow_tracking_uri(self, _with_auth: bool = False) -> str:
        """Where MLflow's clients find this workspace: `mlflow.set_tracking_uri(ws.get_mlflow_tracking_uri())`.

        The clients of this process get the token too, as MLFLOW_TRACKING_TOKEN, unless that is set. They send it to every
        MLflow server they speak to: in a process that speaks to others, ask with `_with_auth=True`. Then nothing is set,
        and the address itself holds the token.
        """
        client = self._client
        if client.sender is not None:
            raise errors.RunEnvironmentException(
                f"MLflow's clients need a yard, and runs are kept offline in {client.url}. Log with "
                "run = Run.get_context(); run.log(name, value), or let MLflow keep its own files (mlruns) for now.",
                code="offline",
            )
        address = "{}/mlflow/{}".format(client.url, urllib.parse.quote(self._name, safe=""))
        if _with_auth:
            scheme, _, rest = address.partition("://")
            return "{}://token:{}@{}".format(scheme, urllib.parse.quote(client.token, safe=""), rest)
        os.environ.setdefault("MLFLOW_TRACKING_TOKEN", client.token)
        return address

    def get_default_compute_target(self, type: str) -> Any:
        """`local`: there are no clusters here yet."""
        return self.compute_targets["local"]

    def compare_runs(self, *runs: Any, all: bool = False, diff: Optional[str] = None) -> Any:
        """What differs between runs (`Run` objects or ids), as a `Comparison`: parameters, arguments, tags, metrics, packages,
        code, git, data, machine. `all`: what is equal too. `diff`: only the file at this path of their snapshots, whole."""
        from modelyard.wire.comparison import Comparison, RunsCompare  # as in get_run

        body = RunsCompare([getattr(run, "id", run) for run in runs], all, diff)
        return self._client.request(
            "POST", self._path("runs", "compare"), body, kind=Comparison, idempotent=True
        )

    def metric_series(
        self,
        runs: List[Any],
        names: Any = None,
        points: Optional[int] = None,
        method: str = "minmax",
        from_step: Optional[int] = None,
        to_step: Optional[int] = None,
        from_time: Optional[float] = None,
        to_time: Optional[float] = None,
    ) -> List[Any]:
        """The series of metrics of many runs (Run objects or ids) in one call, as a list of MetricSeries; see
        `Run.metric_series`."""
        from modelyard.runs import series
        from modelyard.runs.scope import Scope

        ids = [run if isinstance(run, str) else run.id for run in runs]
        query = series.series_query(ids, names, points, method, (from_step, to_step), (from_time, to_time))
        return series.read(Scope(self._client, self.name), query)

    def sql(self, query: str, **params: Any) -> Any:
        """What a SELECT over the workspace's runs, metrics, models … finds, as a `SqlResult`.

        `ws.sql("SELECT run_id, last FROM metrics WHERE name = $name", name="loss").to_pandas()`; the views and their
        columns are in docs/reference/sql.md. Raises UserErrorException for what is no such query.
        """
        from modelyard.sql import run  # as in get_run

        return run(self._client, self._path("sql"), query, params)

    @property
    def experiments(self) -> Mapping[str, Any]:
        from modelyard.experiment import Experiment  # as in get_run

        return {one.name: one for one in Experiment.list(self)}

    @property
    def runs(self) -> Mapping[str, Any]:
        """All runs by id, newest first; read as they are asked for. v1 had them by experiment only."""
        from modelyard.runs.history import Runs  # as in get_run

        return Runs(self)

    @property
    def models(self) -> Mapping[str, Any]:
        """The latest version of each model, by name."""
        from modelyard.models import Model  # as in get_run

        return {one.name: one for one in Model.list(self, latest=True)}

    @property
    def environments(self) -> Mapping[str, Any]:
        from modelyard.environments import Environment  # as in get_run

        return Environment.list(self)

    @property
    def compute_targets(self) -> Mapping[str, Any]:
        from modelyard.compute import ComputeTarget  # as in get_run

        return {one.name: one for one in ComputeTarget.list(self)}

    @property
    def webservices(self) -> Mapping[str, Any]:
        from modelyard.endpoints import Webservice  # as in get_run

        return {one.name: one for one in Webservice.list(self)}

    @property
    def datastores(self) -> Mapping[str, Any]:
        from modelyard.data.datastore import datastores  # as in get_run

        return datastores(self)

    @property
    def datasets(self) -> Mapping[str, Any]:
        return {}

    @property
    def images(self) -> Mapping[str, Any]:
        return {}

    @property
    def linked_services(self) -> Mapping[str, Any]:
        return {}

    @property
    def private_endpoints(self) -> Mapping[str, Any]:
        return {}

    @property
    def name(self) -> str:
        return self._name

    @property
    def id(self) -> str:
        return self._info().id

    @property
    def subscription_id(self) -> str:
        return self._info().subscription_id

    @property
    def resource_group(self) -> str:
        return self._info().resource_group

    @property
    def location(self) -> str:
        return self._info().location

    @property
    def sku(self) -> str:
        return self._info().sku

    @property
    def tags(self) -> Dict[str, str]:
        return dict(self._info().tags)

    @property
    def discovery_url(self) -> str:
        return self._client.url + "/discovery"

    def _resource_id(self, info: WorkspaceInfo) -> str:
        return (
            f"/subscriptions/{info.subscription_id}/resourceGroups/{info.resource_group}"
            f"/providers/Microsoft.MachineLearningServices/workspaces/{info.name}"
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Workspace) and (self._name, self._client.url) == (
            other._name,
            other._client.url,
        )

    def __hash__(self) -> int:
        return hash((self._name, self._client.url))

    def __repr__(self) -> str:
        if self._known is None:
            return f"Workspace(name={self._name!r}, url={self._client.url!r})"
        return (
            f"Workspace.create(name={self._name!r}, subscription_id={self._known.subscription_id!r}, "
            f"resource_group={self._known.resource_group!r})"
        )


def _look_up(client: Client, name: str) -> WorkspaceInfo:
    try:
        info: WorkspaceInfo = client.request("GET", path("workspaces", name), kind=WorkspaceInfo)
    except errors.AzureMLException as error:
        if error.status == 404:
            raise errors.WorkspaceException(
                f"The yard at {client.url} has no workspace {name!r}. Workspace.list() shows those it has; "
                f"Workspace.create(name={name!r}, exist_ok=True) makes it.",
                code=error.code,
                status=404,
            ) from None
        raise
    return info


def _iso(seconds: float) -> str:
    from datetime import datetime, timezone  # only details need it

    return datetime.fromtimestamp(seconds, timezone.utc).isoformat()
