"""The routes of MLflow's protocol, the ones that are called most first: they are looked for in this order."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from modelyard.server.artifacts.service import ArtifactService
from modelyard.server.artifacts.uploads import Uploads
from modelyard.server.kernel.auth import Identity, Permission
from modelyard.server.kernel.http import Call, Routes
from modelyard.server.mlflow import artifacts as artifact_routes
from modelyard.server.mlflow import (
    errors,
    experiments,
    inputs,
    logged_models,
    metrics,
    protocol,
    registry,
    run_search,
    runs,
    trace_routes,
)
from modelyard.server.mlflow.access import RunAccess
from modelyard.server.mlflow.artifact_files import ArtifactFiles
from modelyard.server.mlflow.protocol import UNDER, route
from modelyard.server.mlflow.sources import Sources
from modelyard.server.mlflow.traces import Traces
from modelyard.server.models.registered import RegisteredModels
from modelyard.server.models.service import ModelService
from modelyard.server.runs.service import RunService

# The version of MLflow whose protocol this is; clients ask before they use what is newer.
MLFLOW_VERSION = "3.17.2"


def routes(
    run_service: RunService,
    identity: Identity,
    models: ModelService,
    registered: RegisteredModels,
    artifacts: ArtifactService,
    uploads: Uploads,
    traces: Traces,
) -> Routes:
    r = Routes("mlflow", protocol.DIALECT)
    access = RunAccess(run_service, identity)
    files = ArtifactFiles(artifacts, access, models, traces)
    metrics.add_logging(r, access)
    runs.add(r, access)
    run_search.add(r, access)
    metrics.add_histories(r, access)
    experiments.add(r, run_service.experiments)
    inputs.add(r, access)
    logged_models.add(r, access)
    trace_routes.add(r, access, traces)
    artifact_routes.add(r, files, uploads)
    registry.add(r, registered, models, Sources(files, registered, models))
    _add_server(r)
    return r


def _add_server(r: Routes) -> None:
    @r.get(f"{UNDER}/health", Permission.READ, raw="text/plain")
    def health(call: Call) -> Response:
        """Whether the workspace can be reached."""
        return Response("OK", media_type="text/plain")

    @r.get(f"{UNDER}/version", Permission.READ, raw="text/plain")
    def version(call: Call) -> Response:
        """The version of MLflow that is spoken here."""
        return Response(MLFLOW_VERSION, media_type="text/plain")

    @route(r, "GET", "3.0/mlflow/server-info", Permission.READ)
    def server_info(call: Call) -> dict[str, Any]:
        """What a client may use here."""
        return {
            "store_type": "SqlStore",
            "workspaces_enabled": False,
            "trace_archival_enabled": False,
            "multipart_uploads_enabled": True,
            "multipart_downloads_enabled": False,
            "presigned_upload_run_id_supported": False,
            "presigned_upload_model_id_supported": False,
            "features_enabled": {"gateway": False},
        }

    def nowhere(call: Call) -> None:
        """What the protocol has and the yard has not."""
        raise errors.Refusal(
            "ENDPOINT_NOT_FOUND",
            f"The yard answers no {call.request.method} {call.request.url.path}. What it speaks of MLflow's protocol is in "
            "docs/how-to/mlflow.md.",
        )

    for method in (r.get, r.post, r.put, r.patch, r.delete):
        method(f"{UNDER}/{{path:path}}", Permission.READ)(nowhere)
