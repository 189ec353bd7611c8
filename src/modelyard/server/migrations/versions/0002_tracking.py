"""Tracking at a million runs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    _runs()
    _metrics()
    _offline()
    _trash()
    _models()
    _uploads()
    _mlflow()
    _logged_models()
    _traces()
    _garbage()
    _receipts()
    _transfer()


def _runs() -> None:
    op.add_column("experiments", sa.Column("deleted_at", sa.Float(), nullable=True))
    op.add_column("runs", sa.Column("params", sa.JSON(), nullable=False, server_default=sa.text("'{}'")))
    op.add_column("runs", sa.Column("archived_at", sa.Float(), nullable=True))
    op.add_column("runs", sa.Column("deleted_at", sa.Float(), nullable=True))
    op.create_table(
        "run_changes",
        sa.Column(
            "row", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("workspace_id", sa.String(), nullable=False),
        sa.Column("changed", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("row"),
        sa.UniqueConstraint("run_id"),
    )
    op.create_index("run_changes_changed", "run_changes", ["changed"])
    op.execute(
        "INSERT INTO run_changes (run_id, workspace_id, changed) "
        "SELECT id, workspace_id, 1 FROM runs ORDER BY created_at, number"
    )


def _metrics() -> None:
    op.add_column("metric_series", sa.Column("last_step", sa.BigInteger(), nullable=True))
    op.add_column("metric_series", sa.Column("last_ms", sa.BigInteger(), nullable=True))
    op.execute("UPDATE metric_series SET last_ms = last_at * 1000 WHERE values_count < count")
    op.add_column("metric_series", sa.Column("folded", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("metric_blocks", sa.Column("codec", sa.SmallInteger(), nullable=False, server_default="0"))
    op.create_table(
        "metric_folding",
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("wanted", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("run_id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "metric_append_keys",
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "key"),
        sqlite_with_rowid=False,
    )
    op.create_index("metric_append_keys_at", "metric_append_keys", ["at"])
    op.create_index("metric_series_named", "metric_series", ["name", "run_id"])


def _offline() -> None:
    op.add_column("runs", sa.Column("synced_at", sa.Float(), nullable=True))


def _trash() -> None:
    op.add_column("runs", sa.Column("deleted_with", sa.String(), nullable=True))
    deleted = sa.text("deleted_with IS NOT NULL")
    op.create_index("runs_deleted", "runs", ["deleted_with"], sqlite_where=deleted, postgresql_where=deleted)
    op.add_column("models", sa.Column("deleted_at", sa.Float(), nullable=True))
    op.add_column("models", sa.Column("deleted_with", sa.String(), nullable=True))
    # The name of an experiment in the trash is free again. SQLite takes a constraint away by copying the table.
    name = "experiments_workspace_id_name_key"  # as PostgreSQL calls what has no name
    rule = {"uq": "%(table_name)s_%(column_0_name)s_name_key"}
    with op.batch_alter_table("experiments", naming_convention=rule) as batch:
        batch.add_column(sa.Column("deleted_with", sa.String(), nullable=True))
        batch.drop_constraint(name, type_="unique")
    there = sa.text("deleted_at IS NULL")
    op.create_index(
        "experiments_name", "experiments", ["workspace_id", "name"], unique=True,
        sqlite_where=there, postgresql_where=there,
    )  # fmt: skip


def _models() -> None:
    op.add_column(
        "model_names", sa.Column("registered", sa.Boolean(), nullable=False, server_default=sa.true())
    )
    op.add_column("model_names", sa.Column("description", sa.String(), nullable=False, server_default=""))
    for column in ("created_at", "updated_at"):
        op.add_column("model_names", sa.Column(column, sa.Float(), nullable=False, server_default="0"))
    op.add_column("models", sa.Column("stage", sa.String(), nullable=False, server_default="None"))
    op.add_column("models", sa.Column("source", sa.String(), nullable=False, server_default=""))
    op.add_column("models", sa.Column("updated_at", sa.Float(), nullable=False, server_default="0"))
    op.create_table(
        "model_name_tags",
        sa.Column("workspace_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "name", "key"),
    )
    op.create_index("model_name_tags_search", "model_name_tags", ["workspace_id", "key", "value"])
    op.create_table(
        "model_aliases",
        sa.Column("workspace_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("alias", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "name", "alias"),
    )
    op.execute("UPDATE models SET updated_at = created_at")
    of_name = "FROM models m WHERE m.workspace_id = model_names.workspace_id AND m.name = model_names.name"
    op.execute(
        f"UPDATE model_names SET created_at = coalesce((SELECT min(m.created_at) {of_name}), 0), "  # noqa: S608  # no value in it
        f"updated_at = coalesce((SELECT max(m.created_at) {of_name}), 0), "
        f"registered = EXISTS (SELECT 1 {of_name})"
    )


def _uploads() -> None:
    op.create_table(
        "uploads",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("workspace_id", sa.String(), nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("hash", sa.String(), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("uploads_workspace", "uploads", ["workspace_id", "created_at"])
    op.create_table(
        "upload_parts",
        sa.Column("upload_id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["upload_id"], ["uploads.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("upload_id", "number"),
    )
    op.create_index("upload_parts_hash", "upload_parts", ["hash"])


def _mlflow() -> None:
    op.add_column("experiments", sa.Column("updated_at", sa.Float(), nullable=True))


def _garbage() -> None:
    op.create_index("run_files_hash", "run_files", ["hash"])
    op.create_index("datastore_files_hash", "datastore_files", ["hash"])
    op.create_index("models_tree", "models", ["tree_id"])
    op.add_column("snapshots", sa.Column("asked_at", sa.Float(), nullable=True))
    op.create_index("snapshots_tree", "snapshots", ["tree_id"])
    is_set = sa.text("snapshot_id IS NOT NULL")
    op.create_index("runs_snapshot", "runs", ["snapshot_id"], sqlite_where=is_set, postgresql_where=is_set)
    op.create_table(
        "blobs_leaving",
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("sweep", sa.String(), nullable=False),
        sa.Column("since", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("hash"),
    )
    op.create_table(
        "blob_sweeps",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("started_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "blob_removals",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )


def _receipts() -> None:
    op.create_table(
        "receipts",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("workspace_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("requested_at", sa.Float(), nullable=False),
        sa.Column("finished_at", sa.Float(), nullable=True),
        sa.Column("grace_s", sa.Float(), nullable=False),
        sa.Column("figures", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("receipts_listed", "receipts", ["workspace_id", "requested_at"])
    op.create_table(
        "receipt_parts",
        sa.Column("receipt_id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("items", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["receipt_id"], ["receipts.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("receipt_id", "number"),
    )
    op.create_table(
        "retention_rules",
        sa.Column("workspace_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("what", sa.String(), nullable=False),
        sa.Column("experiment", sa.String(), nullable=False),
        sa.Column("keep_days", sa.Float(), nullable=False),
        sa.Column("keep_last", sa.Integer(), nullable=False),
        sa.Column("filter", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "name"),
    )


def _transfer() -> None:
    op.create_table(
        "incoming_workspaces",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("workspace_id", sa.String(), nullable=False),
        sa.Column("file", sa.String(), nullable=False),
        sa.Column("touched_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )


def _logged_models() -> None:
    op.create_table(
        "run_datasets",
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("source_type", sa.String(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("schema", sa.Text(), nullable=False),
        sa.Column("profile", sa.Text(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "name", "digest"),
    )
    op.create_table(
        "run_models",
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("direction", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("model_id", sa.String(), nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "direction", "position"),
    )
    op.create_table(
        "logged_models",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("workspace_id", sa.String(), nullable=False),
        sa.Column("experiment_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("source_run_id", sa.String(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("params", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("updated_at", sa.Float(), nullable=False),
        sa.Column("deleted_at", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(["experiment_id"], ["experiments.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("logged_models_listed", "logged_models", ["experiment_id", "created_at"])
    op.create_table(
        "logged_model_files",
        sa.Column("model_id", sa.String(), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("executable", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["logged_models.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("model_id", "path"),
        sqlite_with_rowid=False,
    )
    op.create_index("logged_models_run", "logged_models", ["source_run_id"])
    op.create_index("logged_model_files_hash", "logged_model_files", ["hash"])
    op.create_table(
        "logged_model_metrics",
        sa.Column("model_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("time_ms", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("step", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("value", sa.Float(), nullable=True),
        sa.Column("dataset_name", sa.String(), nullable=False),
        sa.Column("dataset_digest", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["logged_models.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("model_id", "name", "time_ms", "step", "run_id"),
    )


def _traces() -> None:
    op.create_table(
        "mlflow_traces",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("workspace_id", sa.String(), nullable=False),
        sa.Column("experiment_id", sa.String(), nullable=False),
        sa.Column("client_request_id", sa.String(), nullable=False),
        sa.Column("started_ms", sa.BigInteger(), nullable=False),
        sa.Column("duration_ms", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("request_preview", sa.Text(), nullable=False),
        sa.Column("response_preview", sa.Text(), nullable=False),
        sa.Column("trace_metadata", sa.JSON(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("assessments", sa.JSON(), nullable=False),
        sa.Column("run_ids", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["experiment_id"], ["experiments.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("mlflow_traces_listed", "mlflow_traces", ["experiment_id", "started_ms"])
    op.create_table(
        "mlflow_trace_files",
        sa.Column("trace_id", sa.String(), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("executable", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["trace_id"], ["mlflow_traces.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("trace_id", "path"),
        sqlite_with_rowid=False,
    )
    op.create_index("mlflow_trace_files_hash", "mlflow_trace_files", ["hash"])
