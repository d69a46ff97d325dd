"""Run by Alembic: applies the steps on the connection that :mod:`llmflow.stores.migrations` opened."""

from __future__ import annotations

from alembic import context

from llmflow.stores.tables import Base

# The connection is in a transaction already, so that all steps are applied or none.
context.configure(
    connection=context.config.attributes["connection"], target_metadata=Base.metadata, render_as_batch=True
)
with context.begin_transaction():
    context.run_migrations()
