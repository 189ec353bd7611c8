"""Runs, experiments and what hangs on runs, as people ask for them in SQL. What lies in the trash is left out."""

from __future__ import annotations

import sqlalchemy as sa

from modelyard.server.kernel.sql_views import (
    JSON,
    NUMBER,
    PAIRS,
    TEXT,
    TIME,
    TRUTH,
    WHOLE,
    WORKSPACE_ID,
    Column,
    Source,
    View,
    text_of,
)
from modelyard.server.runs.tables import (
    blocks,
    experiments,
    files,
    logged_models,
    points,
    run_datasets,
    runs,
    series,
)

_HERE = (runs.c.workspace_id == WORKSPACE_ID, runs.c.deleted_at.is_(None))
_OF_RUN = runs.join(experiments, experiments.c.id == runs.c.experiment_id)

_RUN_ID = Column("run_id", TEXT, "The run's id.")
_EXPERIMENT = Column("experiment", TEXT, "The name of the run's experiment.")

RUNS = View(
    "runs",
    "Runs, child runs too, archived ones too.",
    (
        _RUN_ID,
        Column("name", TEXT, "The name that people see."),
        _EXPERIMENT,
        Column("experiment_id", TEXT, "The id of its experiment."),
        Column("number", WHOLE, "1, 2, 3 … within the experiment."),
        Column("type", TEXT, "Such as `azureml.scriptrun`."),
        Column("status", TEXT, "`Completed`, `Failed`, `Running` …"),
        Column("status_reason", TEXT, "Why it is in this status, in a sentence."),
        Column("description", TEXT, "What was written about it."),
        Column("parent_id", TEXT, "The run it is a child of; NULL for none."),
        Column("root_id", TEXT, "The run at the top; its own id without a parent."),
        Column("child_count", WHOLE, "How many child runs it has."),
        Column("user", TEXT, "Who submitted it."),
        Column("target", TEXT, "The compute target it asked for; NULL for an interactive run."),
        Column("node", TEXT, "The node it runs or ran on."),
        Column("created_at", TIME, "When it was created."),
        Column("started_at", TIME, "When its script began."),
        Column("ended_at", TIME, "When it ended."),
        Column("duration_s", NUMBER, "Seconds from its start to its end; NULL before that."),
        Column("exit_code", WHOLE, "The script's exit code."),
        Column("error", JSON, "`code`, `message`, `line` and `traceback` of what failed."),
        Column("tags", PAIRS, "Tags: `tags['team']`."),
        Column("params", PAIRS, "Parameters: `params['lr']`."),
        Column("properties", PAIRS, "Properties."),
        Column("snapshot_id", TEXT, "The snapshot of its source directory."),
        Column("environment_hash", TEXT, "The content of its environment."),
        Column("environment_lock", JSON, "The exact packages, as a list of `name==version`."),
        Column("machine", JSON, "What it ran on: processor, memory, GPUs."),
        Column("spec", JSON, "What was asked for: script, arguments, environment …"),
        Column("warnings", JSON, "What went wrong without ending it, as a list."),
        Column("archived_at", TIME, "When it was archived; NULL for one that is not."),
    ),
    (
        Source(
            sa.select(
                runs.c.id.label("run_id"), runs.c.display_name.label("name"), experiments.c.name.label("experiment"),
                runs.c.experiment_id, runs.c.number, runs.c.type, runs.c.status, runs.c.status_reason,
                runs.c.description, runs.c.parent_id, runs.c.root_id, runs.c.child_count, runs.c.user, runs.c.target,
                runs.c.node, runs.c.created_at, runs.c.started_at, runs.c.ended_at,
                (runs.c.ended_at - runs.c.started_at).label("duration_s"), runs.c.exit_code,
                text_of(runs.c.error).label("error"), text_of(runs.c.tags).label("tags"),
                text_of(runs.c.params).label("params"), text_of(runs.c.properties).label("properties"),
                runs.c.snapshot_id, runs.c.environment_hash,
                text_of(runs.c.environment_lock).label("environment_lock"), text_of(runs.c.machine).label("machine"),
                text_of(runs.c.spec).label("spec"), text_of(runs.c.warnings).label("warnings"), runs.c.archived_at,
            ).select_from(_OF_RUN).where(*_HERE)
        ),
    ),
)  # fmt: skip

EXPERIMENTS = View(
    "experiments",
    "Experiments, archived ones too.",
    (
        Column("experiment_id", TEXT, "The experiment's id."),
        Column("name", TEXT, "Its name."),
        Column("description", TEXT, "What was written about it."),
        Column("tags", PAIRS, "Tags."),
        Column("run_count", WHOLE, "How many runs it has."),
        Column("created_at", TIME, "When it was created."),
        Column("last_run_at", TIME, "When its newest run was created."),
        Column("archived_at", TIME, "When it was archived; NULL for one that is not."),
    ),
    (
        Source(
            sa.select(
                experiments.c.id.label("experiment_id"), experiments.c.name, experiments.c.description,
                text_of(experiments.c.tags).label("tags"), experiments.c.run_count, experiments.c.created_at,
                experiments.c.last_run_at, experiments.c.archived_at,
            ).where(experiments.c.workspace_id == WORKSPACE_ID, experiments.c.deleted_at.is_(None))
        ),
    ),
)  # fmt: skip

_SERIES = _OF_RUN.join(series, series.c.run_id == runs.c.id)
_IS_SYSTEM = Column("system", TRUTH, "Whether it is the machine's (cpu, memory …), not the script's.")

