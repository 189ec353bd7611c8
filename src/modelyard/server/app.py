"""Builds the yard: the slices in order, nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from modelyard.server.artifacts import api as artifacts_api
from modelyard.server.artifacts.service import ArtifactService
from modelyard.server.artifacts.transfer import ArtifactTransfer
from modelyard.server.artifacts.uploads import Uploads
from modelyard.server.compute import api as compute_api
from modelyard.server.compute.service import ComputeService
from modelyard.server.data import api as data_api
from modelyard.server.data.service import DataService
from modelyard.server.data.transfer import DataTransfer
from modelyard.server.endpoints import api as endpoints_api
from modelyard.server.endpoints.reconcile import LostServices
from modelyard.server.endpoints.service import EndpointService
from modelyard.server.environments import api as environments_api
from modelyard.server.environments.service import EnvironmentService
from modelyard.server.environments.transfer import EnvironmentTransfer
from modelyard.server.kernel import http, openapi, security, system
from modelyard.server.kernel.auth import Identity
from modelyard.server.kernel.blobs import BlobStore, open_store
from modelyard.server.kernel.clock import Clock, SystemClock
from modelyard.server.kernel.db import Database
from modelyard.server.kernel.errors import ProblemError
from modelyard.server.kernel.events import Hub
from modelyard.server.kernel.figures import Traffic
from modelyard.server.kernel.history import EventTransfer
from modelyard.server.kernel.reconcile import Round, forget_leases
from modelyard.server.kernel.settings import Settings
from modelyard.server.kernel.supervisor import Supervisor
from modelyard.server.kernel.transfer import Transfer
from modelyard.server.lifetime import api as lifetime_api
from modelyard.server.lifetime.reconcile import Receipts, Upkeep
from modelyard.server.lifetime.retention import Retention
from modelyard.server.lifetime.service import LifetimeService
from modelyard.server.migrations import migrate
from modelyard.server.mlflow import api as mlflow_api
from modelyard.server.mlflow.traces import Traces
from modelyard.server.models import api as models_api
from modelyard.server.models import api_registered as registered_api
from modelyard.server.models.registered import RegisteredModels
from modelyard.server.models.service import ModelService
from modelyard.server.models.transfer import ModelTransfer
from modelyard.server.runs import api as runs_api
from modelyard.server.runs import folding_store
from modelyard.server.runs.folding import FoldMetrics
from modelyard.server.runs.reconcile import LostRuns
from modelyard.server.runs.service import RunService
from modelyard.server.runs.transfer import RunTransfer
from modelyard.server.sql import api as sql_api
from modelyard.server.sql.service import SqlService
from modelyard.server.transfer import api as transfer_api
from modelyard.server.transfer.service import TransferService
from modelyard.server.workspaces import api as workspaces_api
from modelyard.server.workspaces.service import WorkspaceService
from modelyard.version import VERSION


@dataclass(frozen=True)
class Yard:
    """A built yard, not yet listening. `close` ends its loops and lets go of the database and the blobs."""

    app: ASGIApp
    routes: list[http.Route]
    db: Database
    supervisor: Supervisor
    workspaces: WorkspaceService
    artifacts: ArtifactService
    runs: RunService
    lifetime: LifetimeService
    retention: Retention

    def close(self) -> None:
        self.supervisor.stop()
        self.db.close()
        self.artifacts.close()


def build(settings: Settings, owner_token: str, node_token: str, clock: Clock | None = None) -> Yard:
    """Open the database (migrating it if need be) and the blob store, and wire every slice.

    Raises ProblemError for settings that can't work, in words for the person who starts the yard.
    """
    clock = clock or SystemClock()
    hub = Hub(poll_s=30.0 if settings.database_url.startswith("sqlite:") else 1.0)
    db = Database(settings.database_url, hub.notify)
    migrate(db, copies=settings.home)
    blobs = open_store(settings.blobs_url, settings.home / "staging")
    identity = Identity(db, clock, owner_token)
    supervisor = Supervisor(clock)

    workspaces = WorkspaceService(db, clock)
    artifacts = ArtifactService(db, clock, blobs)
    data = DataService(db, clock, artifacts)
    environments = EnvironmentService(db, clock, hub)
    compute = ComputeService(db, clock, hub, slots=settings.slots or os.cpu_count() or 1)
    models = ModelService(db, clock, artifacts)
    registered = RegisteredModels(db, clock, models)
    runs = RunService(db, clock, hub, artifacts, environments, settings)
    endpoints = EndpointService(db, clock, hub, artifacts, models, environments, settings)
    lifetime = LifetimeService(db, clock, hub, artifacts.garbage, models, runs)
    retention = Retention(db, clock, runs)

    # Upward news without upward imports: the lower slice takes a callable.
    identity.run_is_within = runs.is_within
    models.run_files = runs.files_under
    models.run_experiment = runs.experiment_of
    models.run_is_within = runs.is_within
    models.in_use = endpoints.using_model
    runs.plug_targets(compute.target)
    workspaces.blockers += [runs.active_in, endpoints.serving_in]
    workspaces.on_create.append(data.begin_workspace)
    for slice_ in (retention, lifetime, endpoints, runs, models, environments, data, artifacts):
        workspaces.on_delete.append(slice_.forget_workspace)
    compute.add_source(runs.source())
    compute.add_source(endpoints.source())
    system.register_node(db, clock, node_token)
    workspaces.ensure_default()
    supervisor.add("lost-runs", Round(db, clock, LostRuns(runs)), every_s=min(5.0, settings.lease_s / 3))
    fold = Round(db, clock, FoldMetrics(db))
    supervisor.add("fold-metrics", fold, every_s=30.0, wake=hub.subscribe(folding_store.TOPIC))
    supervisor.add("forget-append-keys", runs.appender.forget_keys, every_s=3600.0)
    supervisor.add("shrink-database", db.shrink, every_s=60.0)
    supervisor.add("lost-services", Round(db, clock, LostServices()), every_s=5.0)
    if db.is_sqlite:
        forget_leases(db)
        artifacts.garbage.resume()
    receipts = Round(db, clock, Receipts(db, artifacts.garbage))
    supervisor.add("receipts", receipts, every_s=30.0, wake=hub.subscribe("receipt"))
    supervisor.add("leaving-blobs", artifacts.garbage.remove_left_behind, every_s=60.0)
    upkeep = Upkeep(clock, lifetime, retention, settings.trash_days, workspaces.ids)
    supervisor.add("upkeep", Round(db, clock, upkeep), every_s=60.0)

    transfer = _transfer(db, clock, blobs, artifacts, settings, workspaces, runs, endpoints)
    supervisor.add("abandoned-imports", transfer.sweep, every_s=3600.0)

    routes: list[http.Route] = []
    for collected in (
        workspaces_api.routes(workspaces),
        artifacts_api.routes(artifacts),
        data_api.routes(data),
        environments_api.routes(environments),
        compute_api.routes(compute),
        models_api.routes(models, registered),
        registered_api.routes(registered),
        runs_api.routes(runs),
        endpoints_api.routes(endpoints),
        lifetime_api.routes(lifetime, retention),
        mlflow_api.routes(
            runs,
            identity,
            models,
            registered,
            artifacts,
            Uploads(db, clock, artifacts),
            Traces(db, clock, artifacts),
        ),
        sql_api.routes(SqlService(db, settings)),
        transfer_api.routes(transfer),
    ):
        routes += collected.items
    routes += system.routes(
        db,
        supervisor,
        lambda: openapi.document(routes, VERSION),
        lambda: traffic.figures() + compute.figures(),
    ).items
    traffic = Traffic(_asgi(settings, routes, identity, workspaces, hub, supervisor))
    return Yard(traffic, routes, db, supervisor, workspaces, artifacts, runs, lifetime, retention)


def _transfer(
    db: Database,
    clock: Clock,
    blobs: BlobStore,
    artifacts: ArtifactService,
    settings: Settings,
    workspaces: WorkspaceService,
    runs: RunService,
    endpoints: EndpointService,
) -> TransferService:
    files = ArtifactTransfer(db, artifacts, blobs)
    slices: list[Transfer] = [  # from the bottom up; the history leaves last, when it is known whose
        EventTransfer(db),
        files,
        DataTransfer(db, files),
        EnvironmentTransfer(db),
        ModelTransfer(db, files, endpoints.using_model),
        RunTransfer(db, files),
    ]
    transfer = TransferService(db, clock, workspaces, slices, blobs.read, settings.home / "staging")
    transfer.reserve = artifacts.garbage.reserve
    transfer.find_experiment = lambda workspace_id, name: runs.experiments.get(workspace_id, name).id
    transfer.find_run = lambda workspace_id, run_id: runs.get(workspace_id, run_id).id
    return transfer


def _asgi(
    settings: Settings,
    routes: list[http.Route],
    identity: Identity,
    workspaces: WorkspaceService,
    hub: Hub,
    supervisor: Supervisor,
) -> ASGIApp:
    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        hub.bind(asyncio.get_running_loop())
        supervisor.start()
        yield
        supervisor.stop()

    async def refused(_request: Request, error: Exception) -> Response:
        assert isinstance(error, ProblemError)
        return http.problem_response(error.problem())

    app = Starlette(
        routes=http.starlette_routes(routes, identity, workspaces),
        lifespan=lifespan,
        exception_handlers={
            ProblemError: refused,
            404: http.no_such_route,
            405: http.no_such_method,
            500: system.internal_error,
        },
    )
    app.router.redirect_slashes = False  # what is not there is 404, with or without a slash
    return security.Guard(app, security.allowed_hosts(settings.host, settings.allowed_hosts))
