"""The tables of runs and experiments."""

from __future__ import annotations

import sqlalchemy as sa

from modelyard.server.artifacts import named_files
from modelyard.server.kernel.db import metadata

experiments = sa.Table(
    "experiments",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("workspace_id", sa.String, nullable=False),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("tags", sa.JSON, nullable=False),
    sa.Column("description", sa.String, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("archived_at", sa.Float),
    sa.Column("deleted_at", sa.Float),  # since when it lies in the trash
    sa.Column("deleted_with", sa.String),  # see runs
    sa.Column("updated_at", sa.Float),  # None: not since it was created
    sa.Column("last_number", sa.Integer, nullable=False),  # of its newest run; numbers are not used again
    sa.Column("run_count", sa.Integer, nullable=False),
    sa.Column("last_run_at", sa.Float),
    # A name is free again as soon as its experiment lies in the trash.
    sa.Index(
        "experiments_name",
        "workspace_id",
        "name",
        unique=True,
        sqlite_where=sa.text("deleted_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NULL"),
    ),
)

runs = sa.Table(
    "runs",
    metadata,
    # Unique in the yard, not only in the workspace: a node tells its runs by id alone, and tokens name their run by it.
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("workspace_id", sa.String, nullable=False),
    sa.Column("workspace", sa.String, nullable=False),  # its name, which a node needs in addresses
    sa.Column("experiment_id", sa.String, sa.ForeignKey("experiments.id"), nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("type", sa.String, nullable=False),
    sa.Column("request", sa.String, nullable=False),  # hash of what was asked for, to know a repeated request
    sa.Column("status", sa.String, nullable=False),
    sa.Column("status_reason", sa.String, nullable=False),
    sa.Column("display_name", sa.String, nullable=False),
    sa.Column("description", sa.String, nullable=False),
    sa.Column("parent_id", sa.String),
    sa.Column("root_id", sa.String, nullable=False),
    sa.Column("child_count", sa.Integer, nullable=False),
    sa.Column("tags", sa.JSON, nullable=False),
    sa.Column("properties", sa.JSON, nullable=False),
    sa.Column("params", sa.JSON, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("archived_at", sa.Float),
    sa.Column("deleted_at", sa.Float),  # since when it lies in the trash
    sa.Column("synced_at", sa.Float),  # since when the yard knows of a run that was kept offline
    # The id of what was deleted by a person: the run itself, the run above it, or its experiment. Or that of the receipt
    # under which it goes for good, from where nothing comes back.
    sa.Column("deleted_with", sa.String),
    sa.Column("started_at", sa.Float),
    sa.Column("ended_at", sa.Float),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("user", sa.String, nullable=False),
    sa.Column("snapshot_id", sa.String),
    sa.Column("spec", sa.JSON),  # None: an interactive run, which its own process runs
    sa.Column("target", sa.String),
    sa.Column("node", sa.String, nullable=False),
    sa.Column("exit_code", sa.BigInteger),
    sa.Column("error", sa.JSON),
    sa.Column("warnings", sa.JSON, nullable=False),
    sa.Column("environment_hash", sa.String, nullable=False),
    sa.Column("environment_lock", sa.JSON, nullable=False),
    sa.Column("machine", sa.JSON, nullable=False),
    sa.Column("lease_expires_at", sa.Float),  # None: nobody has to give signs of life for it
    sa.Column("responding_as", sa.String),  # the status before NotResponding
    sa.Index("runs_listed", "workspace_id", "created_at", "id"),
    sa.Index("runs_of_experiment", "experiment_id", "created_at", "id"),
    sa.Index("runs_of_parent", "parent_id"),
    sa.Index("runs_status", "status", "created_at"),
    sa.Index("runs_node", "node", "status"),
    sa.Index(
        "runs_snapshot",
        "snapshot_id",
        sqlite_where=sa.text("snapshot_id IS NOT NULL"),
        postgresql_where=sa.text("snapshot_id IS NOT NULL"),
    ),
    sa.Index(
        "runs_deleted",
        "deleted_with",
        sqlite_where=sa.text("deleted_with IS NOT NULL"),
        postgresql_where=sa.text("deleted_with IS NOT NULL"),
    ),
)

# Each run once, with the number of its newest change: numbers grow in the order of commits, so whoever keeps a picture of
# many runs asks for what is above the last number it saw. A row outlives its run, which is how a deletion is seen.
changes = sa.Table(
    "run_changes",
    metadata,
    # SQLite numbers rows by itself only in a column declared INTEGER, which holds 64 bits there.
    sa.Column(
        "row", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True
    ),
    sa.Column("run_id", sa.String, nullable=False, unique=True),
    sa.Column("workspace_id", sa.String, nullable=False),
    sa.Column("changed", sa.BigInteger, nullable=False),
    sa.Index("run_changes_changed", "changed"),
)

# Tags, properties and parameters once more, for finding runs by them.
labels = sa.Table(
    "run_labels",
    metadata,
    sa.Column("run_id", sa.String, sa.ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("kind", sa.String, primary_key=True),  # tag | property | param
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("value", sa.String, nullable=False),  # a long one as its hash
    sa.Index("run_labels_found", "kind", "key", "value", "run_id"),
    sqlite_with_rowid=False,
)

# How many bytes of each append-only stream of a run are held.
streams = sa.Table(
    "run_streams",
    metadata,
    sa.Column("run_id", sa.String, sa.ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("kind", sa.String, primary_key=True),  # journal | log
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
)

log_chunks = sa.Table(
    "run_log_chunks",
    metadata,
    sa.Column("run_id", sa.String, sa.ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("path", sa.String, primary_key=True),
    sa.Column("start", sa.BigInteger, primary_key=True),
    sa.Column("stop", sa.BigInteger, nullable=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
)

files = sa.Table(
    "run_files",
    metadata,
    sa.Column("run_id", sa.String, sa.ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    *named_files.columns(),
    sa.Index("run_files_hash", "hash"),
    sqlite_with_rowid=False,
)

# One metric of one run. `count` records came in, numbered 0, 1, 2 … over the three tables below.
series = sa.Table(
    "metric_series",
    metadata,
    # SQLite numbers rows by itself only in a column declared INTEGER, which holds 64 bits there.
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("run_id", sa.String, sa.ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
    sa.Column("system", sa.Boolean, nullable=False),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("kind", sa.String, nullable=False),  # of its newest record
    sa.Column("description", sa.String, nullable=False),
    sa.Column("count", sa.BigInteger, nullable=False),
    sa.Column("values_count", sa.BigInteger, nullable=False),  # how many of them are in metric_values
    # Before this seq nothing is left to fold.
    sa.Column("folded", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("whole", sa.Boolean, nullable=False),  # every number so far was a whole one
    sa.Column("nonfinite", sa.Boolean, nullable=False),
    sa.Column("last", sa.Float),  # of the point with the highest step, and of those the latest
    sa.Column("last_step", sa.BigInteger),
    sa.Column("last_ms", sa.BigInteger),  # NULL: no number has come in
    sa.Column("min", sa.Float),
    sa.Column("max", sa.Float),
    sa.Column("first_at", sa.Float),
    sa.Column("last_at", sa.Float),
    sa.UniqueConstraint("run_id", "system", "name"),
    sa.Index("metric_series_named", "name", "run_id"),
)

# Numbers that come in one by one. Clustered by series, so that one series is read in one sweep; no foreign key, which would cost
# a look-up a point. `value` NULL is NaN, which SQLite can't keep.
points = sa.Table(
    "metric_points",
    metadata,
    sa.Column("series_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("step", sa.BigInteger),
    sa.Column("time_ms", sa.BigInteger, nullable=False),
    sa.Column("value", sa.Float),
    sqlite_with_rowid=False,
)

# Points of one series that follow each other. `codec` 0: as they came in together, `count` little-endian 64-bit numbers
# a column, 24 bytes a point and a twentieth of the work of as many rows. Above 0: folded (see `codec`). `steps` NULL:
# none of them has a step. NaN and negative zero, which SQLite's own numbers can't be, are kept as they are.
blocks = sa.Table(
    "metric_blocks",
    metadata,
    sa.Column("series_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),  # of its first point
    sa.Column("count", sa.Integer, nullable=False),
    sa.Column("codec", sa.SmallInteger, nullable=False, server_default="0"),
    sa.Column("steps", sa.LargeBinary),
    sa.Column("times_ms", sa.LargeBinary, nullable=False),
    sa.Column("values", sa.LargeBinary, nullable=False),
)

# Everything else that can be logged, as JSON: strings, lists, rows, tables, images, documents, and whole numbers too
# big for a float.
values = sa.Table(
    "metric_values",
    metadata,
    sa.Column("series_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("step", sa.BigInteger),
    sa.Column("time_ms", sa.BigInteger, nullable=False),
    sa.Column("value", sa.Text, nullable=False),
    sqlite_with_rowid=False,
)

# Runs with points that are worth folding, until that is done.
folding = sa.Table(
    "metric_folding",
    metadata,
    sa.Column("run_id", sa.String, primary_key=True),
    sa.Column("wanted", sa.Integer, nullable=False),  # how often they were asked for
    sqlite_with_rowid=False,
)

# Keys of appended points that a sender may send again: the same again is answered the same and kept once.
append_keys = sa.Table(
    "metric_append_keys",
    metadata,
    sa.Column("run_id", sa.String, sa.ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("body", sa.String, nullable=False),  # its hash
    sa.Column("at", sa.Float, nullable=False),
    sa.Index("metric_append_keys_at", "at"),
    sqlite_with_rowid=False,
)

# Data sets that runs read, as MLflow describes them: where from, which columns, a hash of the content.
run_datasets = sa.Table(
    "run_datasets",
    metadata,
    sa.Column("run_id", sa.String, sa.ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("digest", sa.String, primary_key=True),
    sa.Column("position", sa.Integer, nullable=False),  # 0, 1, 2 … as they came
    sa.Column("source_type", sa.String, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("schema", sa.Text, nullable=False),
    sa.Column("profile", sa.Text, nullable=False),
    sa.Column("tags", sa.JSON, nullable=False),
)

# A model that was logged, not (yet) registered: MLflow 3 gives it an id, a status, parameters and metrics of its own.
logged_models = sa.Table(
    "logged_models",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("workspace_id", sa.String, nullable=False),
    sa.Column(
        "experiment_id", sa.String, sa.ForeignKey("experiments.id", ondelete="CASCADE"), nullable=False
    ),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("type", sa.String, nullable=False),
    sa.Column("status", sa.String, nullable=False),  # UNSPECIFIED | PENDING | READY | FAILED
    sa.Column("source_run_id", sa.String, nullable=False),  # empty: none; the run itself may be gone
    sa.Column("tags", sa.JSON, nullable=False),
    sa.Column("params", sa.JSON, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("updated_at", sa.Float, nullable=False),
    sa.Column("deleted_at", sa.Float),
    sa.Index("logged_models_listed", "experiment_id", "created_at"),
    sa.Index("logged_models_run", "source_run_id"),
)

logged_model_files = sa.Table(
    "logged_model_files",
    metadata,
    sa.Column("model_id", sa.String, sa.ForeignKey("logged_models.id", ondelete="CASCADE"), primary_key=True),
    *named_files.columns(),
    sa.Index("logged_model_files_hash", "hash"),
    sqlite_with_rowid=False,
)

# Metrics that runs logged about a model; they are metrics of the run too.
logged_model_metrics = sa.Table(
    "logged_model_metrics",
    metadata,
    sa.Column("model_id", sa.String, sa.ForeignKey("logged_models.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("time_ms", sa.BigInteger, primary_key=True),
    sa.Column("step", sa.BigInteger, primary_key=True),
    sa.Column("run_id", sa.String, primary_key=True),
    sa.Column("value", sa.Float),  # NULL is NaN
    sa.Column("dataset_name", sa.String, nullable=False),
    sa.Column("dataset_digest", sa.String, nullable=False),
)

# Logged models that a run made (`step` says when) or used.
run_models = sa.Table(
    "run_models",
    metadata,
    sa.Column("run_id", sa.String, sa.ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("direction", sa.String, primary_key=True),  # input | output
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("model_id", sa.String, nullable=False),
    sa.Column("step", sa.BigInteger, nullable=False),
)
