"""Run by Alembic: applies the steps on the connection that :mod:`llmflow.stores.migrations` opened."""

from __future__ import annotations

from alembic import context

from llmflow.stores.tables import Base

# Alembic takes SQLite for a database without transactional DDL because of the driver's habits;
# the engine of llmflow.stores.database begins every transaction itself, so that one step
# is applied whole or not at all.
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    transactional_ddl=True,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
