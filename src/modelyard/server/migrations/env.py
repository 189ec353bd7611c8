"""Alembic's entry: run the steps on the connection that `migrate` opened."""

from __future__ import annotations

from alembic import context

attributes = context.config.attributes
connection = attributes["connection"]
# Both databases roll DDL back with its transaction; Alembic assumes otherwise for SQLite.
context.configure(
    connection=connection,
    transactional_ddl=True,
    render_as_batch=connection.dialect.name == "sqlite",
    target_metadata=attributes.get("metadata"),  # for writing a new step only
)
context.run_migrations()
