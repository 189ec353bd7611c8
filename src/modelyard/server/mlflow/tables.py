"""The tables of traces. All else that MLflow's clients keep is the yard's own (docs/decisions/0009-traces.md)."""

from __future__ import annotations

import sqlalchemy as sa

from modelyard.server.artifacts import named_files
from modelyard.server.kernel.db import metadata

traces = sa.Table(
    "mlflow_traces",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("workspace_id", sa.String, nullable=False),
    sa.Column(
        "experiment_id", sa.String, sa.ForeignKey("experiments.id", ondelete="CASCADE"), nullable=False
    ),
    sa.Column("client_request_id", sa.String, nullable=False),
    sa.Column("started_ms", sa.BigInteger, nullable=False),
    sa.Column("duration_ms", sa.BigInteger),  # None: not over
    sa.Column("state", sa.String, nullable=False),  # STATE_UNSPECIFIED | OK | ERROR | IN_PROGRESS
    sa.Column("request_preview", sa.Text, nullable=False),
    sa.Column("response_preview", sa.Text, nullable=False),
    sa.Column("trace_metadata", sa.JSON, nullable=False),
    sa.Column("tags", sa.JSON, nullable=False),
    sa.Column("assessments", sa.JSON, nullable=False),  # as they came with the trace
    sa.Column("run_ids", sa.JSON, nullable=False),  # of runs that it was linked to
    sa.Index("mlflow_traces_listed", "experiment_id", "started_ms"),
)

# The spans of a trace, as a JSON file that clients write and read, and what is attached to them.
trace_files = sa.Table(
    "mlflow_trace_files",
    metadata,
    sa.Column("trace_id", sa.String, sa.ForeignKey("mlflow_traces.id", ondelete="CASCADE"), primary_key=True),
    *named_files.columns(),
    sa.Index("mlflow_trace_files_hash", "hash"),
    sqlite_with_rowid=False,
)
