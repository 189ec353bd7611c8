"""Registered models as people ask for them in SQL."""

from __future__ import annotations

import sqlalchemy as sa

from modelyard.server.artifacts.sql_views import TREE_READER, manifest_of
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
from modelyard.server.models.tables import model_aliases, models

_HERE = (models.c.workspace_id == WORKSPACE_ID, models.c.deleted_at.is_(None))

MODELS = View(
    "models",
    "Registered models: one row for each version.",
    (
        Column("name", TEXT, "The model's name."),
        Column("version", WHOLE, "1, 2, 3 …"),
        Column("description", TEXT, "What was written about it."),
        Column("stage", TEXT, "`None`, `Staging`, `Production` or `Archived`."),
        Column("framework", TEXT, "Such as `ScikitLearn`."),
        Column("framework_version", TEXT, "The framework's version."),
        Column("tags", PAIRS, "Tags."),
        Column("properties", PAIRS, "Properties."),
        Column("created_at", TIME, "When it was registered."),
        Column("user", TEXT, "Who registered it."),
        Column("run_id", TEXT, "The run that it came from; NULL for none."),
        Column("experiment", TEXT, "The experiment of that run."),
        Column("size_bytes", WHOLE, "Its files together."),
        Column("file_count", WHOLE, "How many files it has."),
        Column("recorded", JSON, "Datasets, sample inputs and resources as they were given."),
    ),
    (
        Source(
            sa.select(
                models.c.name, models.c.version, models.c.description, models.c.stage, models.c.framework,
                models.c.framework_version,
                text_of(models.c.tags).label("tags"), text_of(models.c.properties).label("properties"),
                models.c.created_at, models.c.user, models.c.run_id, models.c.experiment, models.c.size_bytes,
                models.c.file_count, text_of(models.c.recorded).label("recorded"),
            ).where(*_HERE)
        ),
    ),
)  # fmt: skip

ALIASES = View(
    "aliases",
    "Aliases of models, such as `champion`.",
    (
        Column("model", TEXT, "The model's name."),
        Column("alias", TEXT, "The alias."),
        Column("version", WHOLE, "The version that it names now."),
    ),
    (
        Source(
            sa.select(
                model_aliases.c.name.label("model"), model_aliases.c.alias, model_aliases.c.version
            ).where(model_aliases.c.workspace_id == WORKSPACE_ID)
        ),
    ),
)

MODEL_FILES = Source(
    sa.select(
        sa.literal("model").label("kind"), models.c.run_id, models.c.name.label("model"), models.c.version,
        models.c.created_at, manifest_of(models.c.tree_id).label("manifest"),
    ).where(*_HERE),
    reader=TREE_READER,
)  # fmt: skip
