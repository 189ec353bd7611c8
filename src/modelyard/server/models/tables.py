"""The tables of the models slice."""

from __future__ import annotations

import sqlalchemy as sa

from modelyard.server.kernel.db import metadata

# One row per name ever used. Its lock orders registrations of the name; versions are never given out twice, not even
# after a deletion, which is why the row of a deleted registered model stays with `registered` false.
model_names = sa.Table(
    "model_names",
    metadata,
    sa.Column("workspace_id", sa.String, primary_key=True),
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("last_version", sa.Integer, nullable=False),
    sa.Column("registered", sa.Boolean, nullable=False, server_default=sa.true()),
    sa.Column("description", sa.String, nullable=False, server_default=""),
    sa.Column("created_at", sa.Float, nullable=False, server_default="0"),
    sa.Column("updated_at", sa.Float, nullable=False, server_default="0"),
)

# Tags of a name, which all its versions share.
model_name_tags = sa.Table(
    "model_name_tags",
    metadata,
    sa.Column("workspace_id", sa.String, primary_key=True),
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("value", sa.String, nullable=False),
    sa.Index("model_name_tags_search", "workspace_id", "key", "value"),
)

# Names for versions that move from one to another, such as "champion".
model_aliases = sa.Table(
    "model_aliases",
    metadata,
    sa.Column("workspace_id", sa.String, primary_key=True),
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("alias", sa.String, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
)

models = sa.Table(
    "models",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),  # order of registration, for paging
    sa.Column("workspace_id", sa.String, nullable=False),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("request_id", sa.String, nullable=False),
    sa.Column("description", sa.String, nullable=False),
    sa.Column("tags", sa.JSON, nullable=False),
    sa.Column("properties", sa.JSON, nullable=False),
    sa.Column("framework", sa.String, nullable=False),
    sa.Column("framework_version", sa.String, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("file_count", sa.Integer, nullable=False),
    sa.Column("tree_id", sa.String, nullable=False),
    sa.Column("is_folder", sa.Boolean, nullable=False),
    sa.Column("user", sa.String, nullable=False),
    sa.Column("run_id", sa.String),
    sa.Column("experiment", sa.String),
    sa.Column("recorded", sa.JSON, nullable=False),
    sa.Column("deleted_at", sa.Float),  # since when it lies in the trash
    sa.Column("deleted_with", sa.String),  # its id; or that of the receipt under which it goes for good
    sa.Column("stage", sa.String, nullable=False, server_default="None"),
    sa.Column("source", sa.String, nullable=False, server_default=""),
    sa.Column("updated_at", sa.Float, nullable=False, server_default="0"),
    sa.UniqueConstraint("workspace_id", "name", "version", name="models_name_version"),
    sa.UniqueConstraint("workspace_id", "request_id", name="models_request"),
    sa.Index("models_page", "workspace_id", "id"),
    sa.Index("models_run", "workspace_id", "run_id"),
    sa.Index("models_tree", "tree_id"),
)

# Tags and properties once more, one a row, so that searching by them uses an index.
model_labels = sa.Table(
    "model_labels",
    metadata,
    sa.Column("model_id", sa.Integer, primary_key=True),
    sa.Column("kind", sa.String, primary_key=True),  # tag | property
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("workspace_id", sa.String, nullable=False),
    sa.Column("value", sa.String, nullable=False),
    sa.Index("model_labels_search", "workspace_id", "kind", "key", "value", "model_id"),
)
