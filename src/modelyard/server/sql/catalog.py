"""The views: what each slice says of its tables, in the order in which they are shown."""

from __future__ import annotations

import sqlalchemy as sa

from modelyard.server.endpoints.sql_views import ENDPOINTS
from modelyard.server.environments.sql_views import ENVIRONMENTS
from modelyard.server.kernel.events import events
from modelyard.server.kernel.sql_views import (
    JSON,
    TEXT,
    TIME,
    WHOLE,
    WORKSPACE_ID,
    Column,
    Source,
    View,
    text_of,
)
from modelyard.server.models.sql_views import ALIASES, MODEL_FILES, MODELS
from modelyard.server.runs import sql_views as runs_views

ARTIFACTS = View(
    "artifacts",
    "Files of runs and of models.",
    (
        Column("kind", TEXT, "`run` or `model`: what the file belongs to."),
        Column("run_id", TEXT, "The run; for a model the one it came from, NULL for none."),
        Column("model", TEXT, "The model's name; NULL for a run's file."),
        Column("version", WHOLE, "The model's version; NULL for a run's file."),
        Column("path", TEXT, "Where it is within the run or the model."),
        Column("size_bytes", WHOLE, "Its size."),
        Column("hash", TEXT, "The SHA-256 of its bytes; equal files are kept once."),
        Column("created_at", TIME, "When it came; of a model's file when the model was registered."),
    ),
    (runs_views.RUN_FILES, MODEL_FILES),
)

EVENTS = View(
    "events",
    "What happened in the workspace, as administrators read it.",
    (
        Column("id", WHOLE, "Grows with each event."),
        Column("time", TIME, "When it happened."),
        Column("kind", TEXT, "Such as `run.status`, `model.registered`, `endpoint.deleted`."),
        Column("subject", TEXT, "What it happened to: the id of a run, the name of a model …"),
        Column("actor", TEXT, "Who did it: `owner`, `run:…`, `node:…`; empty for the yard itself."),
        Column("data", JSON, "What else is known."),
    ),
    (
        Source(
            sa.select(
                events.c.id, events.c.at.label("time"), events.c.kind, events.c.subject, events.c.actor,
                text_of(events.c.data).label("data"),
            ).where(events.c.workspace_id == WORKSPACE_ID)
        ),
    ),
)  # fmt: skip

VIEWS = (*runs_views.VIEWS, MODELS, ALIASES, ARTIFACTS, ENDPOINTS, ENVIRONMENTS, EVENTS)
