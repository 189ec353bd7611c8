"""Web services as people ask for them in SQL. Their keys are nobody's to read."""

from __future__ import annotations

import sqlalchemy as sa

from modelyard.server.endpoints.tables import endpoints, revisions
from modelyard.server.kernel.sql_views import (
    JSON,
    PAIRS,
    TEXT,
    TIME,
    WHOLE,
    WORKSPACE_ID,
    Column,
    Source,
    View,
    text_of,
)

_NEWEST = endpoints.outerjoin(
    revisions,
    sa.and_(revisions.c.endpoint_id == endpoints.c.id, revisions.c.revision == endpoints.c.revision),
)

ENDPOINTS = View(
    "endpoints",
    "Web services.",
    (
        Column("name", TEXT, "The service's name."),
        Column("compute_type", TEXT, "`Local`, `ACI` or `AKS`, as it was asked for."),
        Column("state", TEXT, "`Healthy`, `Unhealthy`, `Failed` …"),
        Column("state_reason", TEXT, "Why it is in this state, in a sentence."),
        Column("description", TEXT, "What was written about it."),
        Column("tags", PAIRS, "Tags."),
        Column("properties", PAIRS, "Properties."),
        Column("port", WHOLE, "The port it listens on; 0 before it has one."),
        Column("revision", WHOLE, "The newest revision."),
        Column("active_revision", WHOLE, "The revision that answers requests; NULL for none."),
        Column("replicas_ready", WHOLE, "How many scoring processes answer."),
        Column("models", JSON, "The `name:version` of the models of the newest revision, as a list."),
        Column("telemetry", JSON, "Requests, errors, latencies."),
        Column("error", JSON, "What failed."),
        Column("created_at", TIME, "When it was deployed."),
        Column("updated_at", TIME, "When it last changed."),
    ),
    (
        Source(
            sa.select(
                endpoints.c.name, endpoints.c.compute_type, endpoints.c.state, endpoints.c.state_reason,
                endpoints.c.description, text_of(endpoints.c.tags).label("tags"),
                text_of(endpoints.c.properties).label("properties"), endpoints.c.port, endpoints.c.revision,
                endpoints.c.active_revision, endpoints.c.replicas_ready,
                sa.cast(revisions.c.spec["models"], sa.Text).label("models"),
                text_of(endpoints.c.telemetry).label("telemetry"), text_of(endpoints.c.error).label("error"),
                endpoints.c.created_at, endpoints.c.updated_at,
            ).select_from(_NEWEST).where(endpoints.c.workspace_id == WORKSPACE_ID)
        ),
    ),
)  # fmt: skip