METRICS = View(
    "metrics",
    "Metrics: one row for each metric of each run, with its summary.",
    (
        _EXPERIMENT,
        _RUN_ID,
        Column("name", TEXT, "The metric's name."),
        _IS_SYSTEM,
        Column("count", WHOLE, "How many values were logged."),
        Column("last", NUMBER, "The value at the highest step, of those the latest. NULL where no number was logged."),
        Column("last_step", WHOLE, "The step of `last`."),
        Column("min", NUMBER, "The smallest value."),
        Column("max", NUMBER, "The largest value."),
        Column("first_at", TIME, "The time of the first value."),
        Column("last_at", TIME, "The time of the latest value."),
        Column("description", TEXT, "What was written about it."),
    ),
    (
        Source(
            sa.select(
                experiments.c.name.label("experiment"), series.c.run_id, series.c.name, series.c.system,
                series.c["count"], series.c.last, series.c.last_step, series.c.min, series.c.max, series.c.first_at,
                series.c.last_at, series.c.description, series.c.last_ms,
            ).select_from(_SERIES).where(*_HERE),
            reader="modelyard.server.runs.metrics_reader:read",
        ),
    ),
)  # fmt: skip

POINTS = View(
    "points",
    "Points: every number of every metric. Narrow it by `run_id`, `name` or `experiment`, which are looked up first.",
    (
        _EXPERIMENT,
        _RUN_ID,
        Column("name", TEXT, "The metric's name."),
        _IS_SYSTEM,
        Column("position", WHOLE, "0, 1, 2 … in the order of arrival within the metric of the run."),
        Column("step", WHOLE, "The step; NULL where none was given."),
        Column("time", TIME, "When it was logged."),
        Column("value", NUMBER, "The number; NaN and infinities as they are."),
    ),
    (
        Source(
            sa.select(
                series.c.id, experiments.c.name.label("experiment"), series.c.run_id, series.c.name, series.c.system,
                series.c["count"],
            ).select_from(_SERIES).where(*_HERE, series.c["count"] > series.c.values_count),
            reader="modelyard.server.runs.points_reader:read",
            more={"points": sa.select(points), "blocks": sa.select(blocks)},
        ),
    ),
)  # fmt: skip


def _labels(name: str, meaning: str) -> View:
    """One row a pair of that column of runs."""
    columns = (_RUN_ID, Column("key", TEXT, "Its name."), Column("value", TEXT, "Its value."))
    pairs = f"SELECT run_id, unnest(map_entries({name})) AS pair FROM runs"
    return View(
        name, meaning, columns, query=f"SELECT run_id, pair.key AS key, pair.value AS value FROM ({pairs})"
    )


PARAMS = _labels("params", "Parameters of runs: one row for each.")
TAGS = _labels("tags", "Tags of runs: one row for each.")
PROPERTIES = _labels("properties", "Properties of runs: one row for each.")

RUN_FILES = Source(
    sa.select(
        sa.literal("run").label("kind"), files.c.run_id, sa.null().label("model"), sa.null().label("version"),
        files.c.path, files.c.size.label("size_bytes"), files.c.hash, files.c.created_at,
    ).select_from(runs.join(files, files.c.run_id == runs.c.id)).where(*_HERE)
)  # fmt: skip

DATASETS = View(
    "datasets",
    "Data sets that runs read, as MLflow's clients describe them.",
    (
        _RUN_ID,
        Column("name", TEXT, "The data set's name."),
        Column("digest", TEXT, "A hash of its content."),
        Column("source_type", TEXT, "Such as `local`, `http`, `delta_table`."),
        Column("source", TEXT, "Where it came from."),
        Column("schema", TEXT, "Its columns, as JSON."),
        Column("profile", TEXT, "Its size, as JSON."),
        Column("tags", PAIRS, "What is said of this use of it: `tags['mlflow.data.context']`."),
    ),
    (
        Source(
            sa.select(
                run_datasets.c.run_id, run_datasets.c.name, run_datasets.c.digest, run_datasets.c.source_type,
                run_datasets.c.source, run_datasets.c.schema, run_datasets.c.profile,
                text_of(run_datasets.c.tags).label("tags"),
            ).select_from(runs.join(run_datasets, run_datasets.c.run_id == runs.c.id)).where(*_HERE)
        ),
    ),
)  # fmt: skip

LOGGED_MODELS = View(
    "logged_models",
    "Models that MLflow 3 logged, registered or not.",
    (
        Column("model_id", TEXT, "The logged model's id."),
        Column("name", TEXT, "Its name."),
        _EXPERIMENT,
        Column("run_id", TEXT, "The run that made it; NULL for none."),
        Column("type", TEXT, "What its logger calls it."),
        Column("status", TEXT, "`PENDING`, `READY`, `FAILED` or `UNSPECIFIED`."),
        Column("tags", PAIRS, "Tags."),
        Column("params", PAIRS, "Parameters."),
        Column("created_at", TIME, "When it was logged."),
        Column("updated_at", TIME, "When it last changed."),
    ),
    (
        Source(
            sa.select(
                logged_models.c.id.label("model_id"), logged_models.c.name, experiments.c.name.label("experiment"),
                sa.func.nullif(logged_models.c.source_run_id, "").label("run_id"), logged_models.c.type,
                logged_models.c.status, text_of(logged_models.c.tags).label("tags"),
                text_of(logged_models.c.params).label("params"), logged_models.c.created_at,
                logged_models.c.updated_at,
            )
            .select_from(logged_models.join(experiments, experiments.c.id == logged_models.c.experiment_id))
            .where(
                logged_models.c.workspace_id == WORKSPACE_ID, logged_models.c.deleted_at.is_(None),
                experiments.c.deleted_at.is_(None),
            )
        ),
    ),
)  # fmt: skip

VIEWS = (RUNS, EXPERIMENTS, METRICS, POINTS, PARAMS, TAGS, PROPERTIES, DATASETS, LOGGED_MODELS)
